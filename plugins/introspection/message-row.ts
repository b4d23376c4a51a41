import { isUtf8 } from 'node:buffer'
import { type MessageProperties, splitTopic } from '../../src/plugin.ts'
import { isoTime } from './format.ts'
import { countSchema, nullableTimeSchema, objectSchema, qosSchema, timeSchema } from './schemas.ts'
import type { MessageEntry } from './source.ts'

/** Most bytes of a payload that are shown with others, and alone. */
export const LISTED_PAYLOAD_BYTES = 1_024
/** Most bytes of a payload that are shown of one message; raw it is never cut. */
export const SHOWN_PAYLOAD_BYTES = 1_048_576

const propertiesSchema = {
  ...objectSchema({
    payloadFormatIndicator: { type: ['boolean', 'null'] },
    contentType: { type: ['string', 'null'] },
    responseTopic: { type: ['string', 'null'] },
    correlationData: { type: ['string', 'null'], description: 'In base64.' },
    userProperties: {
      type: 'object',
      additionalProperties: { type: 'array', items: { type: 'string' } },
      description: 'Values by name.'
    }
  }),
  type: ['object', 'null'],
  description: 'Null for a message of MQTT 3.1 or 3.1.1.'
} as const

/** JSON Schema of a message. */
export const messageSchema = objectSchema({
  id: { type: ['string', 'null'], description: 'Lane and sequence.' },
  topic: { type: 'string' },
  queue: { type: 'string' },
  event: { type: 'string' },
  qos: qosSchema,
  retained: { type: 'boolean', description: 'Whether it was published with RETAIN.' },
  publisher: {
    type: ['string', 'null'],
    description: 'Client id; null when it came from inside, or over HTTP.'
  },
  acceptedAt: nullableTimeSchema,
  expiresAt: { ...nullableTimeSchema, description: 'null: never.' },
  payloadBytes: countSchema,
  payload: { type: 'string', description: 'Text when it is UTF-8, otherwise base64: `encoding` tells.' },
  encoding: { type: 'string', enum: ['utf8', 'base64'] },
  cut: { type: 'boolean', description: 'Whether `payload` is only the beginning.' },
  properties: propertiesSchema
})

/** JSON Schema of a message of which the store has told all. */
export const storedMessageSchema = objectSchema({
  ...messageSchema.properties,
  id: { type: 'string', description: 'Lane and sequence.' },
  acceptedAt: timeSchema
})

/** Makes the row of a message. @param maxBytes most bytes of the payload that are shown. */
export function messageRow(message: MessageEntry, maxBytes: number) {
  const { payload } = message
  const shown = payload.length > maxBytes ? payload.subarray(0, maxBytes) : payload
  return {
    id: message.id,
    topic: message.topic,
    ...splitTopic(message.topic),
    qos: message.qos,
    retained: message.isRetained,
    publisher: message.publisher || null,
    acceptedAt: isoTime(message.acceptedAt),
    expiresAt: isoTime(message.expiresAt),
    payloadBytes: payload.length,
    ...payloadText(shown, shown.length < payload.length),
    cut: shown.length < payload.length,
    properties: message.properties && propertiesRow(message.properties)
  }
}

/** A payload that was cut may end within a character: the rest of that is left out. */
function payloadText(shown: Buffer, isCut: boolean) {
  for (let missing = 0; missing < (isCut ? 4 : 1); missing++) {
    const text = shown.subarray(0, shown.length - missing)
    if (isUtf8(text)) return { payload: text.toString(), encoding: 'utf8' }
  }
  return { payload: shown.toString('base64'), encoding: 'base64' }
}

function propertiesRow(properties: MessageProperties) {
  const userProperties = Object.entries(properties.userProperties ?? {})
  return {
    payloadFormatIndicator: properties.payloadFormatIndicator ?? null,
    contentType: properties.contentType ?? null,
    responseTopic: properties.responseTopic ?? null,
    correlationData: properties.correlationData?.toString('base64') ?? null,
    userProperties: Object.fromEntries(userProperties.map(([name, values]) => [name, [values].flat()]))
  }
}
