import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { QueueError, RECORD_VERSION } from '../../src/plugin.ts'

/**
 * A segment is one file of the lane: a header, then batches. All numbers are little-endian.
 *
 * ```
 * header (128 bytes)                                batch header (20 bytes), before the records of each commit
 *    0  8 bytes  "RESTANTE"                            0  8 bytes  salt of the segment
 *    8  u16      SEGMENT_VERSION                       8  u48      sequence of the first record behind it
 *   10  u16      RECORD_VERSION                       14  u16      0
 *   12  u32      how often it was rewritten; 0: never 16  u32      crc32 of bytes 0 to 15
 *   16  8 bytes  salt: random, highest bit of byte 3 set
 *   24  u48      first sequence it answers for
 *   30  u48      last sequence it answers for; 0: the last one in it
 *   36  f64      when it was made, milliseconds since 1970
 *   44  u8       bytes of the lane's name, then the name in UTF-8
 *  124  u32      crc32 of bytes 0 to 123
 * ```
 *
 * The salt tells a batch header from a record (whose length never has the highest bit) and from anything a
 * publisher can put into a message, so that reading can go on behind a damaged place.
 *
 * Rule for changing it: the first 12 bytes, the length and the place of the checksum stay as they are for all
 * time, so that every server can tell a newer version from damage. Anything else needs a new SEGMENT_VERSION.
 */
export const SEGMENT_VERSION = 1

/** Bytes of a segment header. */
export const HEADER_BYTES = 128
/** Bytes of a batch header. */
export const BATCH_HEADER_BYTES = 20
/** Bytes of the salt that the batch headers of a segment carry. */
export const SALT_BYTES = 8
const MAGIC = Buffer.from('RESTANTE', 'latin1')
const CRC_AT = HEADER_BYTES - 4
const LANE_AT = 44
/** Most bytes of a lane's name. */
export const MAX_LANE_BYTES = CRC_AT - LANE_AT - 1

/** What the header of a segment says. */
export interface SegmentHeader {
  readonly lane: string
  readonly salt: Buffer
  /** 0 for a segment as it was written first; the higher one counts where two answer for the same sequences. */
  readonly rewrites: number
  readonly firstSequence: number
  /** 0: it ends with its last record. */
  readonly throughSequence: number
  readonly createdAt: number
}

/** A new salt. */
export function createSalt(): Buffer {
  const salt = randomBytes(SALT_BYTES)
  salt[3]! |= 0x80
  return salt
}

/** The bytes of a header. */
export function encodeHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt16LE(SEGMENT_VERSION, 8)
  bytes.writeUInt16LE(RECORD_VERSION, 10)
  bytes.writeUInt32LE(header.rewrites, 12)
  header.salt.copy(bytes, 16)
  bytes.writeUIntLE(header.firstSequence, 24, 6)
  bytes.writeUIntLE(header.throughSequence, 30, 6)
  bytes.writeDoubleLE(header.createdAt, 36)
  bytes[LANE_AT] = bytes.write(header.lane, LANE_AT + 1, MAX_LANE_BYTES)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT)
  return bytes
}

/**
 * Reads a header; `null` when it is damaged or cut off.
 * @throws QueueError QUEUE_DATA_VERSION when a newer server wrote it.
 */
export function decodeHeader(bytes: Buffer, path: string): SegmentHeader | null {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return null
  if (crc32(bytes.subarray(0, CRC_AT)) !== bytes.readUInt32LE(CRC_AT)) return null
  expectVersion(path, bytes.readUInt16LE(8), SEGMENT_VERSION)
  expectVersion(path, bytes.readUInt16LE(10), RECORD_VERSION)
  return {
    lane: bytes.toString('utf8', LANE_AT + 1, LANE_AT + 1 + bytes[LANE_AT]!),
    salt: Buffer.from(bytes.subarray(16, 16 + SALT_BYTES)),
    rewrites: bytes.readUInt32LE(12),
    firstSequence: bytes.readUIntLE(24, 6),
    throughSequence: bytes.readUIntLE(30, 6),
    createdAt: bytes.readDoubleLE(36)
  }
}

function expectVersion(file: string, found: number, expected: number): void {
  if (found > expected) throw new QueueError('QUEUE_DATA_VERSION', { detail: { file, found, expected } })
}

/** The bytes of a batch header. */
export function encodeBatchHeader(salt: Buffer, firstSequence: number): Buffer {
  const bytes = Buffer.allocUnsafe(BATCH_HEADER_BYTES)
  salt.copy(bytes)
  bytes.writeUIntLE(firstSequence, 8, 6)
  bytes.writeUInt16LE(0, 14)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 16)), 16)
  return bytes
}

/** Whether what stands at `offset` is a batch header, good or damaged, and not a record. */
export function isBatchHeader(bytes: Buffer, offset: number): boolean {
  return (bytes[offset + 3]! & 0x80) !== 0
}

/** The sequence of the batch header at `offset`; 0 when no good one stands there. */
export function batchSequence(bytes: Buffer, offset: number, salt: Buffer): number {
  if (offset + BATCH_HEADER_BYTES > bytes.length) return 0
  if (bytes.compare(salt, 0, SALT_BYTES, offset, offset + SALT_BYTES) !== 0) return 0
  return crc32(bytes.subarray(offset, offset + 16)) === bytes.readUInt32LE(offset + 16)
    ? bytes.readUIntLE(offset + 8, 6)
    : 0
}

const NAME = /^(\d{16})(?:\.(\d{1,10}))?\.(seg|idx)(\.tmp)?$/

/** What the name of a file in the journal folder says. */
export interface SegmentName {
  readonly firstSequence: number
  readonly rewrites: number
  readonly kind: 'seg' | 'idx'
  readonly isTemporary: boolean
}

/** The file name of a segment without its ending: `0000000000000001`, and `0000000000000001.2` once rewritten twice. */
export function segmentName(header: Pick<SegmentHeader, 'firstSequence' | 'rewrites'>): string {
  const name = String(header.firstSequence).padStart(16, '0')
  return header.rewrites === 0 ? name : `${name}.${header.rewrites}`
}

/** Reads a name; `null` when it is none of ours. */
export function parseName(name: string): SegmentName | null {
  const found = NAME.exec(name)
  if (!found) return null
  return {
    firstSequence: Number(found[1]),
    rewrites: Number(found[2] ?? 0),
    kind: found[3] as 'seg' | 'idx',
    isTemporary: found[4] !== undefined
  }
}
