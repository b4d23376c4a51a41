import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import { Ajv, type Options } from 'ajv'
import formats from 'ajv-formats'
import type { FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify'

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
  const texts = once(() => withFormats(new Ajv({ ...OPTIONS, coerceTypes: 'array' })))
  const bodies = once(() => withFormats(new Ajv(OPTIONS)))
  return ({ schema, httpPart }) => {
    const compiled = once(() => (httpPart === 'body' ? bodies : texts)().compile(schema))
    const validate: ReturnType<FastifySchemaCompiler<object>> = data => {
      const isValid = compiled()(data)
      validate.errors = compiled().errors ?? null
      return isValid
    }
    return validate
  }
}

/** Makes the writers of answers, in the manner of Fastify. */
export function answerWriting(): FastifySerializerCompiler<unknown> {
  const compilers = once(() => SerializerSelector()({}, {}) as FastifySerializerCompiler<unknown>)
  return route => {
    const write = once(() => compilers()(route))
    return data => write()(data)
  }
}

/** Most routes are never asked for: what is made of a schema is made when it is needed, and the server starts sooner. */
function once<Made>(make: () => Made): () => Made {
  let made: Made | undefined
  return () => (made ??= make())
}

function withFormats(ajv: Ajv): Ajv {
  formats.default(ajv)
  return ajv
}
