import { checkRecord, recordExpiry, recordSequence, recordStreams } from '../../src/plugin.ts'
import { type OpenFile, readAt, writeAll } from './files.ts'
import type { Segment } from './segment.ts'
import { encodeBatchHeader, encodeHeader, type SegmentHeader } from './segment-format.ts'
import { IndexBuilder, type SegmentIndex } from './segment-index.ts'

const WINDOW_BYTES = 256 * 1024
const BATCH_RECORDS = 64
const BATCH_BYTES = 256 * 1024

/** A record that was to be moved and cannot be read. */
export class UnreadableRecord extends Error {
  readonly segment: Segment
  readonly offset: number
  readonly sequence: number

  constructor(segment: Segment, offset: number, sequence: number) {
    super(`${segment.path}: the record of sequence ${sequence} cannot be read`)
    this.segment = segment
    this.offset = offset
    this.sequence = sequence
  }
}

/** Writes a segment from records of others; they are copied byte for byte, in batches of their own. */
export class SegmentWriter {
  readonly index = new IndexBuilder()
  readonly #file: OpenFile
  readonly #header: SegmentHeader
  #records: Buffer[] = []
  #recordBytes = 0
  #firstSequence = 0

  constructor(file: OpenFile, header: SegmentHeader) {
    this.#file = file
    this.#header = header
  }

  /** Takes over the records marked in `isOwed`. @throws UnreadableRecord */
  async copy(segment: Segment, source: OpenFile, index: SegmentIndex, isOwed: Uint8Array): Promise<void> {
    let window: Buffer = Buffer.alloc(0)
    let windowAt = 0
    for (let place = 0; place < isOwed.length; place++) {
      if (!isOwed[place]) continue
      const offset = index.offsets[place]!
      const next = index.offsets[place + 1] ?? index.end
      if (next > windowAt + window.length) {
        const bytes = Math.max(next - offset, WINDOW_BYTES)
        window = await readAt(source, offset, Math.min(bytes, index.end - offset))
        windowAt = offset
      }
      const sequence = index.sequences[place]!
      const length = checkRecord(window, offset - windowAt, window.length)
      if (length <= 0 || recordSequence(window, offset - windowAt) !== sequence)
        throw new UnreadableRecord(segment, offset, sequence)
      await this.#add(window.subarray(offset - windowAt, offset - windowAt + length), sequence)
    }
  }

  /** Writes what is left, and the header; syncs. */
  async finish(): Promise<void> {
    await this.#flush()
    await writeAll(this.#file, [encodeHeader(this.#header)], 0)
    await this.#file.sync()
  }

  async #add(record: Buffer, sequence: number): Promise<void> {
    if (this.#records.length === 0) this.#firstSequence = sequence
    this.#records.push(record)
    this.#recordBytes += record.length
    if (this.#records.length === BATCH_RECORDS || this.#recordBytes >= BATCH_BYTES) await this.#flush()
  }

  async #flush(): Promise<void> {
    if (this.#records.length === 0) return
    const batchHeader = encodeBatchHeader(this.#header.salt, this.#firstSequence)
    const batchAt = this.index.end
    let offset = batchAt + batchHeader.length
    for (const record of this.#records) {
      const sequence = recordSequence(record, 0)
      const streamIds = recordStreams(record, 0)
      this.index.add(sequence, offset, record.length, streamIds, recordExpiry(record, 0))
      offset += record.length
    }
    await writeAll(this.#file, [batchHeader, ...this.#records], batchAt)
    this.#records = []
    this.#recordBytes = 0
  }
}
