import {
  type CommitBatch,
  type LaneBlock,
  type LaneStore,
  type Message,
  type MessageExpiry,
  type Owed,
  type Posting,
  type ReleaseReport,
  readRecord
} from '../../src/plugin.ts'

/** Messages that one read hands over at most, unless one commit had more. */
const READ_MESSAGES = 256

interface Entry {
  readonly message: Message
  readonly streamIds: readonly number[]
  /** The record; the message shows a part of it. */
  readonly record: Buffer
}

/** What one commit left behind. */
interface Chunk {
  readonly from: number
  readonly to: number
  readonly entries: readonly Entry[]
  /** Bytes of the one buffer that the entries show. */
  readonly bufferBytes: number
}

/** A lane in memory. It keeps the record bytes of a commit, copied, and reads them as a file would be read. */
export class MemoryLane implements LaneStore {
  #chunks: Chunk[] = []
  #headSequence = 0

  /** The sequence behind the last one. */
  get nextSequence(): number {
    return this.#headSequence + 1
  }

  async commit(batch: CommitBatch): Promise<void> {
    if (batch.messages.length === 0) return
    const from = this.#headSequence + 1
    this.#headSequence = batch.messages.at(-1)!.message.sequence
    this.#chunks.push(chunkOf(from, this.#headSequence, batch.buffers))
  }

  async read(sequence: number): Promise<LaneBlock> {
    const place = this.#placeOf(sequence)
    const first = this.#chunks[place]
    const next = this.#chunks[place + 1]
    if (!first || first.to < sequence) {
      const to = next ? next.from - 1 : Math.max(this.#headSequence, sequence)
      return { from: (first?.to ?? 0) + 1, to, messages: [], bytes: 0 }
    }
    const messages: Message[] = []
    let bytes = 0
    let to = first.from - 1
    for (const chunk of this.#chunks.slice(place, place + READ_MESSAGES)) {
      const isFull = messages.length + chunk.entries.length > READ_MESSAGES
      if (chunk !== first && (isFull || chunk.from !== to + 1)) break
      for (const { message } of chunk.entries) messages.push(message)
      bytes += chunk.bufferBytes
      to = chunk.to
    }
    return { from: first.from, to, messages, bytes }
  }

  async release(owed: Owed): Promise<ReleaseReport> {
    const before = this.sizeBytes()
    const pending = new Set(owed.pending)
    const isOwed = ({ message, streamIds }: Entry) =>
      pending.has(message.sequence) || streamIds.some(id => message.sequence > owed.above(id))
    this.#chunks = this.#chunks
      .map(chunk => withOnly(chunk, chunk.entries.filter(isOwed)))
      .filter(chunk => chunk.entries.length > 0)
    const keptBytes = this.sizeBytes()
    return { freedBytes: before - keptBytes, keptBytes }
  }

  sizeBytes(): number {
    let bytes = 0
    for (const chunk of this.#chunks) bytes += chunk.bufferBytes
    return bytes
  }

  /** Sequences of each stream that are still kept. */
  postings(): Posting[] {
    const streams = new Map<number, number[]>()
    for (const { entries } of this.#chunks) {
      for (const { message, streamIds } of entries) {
        for (const id of streamIds) {
          const sequences = streams.get(id)
          if (sequences) sequences.push(message.sequence)
          else streams.set(id, [message.sequence])
        }
      }
    }
    return [...streams].map(([streamId, sequences]) => ({ streamId, sequences }))
  }

  /** When kept messages expire, as far as they do. */
  *expiries(): Iterable<MessageExpiry> {
    for (const { entries } of this.#chunks) {
      for (const { message } of entries) {
        const { sequence, expiresAt } = message
        if (expiresAt !== 0) yield { sequence, expiresAt }
      }
    }
  }

  /** The last chunk that begins at or before `sequence`; -1 when there is none. */
  #placeOf(sequence: number): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#chunks[middle]!.from <= sequence) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

function chunkOf(from: number, to: number, buffers: readonly Buffer[]): Chunk {
  const bytes = Buffer.concat(buffers) // a copy: the core may use its own again
  const entries: Entry[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const { message, streamIds, recordBytes } = readRecord(bytes, offset)
    entries.push({ message, streamIds, record: bytes.subarray(offset, offset + recordBytes) })
    offset += recordBytes
  }
  return { from, to, entries, bufferBytes: bytes.length }
}

/** The same chunk with fewer entries, in a buffer of their own once that is half as large. */
function withOnly(chunk: Chunk, entries: readonly Entry[]): Chunk {
  const records = entries.map(({ record }) => record)
  const bytes = records.reduce((sum, record) => sum + record.length, 0)
  return bytes * 2 > chunk.bufferBytes ? { ...chunk, entries } : chunkOf(chunk.from, chunk.to, records)
}
