import { messageOf } from '../broker/broker.ts'
import type { Message } from '../wire/message.ts'
import { type AedesId, type AedesPacket, secondsOf } from './aedes-documents.ts'

const NO_PAYLOAD = Buffer.alloc(0)

/** Connection-bound, or made for one subscriber: not properties of the message itself. */
const NOT_KEPT = ['topicAlias', 'subscriptionIdentifier', 'willDelayInterval']

/**
 * The message of a packet that Aedes kept, with the times that can be told: it was accepted when its document was made.
 * @throws Error of mqtt-packet, when it cannot be written as MQTT.
 */
export function messageFrom(packet: AedesPacket, id: AedesId): Message {
  const { topic = '', payload, qos = 0, retain = false } = packet
  const properties = propertiesOf(packet)
  const message = messageOf({
    cmd: 'publish',
    topic,
    payload: payload && payload.length > 0 ? payload : NO_PAYLOAD,
    ...{ qos, retain, dup: false },
    ...(properties ? { properties } : {})
  })
  message.acceptedAt = secondsOf(id) * 1_000
  message.expiresAt = expiryOf(packet, message.acceptedAt)
  return message
}

function propertiesOf({ properties }: AedesPacket): object | null {
  const kept = Object.entries(properties ?? {}).filter(
    ([name, value]) => !NOT_KEPT.includes(name) && value !== null && value !== undefined
  )
  return kept.length > 0 ? Object.fromEntries(kept) : null
}

function expiryOf({ messageExpiry, properties }: AedesPacket, acceptedAt: number): number {
  if (typeof messageExpiry === 'number') return messageExpiry
  const seconds = Number(properties?.messageExpiryInterval ?? 0)
  return seconds > 0 ? acceptedAt + seconds * 1_000 : 0
}
