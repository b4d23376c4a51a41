import type { SettingSchema } from './schema.ts'

const MAX_SHOWN = 80

/** What a key takes, for people: `an integer from 0 to 65535`. */
export function expectation(schema: SettingSchema): string {
  switch (schema.type) {
    case 'integer':
      return `an integer from ${schema.minimum} to ${schema.maximum}`
    case 'boolean':
      return 'true or false'
    case 'array':
      return `a list without repetition${example(schema)}`
    case 'object':
      return `options by name${example(schema)}`
    case 'string':
      if ('enum' in schema) return `one of ${schema.enum.join(', ')}`
      return schema.minLength ? 'a text that is not empty' : 'a text'
  }
}

/** A value as it is shown to people: JSON, cut when it is long. */
export function shownValue(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

function example(schema: SettingSchema): string {
  return schema.examples?.length ? `, such as ${schema.examples.join(', ')}` : ''
}
