import { errorText } from '../../src/plugin.ts'
import { fromBase64, fromText, invalid } from './options.ts'

/** Media type of a batch that is one JSON array. */
export const JSON_TYPE = 'application/json'

/** Media types of a batch with a message in each line. */
export const LINE_TYPES = ['application/x-ndjson', 'application/jsonl']

/** What a batch says of the payload of one message. */
export interface PayloadFields {
  readonly payload?: unknown
  readonly payloadBase64?: string
  readonly contentType?: string
}

/** The messages of a batch in JSON: an array. @throws QueueError QUEUE_REQUEST_INVALID */
export function parseJson(body: Buffer): unknown {
  return parse(textOf(body), 'the body')
}

/** The messages of a batch in NDJSON: one in each line that is not empty. @throws QueueError QUEUE_REQUEST_INVALID */
export function parseLines(body: Buffer): unknown[] {
  const lines = textOf(body).split('\n')
  return lines.flatMap((line, index) => (line.trim() === '' ? [] : [parse(line, `line ${index + 1}`)]))
}

/**
 * The payload of a message: a text is sent as it is, any other JSON value as its JSON.
 * @param name of the message in what is said of it.
 * @throws QueueError QUEUE_REQUEST_INVALID
 */
export function payloadOf(
  name: string,
  fields: PayloadFields
): { payload: Buffer; contentType: string | undefined } {
  const { payload, payloadBase64, contentType } = fields
  if (payloadBase64 !== undefined) {
    return { payload: fromBase64(`${name}: payloadBase64`, payloadBase64), contentType }
  }
  if (payload === undefined) return { payload: Buffer.alloc(0), contentType }
  if (typeof payload === 'string') return { payload: fromText(`${name}: payload`, payload), contentType }
  assertExact(name, payload)
  return { payload: Buffer.from(stringify(name, payload)), contentType: contentType ?? JSON_TYPE }
}

function textOf(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw invalid('the body is not UTF-8')
  }
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw invalid(`${name} is not JSON: ${errorText(error)}`)
  }
}

/** A number that was changed by reading it must not be sent on in silence. */
function assertExact(name: string, value: unknown): void {
  const rest: unknown[] = [value]
  for (let item = rest.pop(); item !== undefined; item = rest.pop()) {
    if (typeof item === 'number' && Number.isInteger(item) && !Number.isSafeInteger(item)) {
      throw invalid(
        `${name}: payload has the number ${item}, which may have lost digits (it is beyond 2^53): send the payload as text`
      )
    }
    if (typeof item === 'object' && item !== null) for (const inner of Object.values(item)) rest.push(inner)
  }
}

function stringify(name: string, value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch (error) {
    throw invalid(`${name}: payload cannot be written as JSON: ${errorText(error)}`) // nested too deeply
  }
}
