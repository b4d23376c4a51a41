import type { WillRequest } from '../delivery/wills.ts'
import { QueueError } from '../errors.ts'
import { malformed, PacketCursor, protocolError } from '../wire/cursor.ts'
import { buildPacket, propertyField } from '../wire/packets.ts'
import { CARRIER, PROPERTY, walkProperties } from '../wire/properties.ts'
import { PUBLISH } from '../wire/publish.ts'
import { CONNECT_FLAG as FLAG } from './connect-flags.ts'
import { readWill } from './will.ts'

/** Most a client may ask for: kept for ever. @see MQTT 5.0 section 3.1.2.11.2 */
export const EXPIRY_NEVER = 0xffffffff
const RECEIVE_MAXIMUM_DEFAULT = 65_535

const WILL_FLAGS = FLAG.will | FLAG.willQos | FLAG.willRetain

/** What the server reads out of CONNECT. */
export interface ConnectRequest {
  /** 3 (MQTT 3.1), 4 (3.1.1) or 5. */
  readonly protocolVersion: number
  readonly clientId: string
  readonly isCleanStart: boolean
  readonly keepAliveSeconds: number
  /** Null without one. */
  readonly username: string | null
  /** Seconds the session is kept after the disconnect; 0: not at all; null: for ever. */
  readonly expirySeconds: number | null
  readonly receiveMaximum: number
  /** Largest packet it takes; Infinity: no limit. @see MQTT 5.0 section 3.1.2.11.4 */
  readonly maxPacketBytes: number
  readonly topicAliasMaximum: number
  /** Whether it would like Response Information. @see MQTT 5.0 section 3.1.2.11.6 */
  readonly wantsResponseInformation: boolean
  /** Whether reason strings may be sent. @see MQTT 5.0 section 3.1.2.11.7 */
  readonly wantsProblemInformation: boolean
  readonly will: WillRequest | null
  /** The CONNECT that Aedes is shown: a clean session without keep alive and will, because these are ours. */
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
  const willAt = cursor.at
  const will = flags & FLAG.will ? readWill(cursor, flags, isV5) : null
  const loginAt = cursor.at
  const username = readLogin(cursor, flags)

  const head = Buffer.from(bytes.subarray(body, propertiesAt))
  head[flagsAt - body] = (flags & ~WILL_FLAGS) | FLAG.clean
  head.writeUInt16BE(0, flagsAt - body + 1)
  const field = isV5 ? propertyField(...properties.forAedes) : Buffer.alloc(0)
  const isCleanStart = (flags & FLAG.clean) !== 0
  return {
    protocolVersion,
    clientId,
    isCleanStart,
    keepAliveSeconds,
    username,
    // a 3.1.1 session is kept until a Clean Session replaces it
    ...properties,
    ...(isV5 ? {} : { expirySeconds: isCleanStart ? 0 : null }),
    will,
    packet: buildPacket(0x10, head, field, bytes.subarray(payloadAt, willAt), bytes.subarray(loginAt, end))
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

/** Checks user name and password; returns the name. */
function readLogin(cursor: PacketCursor, flags: number): string | null {
  const username = flags & FLAG.user ? cursor.text('the user name') : null
  if (flags & FLAG.password) cursor.binary()
  if (!cursor.isAtEnd) throw malformed('CONNECT has bytes behind its last field')
  return username
}

interface ConnectProperties {
  expirySeconds: number | null
  receiveMaximum: number
  maxPacketBytes: number
  topicAliasMaximum: number
  wantsResponseInformation: boolean
  wantsProblemInformation: boolean
  /** Without the session expiry: Aedes is to believe that the session ends with the connection. */
  forAedes: Buffer[]
}

function readProperties(bytes: Buffer | null): ConnectProperties {
  const read: ConnectProperties = {
    expirySeconds: 0,
    receiveMaximum: RECEIVE_MAXIMUM_DEFAULT,
    maxPacketBytes: Number.POSITIVE_INFINITY,
    topicAliasMaximum: 0,
    wantsResponseInformation: false,
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
    if (id === PROPERTY.maximumPacketSize) {
      if (value === 0) throw protocolError('Maximum Packet Size is 0') // [MQTT-3.1.2.11.4]
      read.maxPacketBytes = value
    }
    if (id === PROPERTY.topicAliasMaximum) read.topicAliasMaximum = value
    // [MQTT-3.1.2.11.6], [MQTT-3.1.2.11.7]
    const isFlag = id === PROPERTY.requestProblemInformation || id === PROPERTY.requestResponseInformation
    if (isFlag && value > 1) throw protocolError(`property ${id} is ${value}, not 0 or 1`)
    if (id === PROPERTY.requestResponseInformation) read.wantsResponseInformation = value === 1
    if (id === PROPERTY.requestProblemInformation) read.wantsProblemInformation = value === 1
  })
  return read
}

/** First bits of a packet's first byte that must be as given. @see MQTT section 2.2.2 */
export function hasLegalFlags(header: number): boolean {
  const type = header >> 4
  if (type << 4 === PUBLISH) return true
  // type 0 is reserved [MQTT-2.1.2]
  return type !== 0 && (header & 15) === (type === 6 || type === 8 || type === 10 ? 2 : 0)
}
