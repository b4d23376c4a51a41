import { crc32 } from 'node:zlib'
import { Message, ORIGIN } from '../wire/message.ts'

/**
 * The journal record of one message. All numbers are little-endian.
 *
 * ```
 * u32 bodyBytes | u32 crc32(body) | body
 * body: u8 type | u8 flags | u48 sequence | f64 acceptedAt | f64 expiresAt
 *       u16 n, n x u32 stream id | u16 bytes, publisher client id | with an origin: u32 originId
 *       the PUBLISH packet (DUP cleared)
 * ```
 *
 * Rule for changing it: records are read for as long as somebody still waits for them. A new field gets a new
 * record type or flag; the meaning of what is written here never changes. What an older server cannot read
 * needs a new RECORD_VERSION, which stands in the header of every segment.
 */
export const RECORD_VERSION = 2

/** Bytes in front of the body: length and checksum. */
export const RECORD_PREFIX_BYTES = 8
const FIXED_BODY_BYTES = 28
const TYPE_MESSAGE = 1
const FLAG_V5 = 1
/** The other flags are the origins. */
const ORIGINS = ORIGIN.inbound | ORIGIN.will

/** What is written of one message. */
export interface RecordFields {
  readonly expiresAt: number
  /** Client id of the publisher in UTF-8, at most 65,535 bytes. */
  readonly publisher: Buffer
  /** First byte of the packet as it is to be kept. */
  readonly header: number
  readonly isV5: boolean
  /** The packet is packet[from .. to). */
  readonly packet: Buffer
  readonly from: number
  readonly to: number
  /** As `Message.origin` and `Message.originId`. */
  readonly origin: number
  readonly originId: number
}

/** A record read back. */
export interface JournalRecord {
  readonly message: Message
  readonly streamIds: readonly number[]
  /** Bytes of the whole record, prefix included. */
  readonly recordBytes: number
}

/** Bytes the whole record will take. */
export function recordLength(fields: RecordFields, streams: number): number {
  const { publisher, from, to, origin } = fields
  const variable = 4 * streams + publisher.length + (origin === 0 ? 0 : 4) + to - from
  return RECORD_PREFIX_BYTES + FIXED_BODY_BYTES + variable
}

/**
 * Writes a record at `offset`, where there must be room for {@link recordLength}.
 * @param streamIds the streams it belongs to.
 * @returns the offset of the packet in it.
 */
export function writeRecord(
  target: Buffer,
  offset: number,
  fields: RecordFields,
  streamIds: readonly number[],
  sequence: number,
  acceptedAt: number
): number {
  let at = offset + RECORD_PREFIX_BYTES
  target[at] = TYPE_MESSAGE
  target[at + 1] = fields.origin | (fields.isV5 ? FLAG_V5 : 0)
  target.writeUIntLE(sequence, at + 2, 6)
  target.writeDoubleLE(acceptedAt, at + 8)
  target.writeDoubleLE(fields.expiresAt, at + 16)
  target.writeUInt16LE(streamIds.length, at + 24)
  at += 26
  for (const id of streamIds) at = target.writeUInt32LE(id, at)
  at = target.writeUInt16LE(fields.publisher.length, at)
  if (fields.publisher.length > 0) at += fields.publisher.copy(target, at)
  if (fields.origin !== 0) at = target.writeUInt32LE(fields.originId, at)
  const packetAt = at
  fields.packet.copy(target, at, fields.from, fields.to)
  target[at] = fields.header
  at += fields.to - fields.from
  const body = target.subarray(offset + RECORD_PREFIX_BYTES, at)
  target.writeUInt32LE(body.length, offset)
  target.writeUInt32LE(crc32(body), offset + 4)
  return packetAt
}

/**
 * Whether a whole record with a right checksum stands at `offset`; `end` is where the readable bytes end.
 * @returns its length in bytes; 0 when the bytes end too early; -1 when what stands there is no record.
 */
export function checkRecord(source: Buffer, offset: number, end: number): number {
  if (end - offset < RECORD_PREFIX_BYTES) return 0
  const bodyBytes = source.readUInt32LE(offset)
  if (bodyBytes < FIXED_BODY_BYTES || source[offset + RECORD_PREFIX_BYTES] !== TYPE_MESSAGE) return -1
  const stop = offset + RECORD_PREFIX_BYTES + bodyBytes
  if (stop > end) return 0
  const body = source.subarray(offset + RECORD_PREFIX_BYTES, stop)
  return crc32(body) === source.readUInt32LE(offset + 4) ? RECORD_PREFIX_BYTES + bodyBytes : -1
}

/** The sequence of the record at `offset`, unchecked. */
export function recordSequence(source: Buffer, offset: number): number {
  return source.readUIntLE(offset + RECORD_PREFIX_BYTES + 2, 6)
}

/** The stream ids of the record at `offset`, unchecked; cheaper than {@link readRecord}. */
export function recordStreams(source: Buffer, offset: number): number[] {
  const at = offset + RECORD_PREFIX_BYTES + 24
  const ids = new Array<number>(source.readUInt16LE(at))
  for (let i = 0; i < ids.length; i++) ids[i] = source.readUInt32LE(at + 2 + 4 * i)
  return ids
}

/** When the message of the record at `offset` expires, unchecked; 0: never. */
export function recordExpiry(source: Buffer, offset: number): number {
  return source.readDoubleLE(offset + RECORD_PREFIX_BYTES + 16)
}

/** Reads a record that {@link checkRecord} found good. The message is a view of `source`, not a copy. */
export function readRecord(source: Buffer, offset: number): JournalRecord {
  const bodyBytes = source.readUInt32LE(offset)
  const body = offset + RECORD_PREFIX_BYTES
  const flags = source[body + 1]!
  const streamIds = recordStreams(source, offset)
  let at = body + 26 + 4 * streamIds.length
  const publisherBytes = source.readUInt16LE(at)
  const publisher = source.toString('utf8', at + 2, at + 2 + publisherBytes)
  at += 2 + publisherBytes
  const origin = flags & ORIGINS
  const originId = origin === 0 ? 0 : source.readUInt32LE(at)
  if (origin !== 0) at += 4
  const message = new Message(source, at, body + bodyBytes - at, (flags & FLAG_V5) !== 0)
  message.sequence = source.readUIntLE(body + 2, 6)
  message.acceptedAt = source.readDoubleLE(body + 8)
  message.expiresAt = source.readDoubleLE(body + 16)
  message.publisher = publisher
  message.origin = origin
  message.originId = originId
  return {
    message,
    streamIds,
    recordBytes: RECORD_PREFIX_BYTES + bodyBytes
  }
}
