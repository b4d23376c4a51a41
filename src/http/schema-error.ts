import type { FastifySchemaValidationError } from 'fastify'

/** Where a request has what is wrong, by Fastify's name of it. */
const PLACES: Readonly<Record<string, string>> = {
  body: 'the body',
  headers: 'the headers',
  params: 'the path',
  querystring: 'the query'
}

/** Longest text of a value that is shown back. */
const MOST_SHOWN = 60

/** What is wrong as Ajv tells it with its option `verbose`. */
interface Finding extends FastifySchemaValidationError {
  readonly data?: unknown
  readonly parentSchema?: { readonly properties?: object; readonly description?: string }
}

/**
 * The error for a request that is not as its schema says: where it is wrong, what was found, what was expected.
 * @param place Fastify's name of the part of the request.
 */
export function schemaError(errors: readonly FastifySchemaValidationError[], place: string): Error {
  const finding = errors[0] as Finding
  const path = finding.instancePath.split('/').slice(1).map(unescaped).join('.')
  return new Error(`${PLACES[place] ?? place}${path === '' ? '' : `, ${path}`}: ${problemOf(finding)}`)
}

function problemOf({ keyword, params, message, data, parentSchema }: Finding): string {
  switch (keyword) {
    case 'additionalProperties':
      return `${JSON.stringify(params.additionalProperty)} is not known; known are ${Object.keys(parentSchema?.properties ?? {}).join(', ')}`
    case 'required':
      return `${String(params.missingProperty)} is missing`
    case 'enum':
      return `${shown(data)} is not one of ${(params.allowedValues as unknown[]).map(value => JSON.stringify(value)).join(', ')}`
    default:
      return `${message ?? 'is not valid'}${typeof data === 'object' ? '' : `; it is ${shown(data)}`}`
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
}

/** @see RFC 6901 section 3 */
function unescaped(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}
