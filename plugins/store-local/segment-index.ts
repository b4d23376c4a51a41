import { crc32 } from 'node:zlib'
import type { MessageExpiry, Posting } from '../../src/plugin.ts'
import { HEADER_BYTES, SALT_BYTES, type SegmentHeader } from './segment-format.ts'
import { VarintReader, VarintWriter } from './varint.ts'

/**
 * The index of a sealed segment, in a file beside it that can be made again from the segment at any time.
 *
 * ```
 *  0  8 bytes  "RSTINDEX"             then varints (7 bits a byte, lowest first):
 *  8  u16      INDEX_VERSION            of each record: sequence - the one before, offset - the one before
 * 10  u16      0                          (the first: from the header's first sequence, and from HEADER_BYTES)
 * 12  8 bytes  salt of the segment      of each stream: id, count of its records, then of each of them
 * 20  u48      bytes of the segment       its place in the list above - the one before (the first: its place)
 * 26  u32      records                last: u32 crc32 of everything before it
 * 30  u32      streams                  then: count of records that expire, and of each of them: its place - the
 *                                         one before (the first: its place), expiresAt in milliseconds since 1970
 * ```
 *
 * Rule for changing it: a file of another version is not read but made again.
 */
export const INDEX_VERSION = 2
const MAGIC = Buffer.from('RSTINDEX', 'latin1')
const SALT_AT = 12
const FIXED_BYTES = 34

/** What a segment holds. Arrays of numbers have one entry per record, ascending. */
export interface SegmentIndex {
  readonly sequences: ArrayLike<number>
  /** Where each record begins in the file. */
  readonly offsets: ArrayLike<number>
  /** Of each stream: the places of its records in the arrays above, ascending. */
  readonly streams: ReadonlyMap<number, ArrayLike<number>>
  /** Of each record that expires: its place, and when, milliseconds since 1970; one behind the other, ascending. */
  readonly expiries: readonly number[]
  /** Bytes of the file up to the end of its last record. */
  readonly end: number
}

/** The index of a segment that still grows. */
export class IndexBuilder implements SegmentIndex {
  readonly sequences: number[] = []
  readonly offsets: number[] = []
  readonly streams = new Map<number, number[]>()
  readonly expiries: number[] = []
  end = HEADER_BYTES
  /** Entries in all streams. */
  postings = 0

  /** Takes in the next record. @param expiresAt milliseconds since 1970; 0: never. */
  add(
    sequence: number,
    offset: number,
    recordBytes: number,
    streamIds: readonly number[],
    expiresAt = 0
  ): void {
    const place = this.sequences.length
    if (expiresAt !== 0) this.expiries.push(place, expiresAt)
    this.sequences.push(sequence)
    this.offsets.push(offset)
    this.end = offset + recordBytes
    this.postings += streamIds.length
    for (const id of streamIds) {
      const places = this.streams.get(id)
      if (places) places.push(place)
      else this.streams.set(id, [place])
    }
  }
}

/** The runs of sequences that an index knows. */
export function postingsOf(index: SegmentIndex): Posting[] {
  const postings: Posting[] = []
  for (const [streamId, places] of index.streams) {
    const sequences = new Float64Array(places.length)
    for (let i = 0; i < places.length; i++) sequences[i] = index.sequences[places[i]!]!
    postings.push({ streamId, sequences })
  }
  return postings
}

/** When the messages that an index knows expire, as far as they do. */
export function expiriesOf({ sequences, expiries }: SegmentIndex): MessageExpiry[] {
  const found: MessageExpiry[] = []
  for (let i = 0; i < expiries.length; i += 2) {
    found.push({ sequence: sequences[expiries[i]!]!, expiresAt: expiries[i + 1]! })
  }
  return found
}

