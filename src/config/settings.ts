import { SETTING_SCHEMAS, type SettingSchema } from './schema.ts'

/** The key of a setting: flat, camelCase, with its unit in the name. */
export type SettingKey = keyof typeof SETTING_SCHEMAS

type ValueOf<Schema> = Schema extends { enum: readonly (infer Choice)[] }
  ? Choice
  : Schema extends { type: 'integer' }
    ? number
    : Schema extends { type: 'boolean' }
      ? boolean
      : Schema extends { type: 'string' }
        ? string
        : Schema extends { type: 'array' }
          ? readonly string[]
          : Readonly<Record<string, object>>

/** A complete, valid configuration; see {@link SETTING_SCHEMAS} for what each key means. */
export type Settings = { readonly [Key in SettingKey]: ValueOf<(typeof SETTING_SCHEMAS)[Key]> }

/** Every key, in the order of the schema. */
export const SETTING_KEYS = Object.keys(SETTING_SCHEMAS) as readonly SettingKey[]

/** The schema of a key, in the general form. */
export function schemaOf(key: SettingKey): SettingSchema {
  return SETTING_SCHEMAS[key]
}

/**
 * The configuration of a server that was told nothing.
 * @param changes values to use in place of the defaults; they are not validated.
 */
export function defaultSettings(changes: Partial<Settings> = {}): Settings {
  const defaults = SETTING_KEYS.map(key => [key, structuredClone(SETTING_SCHEMAS[key].default)])
  return { ...(Object.fromEntries(defaults) as Settings), ...changes }
}
