import { Ajv, type Options } from 'ajv'
import formats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'

const OPTIONS: Options = {
  useDefaults: true,
  verbose: true, // for what is said of errors
  // a key that nobody knows is more likely a typing error than meant to be ignored
  removeAdditional: false
}

/**
 * Makes the validators of requests. What stands in a URL or a header is text, so `5` counts as a number there; in a body
 * a number is a number and `"5"` is none.
 */
export function requestValidation(): FastifySchemaCompiler<object> {
  const texts = withFormats(new Ajv({ ...OPTIONS, coerceTypes: 'array' }))
  const bodies = withFormats(new Ajv(OPTIONS))
  return ({ schema, httpPart }) => (httpPart === 'body' ? bodies : texts).compile(schema)
}

function withFormats(ajv: Ajv): Ajv {
  formats.default(ajv)
  return ajv
}
