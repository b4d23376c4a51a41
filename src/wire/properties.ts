import { malformed, PacketCursor, protocolError } from './cursor.ts'
import { varintLength, writeVarint } from './varint.ts'

/** Identifiers of MQTT 5 properties. @see MQTT 5.0 section 2.2.2.2 */
export const PROPERTY = {
  payloadFormatIndicator: 1,
  messageExpiryInterval: 2,
  contentType: 3,
  responseTopic: 8,
  correlationData: 9,
  subscriptionIdentifier: 11,
  sessionExpiryInterval: 17,
  assignedClientIdentifier: 18,
  serverKeepAlive: 19,
  authenticationMethod: 21,
  authenticationData: 22,
  requestProblemInformation: 23,
  willDelayInterval: 24,
  requestResponseInformation: 25,
  responseInformation: 26,
  serverReference: 28,
  reasonString: 31,
  receiveMaximum: 33,
  topicAliasMaximum: 34,
  topicAlias: 35,
  maximumQos: 36,
  retainAvailable: 37,
  userProperty: 38,
  maximumPacketSize: 39,
  wildcardSubscriptionAvailable: 40,
  subscriptionIdentifierAvailable: 41,
  sharedSubscriptionAvailable: 42
} as const

/** Packets that carry properties, as bits of {@link PropertySpec.packets}. */
export const CARRIER = {
  connect: 1,
  connack: 2,
  publish: 4,
  will: 8,
  ack: 16,
  subscribe: 32,
  unsubscribe: 64,
  disconnect: 128
} as const

type Kind = 'byte' | 'uint16' | 'uint32' | 'varint' | 'text' | 'binary' | 'pair'

interface PropertySpec {
  readonly kind: Kind
  readonly packets: number
}

const c = CARRIER
const P = PROPERTY

const SPECS = new Map<number, PropertySpec>([
  [P.payloadFormatIndicator, { kind: 'byte', packets: c.publish | c.will }],
  [P.messageExpiryInterval, { kind: 'uint32', packets: c.publish | c.will }],
  [P.contentType, { kind: 'text', packets: c.publish | c.will }],
  [P.responseTopic, { kind: 'text', packets: c.publish | c.will }],
  [P.correlationData, { kind: 'binary', packets: c.publish | c.will }],
  [P.subscriptionIdentifier, { kind: 'varint', packets: c.publish | c.subscribe }],
  [P.sessionExpiryInterval, { kind: 'uint32', packets: c.connect | c.connack | c.disconnect }],
  [P.assignedClientIdentifier, { kind: 'text', packets: c.connack }],
  [P.serverKeepAlive, { kind: 'uint16', packets: c.connack }],
  [P.authenticationMethod, { kind: 'text', packets: c.connect | c.connack }],
  [P.authenticationData, { kind: 'binary', packets: c.connect | c.connack }],
  [P.requestProblemInformation, { kind: 'byte', packets: c.connect }],
  [P.willDelayInterval, { kind: 'uint32', packets: c.will }],
  [P.requestResponseInformation, { kind: 'byte', packets: c.connect }],
  [P.responseInformation, { kind: 'text', packets: c.connack }],
  [P.serverReference, { kind: 'text', packets: c.connack | c.disconnect }],
  [P.reasonString, { kind: 'text', packets: c.connack | c.ack | c.disconnect }],
  [P.receiveMaximum, { kind: 'uint16', packets: c.connect | c.connack }],
  [P.topicAliasMaximum, { kind: 'uint16', packets: c.connect | c.connack }],
  [P.topicAlias, { kind: 'uint16', packets: c.publish }],
  [P.maximumQos, { kind: 'byte', packets: c.connack }],
  [P.retainAvailable, { kind: 'byte', packets: c.connack }],
  [P.userProperty, { kind: 'pair', packets: 255 }],
  [P.maximumPacketSize, { kind: 'uint32', packets: c.connect | c.connack }],
  [P.wildcardSubscriptionAvailable, { kind: 'byte', packets: c.connack }],
  [P.subscriptionIdentifierAvailable, { kind: 'byte', packets: c.connack }],
  [P.sharedSubscriptionAvailable, { kind: 'byte', packets: c.connack }]
])

/** One property: its id, its number when it is one, and where it stands in the bytes that were given. */
export type PropertyVisitor = (id: number, value: number, from: number, to: number) => void

/**
 * Walks the properties of one packet in order and checks them.
 * @param bytes the properties without their length.
 * @param carrier the packet they stand in, one of {@link CARRIER}.
 * @throws QueueError QUEUE_PACKET_MALFORMED (cut off, bad UTF-8, not one of this packet), QUEUE_PROTOCOL_ERROR (twice)
 * @see MQTT 5.0 section 2.2.2
 */
export function walkProperties(bytes: Buffer, carrier: number, visit: PropertyVisitor): void {
  const cursor = new PacketCursor(bytes, 0, bytes.length)
  let seen = 0n
  while (!cursor.isAtEnd) {
    const from = cursor.at
    const id = cursor.varint()
    const spec = SPECS.get(id)
    if (!spec) throw malformed(`there is no property ${id}`)
    if ((spec.packets & carrier) === 0) throw malformed(`property ${id} is not one of this packet`)
    const bit = 1n << BigInt(id)
    if ((seen & bit) !== 0n && id !== P.userProperty) throw protocolError(`property ${id} stands twice`)
    seen |= bit
    const value = readValue(cursor, spec.kind, id)
    visit(id, value, from, cursor.at)
  }
}

function readValue(cursor: PacketCursor, kind: Kind, id: number): number {
  switch (kind) {
    case 'byte':
      return cursor.byte()
    case 'uint16':
      return cursor.uint16()
    case 'uint32':
      return cursor.uint32()
    case 'varint':
      return cursor.varint()
    case 'text':
      cursor.text(`property ${id}`)
      return 0
    case 'pair':
      cursor.text('the name of a user property')
      cursor.text('the value of a user property')
      return 0
    case 'binary':
      cursor.binary()
      return 0
  }
}

/** A property with a number of one byte. */
export function byteProperty(id: number, value: number): Buffer {
  return Buffer.of(id, value)
}

/** A property with a number of two bytes. */
export function uint16Property(id: number, value: number): Buffer {
  return Buffer.of(id, value >> 8, value & 255)
}

/** A property with a Variable Byte Integer. */
export function varintProperty(id: number, value: number): Buffer {
  const property = Buffer.allocUnsafe(1 + varintLength(value))
  property[0] = id
  writeVarint(property, value, 1)
  return property
}

/** A property with a number of four bytes. */
export function uint32Property(id: number, value: number): Buffer {
  const property = Buffer.allocUnsafe(5)
  property[0] = id
  property.writeUInt32BE(value, 1)
  return property
}

/** A property with a string, cut to what a length of two bytes can say. */
export function textProperty(id: number, text: string): Buffer {
  const value = Buffer.from(text.length > 8_000 ? text.slice(0, 8_000) : text, 'utf8')
  const property = Buffer.allocUnsafe(3 + value.length)
  property[0] = id
  property.writeUInt16BE(value.length, 1)
  value.copy(property, 3)
  return property
}
