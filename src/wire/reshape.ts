import { Message } from './message.ts'
import {
  CARRIER,
  PROPERTY,
  uint16Property,
  uint32Property,
  varintProperty,
  walkProperties
} from './properties.ts'
import { buildPublish } from './publish.ts'

const NO_TOPIC = Buffer.of(0, 0)

/** What one receiver gets besides the message itself. */
export interface Extras {
  /** What is left of the Message Expiry Interval; null: it has none. [MQTT-3.3.2-6] */
  readonly expirySeconds: number | null
  readonly identifiers: readonly number[]
  /** 0: none. */
  readonly topicAlias: number
  /** The receiver knows the alias: the topic is left out. [MQTT-3.3.2-8] */
  readonly isTopicKnown: boolean
}

/** A form of a message for one receiver of MQTT 5. @param form in the format of MQTT 5, with or without a packet id. */
export function reshape(form: Message, extras: Extras): Message {
  const { expirySeconds, identifiers, topicAlias, isTopicKnown } = extras
  const properties = otherProperties(form, id =>
    id === PROPERTY.messageExpiryInterval ? expirySeconds : null
  )
  for (const identifier of identifiers) {
    properties.push(varintProperty(PROPERTY.subscriptionIdentifier, identifier))
  }
  if (topicAlias > 0) properties.push(uint16Property(PROPERTY.topicAlias, topicAlias))
  const packet = buildPublish({
    header: form.bytes[form.offset]!,
    topicField: isTopicKnown ? NO_TOPIC : form.topicField(),
    hasPacketId: form.qos > 0,
    properties: Buffer.concat(properties),
    payload: form.payload()
  })
  return new Message(packet, 0, packet.length, true)
}

/**
 * A PUBLISH that came with a topic alias as it is kept: with its topic and without the alias. [MQTT-3.3.2-7]
 * @param topicField with its two length bytes.
 */
export function withoutAlias(message: Message, topicField: Buffer): Message {
  const packet = buildPublish({
    header: message.bytes[message.offset]!,
    topicField,
    hasPacketId: message.qos > 0,
    properties: Buffer.concat(otherProperties(message, id => (id === PROPERTY.topicAlias ? -1 : null))),
    payload: message.payload()
  })
  const plain = new Message(packet, 0, packet.length, true)
  if (message.qos > 0) packet.writeUInt16BE(message.packetId(), plain.idOffset)
  return plain
}

/** The Message Expiry Interval of a message in seconds; null without one. */
export function expirySecondsOf(message: Message): number | null {
  let seconds: number | null = null
  const properties = message.properties()
  if (properties.length === 0) return null
  walkProperties(properties, CARRIER.publish, (id, value) => {
    if (id === PROPERTY.messageExpiryInterval) seconds = value
  })
  return seconds
}

/** When a message with this expiry is worthless, milliseconds since 1970; 0: never. An interval of 0 lasts a second. */
export function expiresAt(now: number, expirySeconds: number | null): number {
  return expirySeconds === null ? 0 : now + Math.max(expirySeconds, 1) * 1_000
}

/** The properties in order; `change` gives a number of four bytes to put in place of one, -1 to leave it out. */
function otherProperties(message: Message, change: (id: number) => number | null): Buffer[] {
  const bytes = message.properties()
  const properties: Buffer[] = []
  walkProperties(bytes, CARRIER.publish, (id, _value, from, to) => {
    const value = change(id)
    if (value === null) properties.push(bytes.subarray(from, to))
    else if (value >= 0) properties.push(uint32Property(id, value))
  })
  return properties
}