/** The bytes of the index file. */
export function encodeIndex(index: SegmentIndex, header: SegmentHeader): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES)
  MAGIC.copy(fixed)
  fixed.writeUInt16LE(INDEX_VERSION, 8)
  header.salt.copy(fixed, SALT_AT)
  fixed.writeUIntLE(index.end, 20, 6)
  fixed.writeUInt32LE(index.sequences.length, 26)
  fixed.writeUInt32LE(index.streams.size, 30)
  const writer = new VarintWriter()
  writeRecords(writer, index, header.firstSequence)
  for (const [streamId, places] of index.streams) writeStream(writer, streamId, places)
  writeExpiries(writer, index.expiries)
  const bytes = Buffer.concat([fixed, writer.bytes(), Buffer.alloc(4)])
  bytes.writeUInt32LE(crc32(bytes.subarray(0, bytes.length - 4)), bytes.length - 4)
  return bytes
}

function writeRecords(writer: VarintWriter, index: SegmentIndex, firstSequence: number): void {
  let sequence = firstSequence
  let offset = HEADER_BYTES
  for (let i = 0; i < index.sequences.length; i++) {
    writer.write(index.sequences[i]! - sequence)
    writer.write(index.offsets[i]! - offset)
    sequence = index.sequences[i]!
    offset = index.offsets[i]!
  }
}

function writeStream(writer: VarintWriter, streamId: number, places: ArrayLike<number>): void {
  writer.write(streamId)
  writer.write(places.length)
  let place = 0
  for (let i = 0; i < places.length; i++) {
    writer.write(places[i]! - place)
    place = places[i]!
  }
}

function writeExpiries(writer: VarintWriter, expiries: readonly number[]): void {
  writer.write(expiries.length / 2)
  let place = 0
  for (let i = 0; i < expiries.length; i += 2) {
    writer.write(expiries[i]! - place)
    writer.write(Math.ceil(expiries[i + 1]!))
    place = expiries[i]!
  }
}

/** Reads an index file; `null` when it is damaged, of another version, or of another segment than this one. */
export function decodeIndex(bytes: Buffer, header: SegmentHeader): SegmentIndex | null {
  if (!isWhole(bytes)) return null
  if (!bytes.subarray(SALT_AT, SALT_AT + SALT_BYTES).equals(header.salt)) return null
  const reader = new VarintReader(bytes, FIXED_BYTES)
  const { sequences, offsets } = readRecords(reader, bytes.readUInt32LE(26), header.firstSequence)
  const streams = readStreams(reader, bytes.readUInt32LE(30))
  return { sequences, offsets, streams, expiries: readExpiries(reader), end: bytes.readUIntLE(20, 6) }
}

function readRecords(reader: VarintReader, count: number, firstSequence: number) {
  const sequences = new Float64Array(count)
  const offsets = new Float64Array(count)
  let sequence = firstSequence
  let offset = HEADER_BYTES
  for (let i = 0; i < count; i++) {
    sequences[i] = sequence += reader.next()
    offsets[i] = offset += reader.next()
  }
  return { sequences, offsets }
}

function readStreams(reader: VarintReader, count: number): Map<number, Uint32Array> {
  const streams = new Map<number, Uint32Array>()
  for (let i = 0; i < count; i++) {
    const streamId = reader.next()
    const places = new Uint32Array(reader.next())
    let place = 0
    for (let j = 0; j < places.length; j++) places[j] = place += reader.next()
    streams.set(streamId, places)
  }
  return streams
}

function readExpiries(reader: VarintReader): number[] {
  const expiries: number[] = []
  let place = 0
  for (let left = reader.next(); left > 0; left--) {
    place += reader.next()
    expiries.push(place, reader.next())
  }
  return expiries
}

/** The salt of the segment that an index file belongs to; `null` when the file is damaged. */
export function indexSalt(bytes: Buffer): Buffer | null {
  return isWhole(bytes) ? Buffer.from(bytes.subarray(SALT_AT, SALT_AT + SALT_BYTES)) : null
}

function isWhole(bytes: Buffer): boolean {
  return (
    bytes.length >= FIXED_BYTES + 4 &&
    bytes.subarray(0, MAGIC.length).equals(MAGIC) &&
    crc32(bytes.subarray(0, bytes.length - 4)) === bytes.readUInt32LE(bytes.length - 4) &&
    bytes.readUInt16LE(8) === INDEX_VERSION
  )
}
