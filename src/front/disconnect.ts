import { malformed, type PacketCursor, protocolError } from '../wire/cursor.ts'
import { CARRIER, PROPERTY, walkProperties } from '../wire/properties.ts'
import { EXPIRY_NEVER } from './connect.ts'

const WITH_WILL = 0x04
/** @see MQTT 5.0 section 3.14.2.1: those that a client may send. */
const CODES = new Set([
  0x00,
  WITH_WILL,
  0x80,
  0x81,
  0x82,
  0x83,
  0x90,
  0x93,
  0x94,
  0x95,
  0x96,
  0x97,
  0x98,
  0x99
])

/** What DISCONNECT of a client says. */
export interface DisconnectRequest {
  /** The will is to be sent all the same. */
  readonly keepsWill: boolean
  /** How long the session is kept from now on; undefined: as before; null: for ever. */
  readonly expirySeconds: number | null | undefined
}

/**
 * Reads DISCONNECT.
 * @param maxExpirySeconds longest time that a session is kept; 0: as long as the client asks for.
 * @throws QueueError QUEUE_PACKET_MALFORMED, QUEUE_PROTOCOL_ERROR @see MQTT 5.0 section 3.14
 */
export function readDisconnect(
  cursor: PacketCursor,
  isV5: boolean,
  maxExpirySeconds: number
): DisconnectRequest {
  let expirySeconds: number | null | undefined
  const reasonCode = isV5 && !cursor.isAtEnd ? cursor.byte() : 0
  if (isV5 && !cursor.isAtEnd) {
    walkProperties(cursor.properties(), CARRIER.disconnect, (id, value) => {
      if (id === PROPERTY.sessionExpiryInterval) expirySeconds = value === EXPIRY_NEVER ? null : value
      if (id === PROPERTY.serverReference) throw protocolError('a client sent a server reference')
    })
  }
  if (!cursor.isAtEnd) throw malformed('DISCONNECT has bytes behind its last field')
  if (!CODES.has(reasonCode)) throw protocolError(`reason code ${reasonCode} is not one for DISCONNECT`)
  // [MQTT-3.14.4-3] only the normal one takes the will back
  return { keepsWill: reasonCode !== 0, expirySeconds: limited(expirySeconds, maxExpirySeconds) }
}

function limited(seconds: number | null | undefined, limit: number): number | null | undefined {
  if (limit === 0 || seconds === undefined) return seconds
  return Math.min(seconds ?? Number.POSITIVE_INFINITY, limit)
}
