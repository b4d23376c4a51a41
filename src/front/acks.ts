import type { AedesClient } from '../broker/broker.ts'
import { ENTRY, type InflightEntry } from '../delivery/inflight.ts'
import type { Session } from '../delivery/session.ts'
import { malformed, PacketCursor, protocolError } from '../wire/cursor.ts'
import type { Message } from '../wire/message.ts'
import { reasonedAck, TYPE } from '../wire/packets.ts'
import { CARRIER, walkProperties } from '../wire/properties.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'

const PUBREL = 0x62
const PUBCOMP = 0x70
const NOT_FOUND = 0x92
/** Reason codes from here on say that something failed. */
const FAILURE = 0x80

/** @see MQTT 5.0 sections 3.4.2.1 and 3.5.2.1 */
const RECEIPT_CODES = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
/** @see MQTT 5.0 sections 3.6.2.1 and 3.7.2.1 */
const RELEASE_CODES = new Set([0x00, NOT_FOUND])

/** PUBACK of the client: the commonest packet after PUBLISH, read without a detour. @see MQTT 5.0 section 3.4 */
export function puback(
  connection: Connection,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number
): void {
  const isPlain = end - body === 2
  const packetId = isPlain ? (bytes[body]! << 8) | bytes[body + 1]! : 0
  if (packetId === 0) readAck(connection, TYPE.puback, new PacketCursor(bytes, body, end))
  const id = packetId || bytes.readUInt16BE(body)
  const entry = session.inflight.get(id)
  if (!entry) return // of an earlier life of the session
  if (entry.flags & ENTRY.qos2) throw protocolError(`PUBACK for packet id ${id}, which was sent with QoS 2`)
  session.ack(id)
  connection.acked(entry, id)
}

/** Tells listeners of `ack` what a client has acked; a message that cannot be read any more is not told of. */
export function tellAck(
  client: AedesClient,
  { broker, journal, retained }: FrontContext,
  { sequence, flags }: InflightEntry,
  packetId: number
): void {
  const kept = flags & ENTRY.aside ? retained.bySequence(sequence) : undefined
  const found = kept ? Promise.resolve(kept) : journal.fetch(sequence)
  const isExact = (flags & ENTRY.qos2) !== 0
  const tell = (message: Message | null) => message && broker.events.acked(client, message, packetId, isExact)
  found.then(tell, () => {})
}

/** PUBREC, PUBREL and PUBCOMP of the client. @see MQTT 5.0 sections 3.5 to 3.7, 4.3.3 */
export function exchange(connection: Connection, session: Session, type: number, cursor: PacketCursor): void {
  const { packetId, reasonCode } = readAck(connection, type, cursor)
  if (type === TYPE.pubrec) pubrec(connection, session, packetId, reasonCode)
  else if (type === TYPE.pubrel) pubrel(connection, session, packetId)
  else pubcomp(connection, session, packetId)
}

function pubrec(connection: Connection, session: Session, packetId: number, reasonCode: number): void {
  const { outgoing } = connection
  const entry = session.inflight.get(packetId)
  if (!entry) {
    if (reasonCode < FAILURE) notFound(connection, PUBREL, packetId)
    return
  }
  if ((entry.flags & ENTRY.qos2) === 0) {
    throw protocolError(`PUBREC for packet id ${packetId}, which was sent with QoS 1`)
  }
  if (reasonCode >= FAILURE) {
    session.ack(packetId) // [MQTT-4.3.3-4] there is nothing to release
    return
  }
  if ((entry.flags & ENTRY.released) === 0) session.release(entry)
  outgoing.holdFor(0, session.syncNote)
  outgoing.release(packetId)
}

function pubrel(connection: Connection, session: Session, packetId: number): void {
  if (!connection.inbound.release(session, packetId)) {
    connection.outgoing.holdFor(0, session.syncNote)
    notFound(connection, PUBCOMP, packetId)
    return
  }
  connection.outgoing.holdFor(0, session.syncNote)
  connection.outgoing.ack(PUBCOMP, packetId)
}

function pubcomp(connection: Connection, session: Session, packetId: number): void {
  const entry = session.inflight.get(packetId)
  if (!entry) return
  if ((entry.flags & ENTRY.released) === 0) {
    throw protocolError(`PUBCOMP for packet id ${packetId}, for which no PUBREC has come`)
  }
  session.ack(packetId)
  connection.acked(entry, packetId)
}

/** The other side goes on as if all were well: 3.1.1 cannot be told otherwise. */
function notFound(connection: Connection, header: number, packetId: number): void {
  if (connection.isV5) connection.outgoing.send(reasonedAck(header, packetId, NOT_FOUND, null))
  else connection.outgoing.ack(header, packetId)
}

function readAck(
  connection: Connection,
  type: number,
  cursor: PacketCursor
): { packetId: number; reasonCode: number } {
  const packetId = cursor.uint16()
  if (packetId === 0) throw protocolError('the packet id is 0') // [MQTT-2.2.1-3]
  let reasonCode = 0
  if (connection.isV5 && !cursor.isAtEnd) {
    reasonCode = cursor.byte()
    const codes = type === TYPE.puback || type === TYPE.pubrec ? RECEIPT_CODES : RELEASE_CODES
    if (!codes.has(reasonCode)) throw protocolError(`reason code ${reasonCode} is not one for this packet`)
    if (!cursor.isAtEnd) walkProperties(cursor.properties(), CARRIER.ack, () => {})
  }
  if (!cursor.isAtEnd) throw malformed('an acknowledgement has bytes behind its last field')
  return { packetId, reasonCode }
}
