import { varintLength, writeVarint } from './varint.ts'

/** First byte of a PUBLISH without DUP, QoS and RETAIN. */
export const PUBLISH = 0x30
/** The flag RETAIN in the first byte. */
export const RETAIN_BIT = 0x01
/** The QoS in the first byte. */
export const QOS_MASK = 0x06
/** The flag DUP in the first byte. */
export const DUP_BIT = 0x08

const NOTHING = Buffer.alloc(0)

/** The parts of a PUBLISH packet; lengths are the caller's to check. */
export interface PublishParts {
  /** First byte: type and flags. */
  readonly header: number
  /** The topic with its two length bytes. */
  readonly topicField: Buffer
  /** Whether there is room for a packet id (it is written as 0). */
  readonly hasPacketId: boolean
  /** MQTT 5: the properties without their length; `null` for 3.1.1. */
  readonly properties: Buffer | null
  readonly payload: Buffer
}

/** Builds a PUBLISH packet; the packet id is left 0 for whoever sends it. @see MQTT 5.0 section 3.3 */
export function buildPublish(parts: PublishParts): Buffer {
  const { topicField, properties, payload } = parts
  const propertyBytes = properties === null ? 0 : varintLength(properties.length) + properties.length
  const remaining = topicField.length + (parts.hasPacketId ? 2 : 0) + propertyBytes + payload.length
  const packet = Buffer.allocUnsafeSlow(1 + varintLength(remaining) + remaining)
  packet[0] = parts.header
  let at = writeVarint(packet, remaining, 1)
  at += topicField.copy(packet, at)
  if (parts.hasPacketId) {
    packet[at++] = 0
    packet[at++] = 0
  }
  if (properties !== null) {
    at = writeVarint(packet, properties.length, at)
    at += properties.copy(packet, at)
  }
  payload.copy(packet, at)
  return packet
}

/** The topic as it stands in a packet: two length bytes and UTF-8. */
export function topicField(topic: string): Buffer {
  const bytes = Buffer.byteLength(topic)
  const field = Buffer.allocUnsafe(2 + bytes)
  field.writeUInt16BE(bytes, 0)
  field.write(topic, 2)
  return field
}

export { NOTHING }
