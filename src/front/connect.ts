import { QueueError } from '../errors.ts'
import { malformed, PacketCursor, protocolError } from '../wire/cursor.ts'
import { buildPacket, propertyField } from '../wire/packets.ts'
import { byteProperty, CARRIER, PROPERTY, uint32Property, walkProperties } from '../wire/properties.ts'
import { PUBLISH } from '../wire/publish.ts'

/** Most a client may ask for: kept for ever. @see MQTT 5.0 section 3.1.2.11.2 */
const EXPIRY_NEVER = 0xffffffff
const RECEIVE_MAXIMUM_DEFAULT = 65_535

const FLAG = { reserved: 1, clean: 2, will: 4, willQos: 24, willRetain: 32, password: 64, user: 128 } as const

/** What the server reads out of CONNECT. */
export interface ConnectRequest {
  /** 3 (MQTT 3.1), 4 (3.1.1) or 5. */
  readonly protocolVersion: number
  readonly clientId: string
  readonly isCleanStart: boolean
  readonly keepAliveSeconds: number
  /** Seconds the session is kept after the disconnect; 0: not at all; null: for ever. */
  readonly expirySeconds: number | null
  readonly receiveMaximum: number
  /** Whether reason strings may be sent. @see MQTT 5.0 section 3.1.2.11.7 */
  readonly wantsProblemInformation: boolean
  /** Null without a will. */
  readonly willTopic: string | null
  readonly willQos: number
  readonly isWillRetained: boolean
  /** The CONNECT that Aedes is shown: a clean session without keep alive, because sessions and time are ours. */
  readonly packet: Buffer
}

/**
 * Reads CONNECT: bytes[start .. end), its body from `body`.
 * @throws QueueError QUEUE_PACKET_MALFORMED, QUEUE_PROTOCOL_ERROR, QUEUE_PROTOCOL_UNSUPPORTED
 * @see MQTT 3.1.1 and 5.0 section 3.1
 */
export function readConnect(bytes: Buffer, body: number, end: number): ConnectRequest {
  const cursor = new PacketCursor(bytes, body, end)
  const name = cursor.text('the protocol name')
  const protocolVersion = cursor.byte()
  const expected = name === 'MQTT' ? [4, 5] : name === 'MQIsdp' ? [3] : []
  if (!expected.includes(protocolVersion)) {
    throw new QueueError('QUEUE_PROTOCOL_UNSUPPORTED', { detail: { name, level: protocolVersion } })
  }
  const flagsAt = cursor.at
  const flags = cursor.byte()
  checkFlags(flags, protocolVersion)
  const keepAliveSeconds = cursor.uint16()
  const propertiesAt = cursor.at
  const isV5 = protocolVersion === 5
  const properties = readProperties(isV5 ? cursor.properties() : null)
  const payloadAt = cursor.at
  const clientId = cursor.text('the client id')
  const willTopic = readPayload(cursor, flags, isV5)

  const head = Buffer.from(bytes.subarray(body, propertiesAt))
  head[flagsAt - body] = flags | FLAG.clean
  head.writeUInt16BE(0, flagsAt - body + 1)
  const field = isV5 ? propertyField(...properties.forAedes) : Buffer.alloc(0)
  const isCleanStart = (flags & FLAG.clean) !== 0
  return {
    protocolVersion,
    clientId,
    isCleanStart,
    keepAliveSeconds,
    // a 3.1.1 session is kept until a Clean Session replaces it
    expirySeconds: isV5 ? properties.expirySeconds : isCleanStart ? 0 : null,
    receiveMaximum: properties.receiveMaximum,
    wantsProblemInformation: properties.wantsProblemInformation,
    willTopic,
    willQos: (flags & FLAG.willQos) >> 3,
    isWillRetained: (flags & FLAG.willRetain) !== 0,
    packet: buildPacket(0x10, head, field, bytes.subarray(payloadAt, end))
  }
}

