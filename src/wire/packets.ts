import { PROPERTY, textProperty } from './properties.ts'
import { varintLength, writeVarint } from './varint.ts'

/** First bytes of the packets a server reads or writes. @see MQTT section 2.2.1 */
export const TYPE = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15
} as const

/** The answer to PINGREQ. */
export const PINGRESP = Buffer.from([0xd0, 0])

/** A packet from its first byte and the parts of its body. */
export function buildPacket(header: number, ...parts: readonly Buffer[]): Buffer {
  let remaining = 0
  for (const part of parts) remaining += part.length
  const packet = Buffer.allocUnsafe(1 + varintLength(remaining) + remaining)
  packet[0] = header
  let at = writeVarint(packet, remaining, 1)
  for (const part of parts) at += part.copy(packet, at)
  return packet
}

/** Properties with their length in front. */
export function propertyField(...properties: readonly Buffer[]): Buffer {
  let bytes = 0
  for (const property of properties) bytes += property.length
  const field = Buffer.allocUnsafe(varintLength(bytes) + bytes)
  let at = writeVarint(field, bytes, 0)
  for (const property of properties) at += property.copy(field, at)
  return field
}

/**
 * PUBACK or one of its kin of MQTT 5 with a reason code and, when given, a reason string.
 * @param header its first byte. @see MQTT 5.0 sections 3.4 to 3.7
 */
export function reasonedAck(
  header: number,
  packetId: number,
  reasonCode: number,
  reason: string | null
): Buffer {
  const head = Buffer.of(packetId >> 8, packetId & 255, reasonCode)
  if (reason === null) return buildPacket(header, head)
  return buildPacket(header, head, propertyField(textProperty(PROPERTY.reasonString, reason)))
}

/** CONNACK; `properties` for MQTT 5 only. @see MQTT 5.0 section 3.2 */
export function connack(isPresent: boolean, code: number, properties: readonly Buffer[] | null): Buffer {
  const head = Buffer.of(isPresent ? 1 : 0, code)
  return properties === null ? buildPacket(0x20, head) : buildPacket(0x20, head, propertyField(...properties))
}

/** SUBACK or UNSUBACK (`header` 0x90 or 0xb0). @see MQTT 5.0 sections 3.9 and 3.11 */
export function subscriptionAck(
  header: number,
  packetId: number,
  isV5: boolean,
  codes: readonly number[]
): Buffer {
  const id = Buffer.of(packetId >> 8, packetId & 255)
  if (isV5) return buildPacket(header, id, Buffer.of(0), Buffer.from(codes))
  // a 3.1.1 UNSUBACK has no payload [MQTT-3.11]
  return header === 0x90 ? buildPacket(header, id, Buffer.from(codes)) : buildPacket(header, id)
}

/** DISCONNECT of a server, MQTT 5 only. @see MQTT 5.0 section 3.14 */
export function disconnect(reasonCode: number, reason: string | null): Buffer {
  if (reason === null) return buildPacket(0xe0, Buffer.of(reasonCode))
  return buildPacket(0xe0, Buffer.of(reasonCode), propertyField(textProperty(PROPERTY.reasonString, reason)))
}
