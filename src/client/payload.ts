import { ClientError, problemText } from './errors.ts'
import type { RawMessage } from './message.ts'

/** A schema of any library that implements Standard Schema version 1 (zod, Valibot, ArkType and others). */
export interface StandardSchema<T> {
  readonly '~standard': {
    readonly version: 1
    readonly validate: (value: unknown) => StandardResult<T> | Promise<StandardResult<T>>
  }
}

/** What a Standard Schema says about a value: the value, perhaps changed, or what is wrong with it. */
export type StandardResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

/** One thing that is wrong with a value. */
export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A function that tells whether a value fits, as Ajv compiles it; Ajv leaves its findings in `errors`. */
export interface ValidateFunction<T> {
  (data: unknown): data is T
  readonly errors?:
    | readonly { readonly instancePath?: string; readonly message?: string }[]
    | null
    | undefined
}

/** What a payload has to fit: a Standard Schema or a validating function. */
export type Schema<T> = StandardSchema<T> | ValidateFunction<T>

/** How a payload is read: parsed as JSON, as UTF-8 text, or left as bytes. */
export type PayloadFormat = 'json' | 'text' | 'bytes'

/**
 * The payload of a message, read and checked.
 * @throws ClientError CLIENT_PAYLOAD_INVALID; what the schema itself throws is passed on.
 */
export async function readPayload<T>(
  message: RawMessage,
  format: PayloadFormat,
  schema: Schema<T> | undefined
): Promise<T> {
  const value = decoded(message, format)
  if (schema === undefined) return value as T
  if (!('~standard' in schema)) {
    if (schema(value)) return value
    throw misfit(message, validateProblem(schema))
  }
  const result = await schema['~standard'].validate(value)
  if (result.issues) throw misfit(message, result.issues.map(issueText).join('; '))
  return result.value
}

/**
 * The bytes of a payload: bytes and text as they are, everything else as JSON.
 * @throws ClientError CLIENT_OPTIONS_INVALID when JSON cannot say it.
 */
export function encodePayload(payload: unknown): Uint8Array {
  if (payload instanceof Uint8Array) return payload
  if (payload instanceof ArrayBuffer) return new Uint8Array(payload)
  if (typeof payload === 'string') return new TextEncoder().encode(payload)
  let json: string | undefined
  let problem = `a ${typeof payload} has no form in JSON`
  try {
    json = JSON.stringify(payload)
  } catch (cause) {
    problem = problemText(cause)
  }
  if (json === undefined) {
    throw new ClientError('CLIENT_OPTIONS_INVALID', { detail: { option: 'payload', problem } })
  }
  return new TextEncoder().encode(json)
}

function decoded(message: RawMessage, format: PayloadFormat): unknown {
  if (format === 'bytes') return message.bytes
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(message.bytes)
    return format === 'text' ? text : JSON.parse(text)
  } catch (cause) {
    throw misfit(
      message,
      `expected ${format === 'json' ? 'JSON' : 'UTF-8 text'}: ${problemText(cause)}`,
      cause
    )
  }
}

function issueText({ message, path = [] }: StandardIssue): string {
  const at = path.map(step => String(typeof step === 'object' ? step.key : step)).join('.')
  return at === '' ? message : `${at}: ${message}`
}

function validateProblem({ errors }: Pick<ValidateFunction<unknown>, 'errors'>): string {
  const texts = (errors ?? []).map(({ instancePath = '', message = 'is wrong' }) =>
    `${instancePath} ${message}`.trim()
  )
  return texts.length === 0 ? 'the schema does not take it' : texts.join('; ')
}

function misfit(message: RawMessage, problem: string, cause?: unknown): ClientError {
  return new ClientError('CLIENT_PAYLOAD_INVALID', {
    cause,
    detail: { topic: message.topic, problem, message }
  })
}