function checkFlags(flags: number, protocolVersion: number): void {
  if (flags & FLAG.reserved) throw malformed('the reserved flag of CONNECT is set') // [MQTT-3.1.2-3]
  const hasWill = (flags & FLAG.will) !== 0
  if ((flags & FLAG.willQos) === FLAG.willQos) throw malformed('the will has QoS 3') // [MQTT-3.1.2-12]
  if (!hasWill && flags & (FLAG.willQos | FLAG.willRetain)) throw malformed('will flags without a will') // [MQTT-3.1.2-11, -13]
  // [MQTT-3.1.2-22] of 3.1.1; MQTT 5 lets a password stand alone
  if (protocolVersion < 5 && flags & FLAG.password && !(flags & FLAG.user)) {
    throw malformed('a password without a user name')
  }
}

/** Checks what follows the client id; returns the will topic. */
function readPayload(cursor: PacketCursor, flags: number, isV5: boolean): string | null {
  let willTopic: string | null = null
  if (flags & FLAG.will) {
    if (isV5) walkProperties(cursor.properties(), CARRIER.will, () => {})
    willTopic = cursor.text('the will topic')
    cursor.binary()
  }
  if (flags & FLAG.user) cursor.text('the user name')
  if (flags & FLAG.password) cursor.binary()
  if (!cursor.isAtEnd) throw malformed('CONNECT has bytes behind its last field')
  return willTopic
}

interface ConnectProperties {
  expirySeconds: number | null
  receiveMaximum: number
  wantsProblemInformation: boolean
  /** Without the session expiry: Aedes is to believe that the session ends with the connection. */
  forAedes: Buffer[]
}

function readProperties(bytes: Buffer | null): ConnectProperties {
  const read: ConnectProperties = {
    expirySeconds: 0,
    receiveMaximum: RECEIVE_MAXIMUM_DEFAULT,
    wantsProblemInformation: true,
    forAedes: []
  }
  if (bytes === null) return read
  walkProperties(bytes, CARRIER.connect, (id, value, from, to) => {
    if (id === PROPERTY.sessionExpiryInterval) read.expirySeconds = value === EXPIRY_NEVER ? null : value
    else read.forAedes.push(bytes.subarray(from, to))
    if (id === PROPERTY.receiveMaximum) {
      if (value === 0) throw protocolError('Receive Maximum is 0') // [MQTT-3.1.2.11.3]
      read.receiveMaximum = value
    }
    if (id === PROPERTY.maximumPacketSize && value === 0) throw protocolError('Maximum Packet Size is 0') // [MQTT-3.1.2.11.4]
    // [MQTT-3.1.2.11.6], [MQTT-3.1.2.11.7]
    const isFlag = id === PROPERTY.requestProblemInformation || id === PROPERTY.requestResponseInformation
    if (isFlag && value > 1) throw protocolError(`property ${id} is ${value}, not 0 or 1`)
    if (id === PROPERTY.requestProblemInformation) read.wantsProblemInformation = value === 1
  })
  return read
}

/** Properties of our CONNACK, besides those Aedes gave. @see MQTT 5.0 section 3.2.2.3 */
export function connackProperties(fromAedes: Buffer, maxPacketBytes: number): Buffer[] {
  const ours = [
    byteProperty(PROPERTY.maximumQos, 1),
    byteProperty(PROPERTY.retainAvailable, 0),
    uint32Property(PROPERTY.maximumPacketSize, maxPacketBytes),
    byteProperty(PROPERTY.subscriptionIdentifierAvailable, 0),
    byteProperty(PROPERTY.sharedSubscriptionAvailable, 0)
  ]
  const ids = new Set<number>(ours.map(property => property[0]!))
  const kept: Buffer[] = []
  walkProperties(fromAedes, CARRIER.connack, (id, _value, from, to) => {
    if (!ids.has(id)) kept.push(fromAedes.subarray(from, to))
  })
  return [...kept, ...ours]
}

/** First bits of a packet's first byte that must be as given. @see MQTT section 2.2.2 */
export function hasLegalFlags(header: number): boolean {
  const type = header >> 4
  if (type << 4 === PUBLISH) return true
  // type 0 is reserved [MQTT-2.1.2]
  return type !== 0 && (header & 15) === (type === 6 || type === 8 || type === 10 ? 2 : 0)
}
