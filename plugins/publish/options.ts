import { isUtf8 } from 'node:buffer'
import { type MessageProperties, type NewMessage, QueueError, topicProblem } from '../../src/plugin.ts'

/** How a message is to be published, whether that came in a query or in a batch. */
export interface MessageOptions {
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly expirySeconds?: number
  readonly responseTopic?: string
  readonly correlationData?: string
  readonly correlationDataBase64?: string
  readonly payloadFormat?: 'bytes' | 'utf8'
}

/** JSON Schema of each of {@link MessageOptions}. */
export const optionSchemas = {
  qos: {
    type: 'integer',
    enum: [0, 1, 2],
    default: 1,
    description:
      'Quality of service: 1 and 2 are stored before the answer and kept for sessions that are away (2: each gets it exactly once); 0 goes to whoever listens now.'
  },
  retain: {
    type: 'boolean',
    default: false,
    description:
      'Keep it as the last word on its topic, for those who subscribe later. Without a payload: take that back.'
  },
  expirySeconds: {
    type: 'integer',
    minimum: 1,
    maximum: 4_294_967_295,
    description: 'Seconds after which it is worthless and not delivered any more. Left out: never.'
  },
  responseTopic: { type: 'string', minLength: 1, description: 'Topic that an answer is to be published to.' },
  correlationData: { type: 'string', description: 'What an answer is to carry back, as text (UTF-8).' },
  correlationDataBase64: {
    type: 'string',
    pattern: '^[A-Za-z0-9+/_-]*={0,2}$',
    contentEncoding: 'base64',
    description: 'The same as any bytes, in base64 or base64url.'
  },
  payloadFormat: {
    type: 'string',
    enum: ['bytes', 'utf8'],
    description:
      'utf8: the payload is text, which is checked and told to receivers (Payload Format Indicator).'
  }
} as const

/** Options of which a message can have one only. */
export const EXCLUSIVE = ['correlationData', 'correlationDataBase64'] as const

/** What else a message has. */
export interface MessageParts {
  readonly topic: string
  readonly payload: Buffer
  readonly contentType: string | undefined
  readonly userProperties: Readonly<Record<string, string | string[]>> | undefined
}

/**
 * Puts a message together.
 * @throws QueueError QUEUE_REQUEST_INVALID, QUEUE_PAYLOAD_FORMAT_INVALID
 */
export function newMessage(parts: MessageParts, options: MessageOptions): NewMessage {
  const { topic, payload } = parts
  if (options.payloadFormat === 'utf8' && !isUtf8(payload))
    throw new QueueError('QUEUE_PAYLOAD_FORMAT_INVALID')
  const properties = propertiesOf(parts, options)
  return { topic, payload, qos: options.qos, isRetained: options.retain, properties }
}

function propertiesOf(
  { contentType, userProperties }: MessageParts,
  options: MessageOptions
): MessageProperties {
  const { expirySeconds, responseTopic, payloadFormat } = options
  const problem = responseTopic === undefined ? null : topicProblem(responseTopic)
  if (problem) throw invalid(`responseTopic ${problem}`)
  const correlationData = correlationOf(options)
  return {
    ...(payloadFormat === undefined ? {} : { payloadFormatIndicator: payloadFormat === 'utf8' }),
    ...(expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds }),
    ...(responseTopic === undefined ? {} : { responseTopic: encodable('responseTopic', responseTopic) }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(hasNames(userProperties) ? { userProperties: encodableAll(userProperties) } : {}),
    ...(contentType === undefined ? {} : { contentType: encodable('contentType', contentType) })
  }
}

function correlationOf({ correlationData, correlationDataBase64 }: MessageOptions): Buffer | undefined {
  if (correlationDataBase64 !== undefined) return fromBase64('correlationDataBase64', correlationDataBase64)
  return correlationData === undefined ? undefined : fromText('correlationData', correlationData)
}

type UserProperties = Readonly<Record<string, string | string[]>>

function hasNames(properties: UserProperties | undefined): properties is UserProperties {
  return properties !== undefined && Object.keys(properties).length > 0
}

function encodableAll(properties: UserProperties) {
  for (const [name, values] of Object.entries(properties)) {
    encodable('the name of a user property', name)
    for (const value of [values].flat()) encodable(`user property ${JSON.stringify(name)}`, value)
  }
  return properties
}

/** A text that can stand in a packet. @see MQTT 5.0 section 1.5.4 */
function encodable(name: string, text: string): string {
  if (text.includes('\0')) throw invalid(`${name} has the character U+0000, which MQTT does not allow`)
  if (fromText(name, text).length > 65_535) throw invalid(`${name} is longer than 65,535 bytes`)
  return text
}

/** The bytes of a text. @throws QueueError QUEUE_REQUEST_INVALID for half a character, which has none. */
export function fromText(name: string, text: string): Buffer {
  if (/\p{Surrogate}/u.test(text)) throw invalid(`${name} has half of a surrogate pair, which has no UTF-8`)
  return Buffer.from(text)
}

/** The bytes of a text in base64 or base64url. @throws QueueError QUEUE_REQUEST_INVALID */
export function fromBase64(name: string, text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  const again = bytes.toString('base64url')
  if (
    again ===
    text
      .replace(/={1,2}$/, '')
      .replaceAll('+', '-')
      .replaceAll('/', '_')
  )
    return bytes
  throw invalid(`${name} is not base64`)
}

/** QUEUE_REQUEST_INVALID with this text. */
export function invalid(problem: string): QueueError {
  return new QueueError('QUEUE_REQUEST_INVALID', { detail: { problem } })
}

/** Throws QUEUE_REQUEST_INVALID when both of two keys are there. */
export function assertOneOf(keys: readonly [string, string], given: unknown): void {
  if (typeof given !== 'object' || given === null) return
  if (keys.every(key => Object.hasOwn(given, key))) throw invalid(`give ${keys[0]} or ${keys[1]}, not both`)
}
