import { readRecord, recordLength, writeRecord } from '../journal/record.ts'
import { laneStart } from '../lane.ts'
import type { AppendedMessage, CommitBatch, LaneStore, StoreContents } from '../store/store.ts'
import type { Message } from '../wire/message.ts'
import { StreamIds } from './stream-ids.ts'

const MAX_BATCH_BYTES = 4 * 1024 * 1024
const MAX_BATCH_MESSAGES = 4_096

/** A kept message as its record, the same in every store: its streams are in ascending order. */
export interface KeptRecord {
  readonly sequence: number
  readonly record: Buffer
}

/** What is read of a lane. */
export interface LaneRange {
  /** Above this one. */
  readonly after: number
  /** Up to and including this one. */
  readonly through: number
}

/** All lanes of a store as they were at open, in the order of their sequences. */
export function rangesOf({ lanes, laneIndex = 0, nextSequence }: StoreContents): LaneRange[] {
  const all = lanes ?? [{ lane: laneIndex, headSequence: nextSequence - 1 }]
  return all
    .map(({ lane, headSequence }) => ({ after: laneStart(lane), through: headSequence }))
    .sort((a, b) => a.after - b.after)
}

/** The kept messages of a range, block by block, ascending. `through` of a block says how far it answers. */
export async function* readKept(
  lane: LaneStore,
  { after, through }: LaneRange,
  streams: StreamIds
): AsyncGenerator<{ readonly through: number; readonly records: readonly KeptRecord[] }> {
  for (let sequence = after + 1; sequence <= through; ) {
    const block = await lane.read(sequence)
    const to = Math.max(sequence, Math.min(block.to, through))
    streams.advance(to)
    const records: KeptRecord[] = []
    for (const message of block.messages) {
      if (message.sequence < sequence || message.sequence > to) continue
      records.push({ sequence: message.sequence, record: recordOf(message, streams.of(message.sequence)) })
    }
    yield { through: to, records }
    sequence = to + 1
  }
}

/** The streams of all kept messages. */
export function streamsOf({ postings }: StoreContents): StreamIds {
  return new StreamIds(postings)
}

/** The record of a message. */
export function recordOf(message: Message, streamIds: readonly number[]): Buffer {
  const { bytes, offset, length, isV5, expiresAt, origin, originId, sequence, acceptedAt } = message
  const publisher = Buffer.from(message.publisher)
  const place = { packet: bytes, from: offset, to: offset + length }
  const fields = { expiresAt, publisher, header: bytes[offset]!, isV5, origin, originId, ...place }
  const record = Buffer.allocUnsafeSlow(recordLength(fields, streamIds.length))
  writeRecord(record, 0, fields, streamIds, sequence, acceptedAt)
  return record
}

/** Commits records in batches that have no gap inside, as a lane takes them. */
export class BatchWriter {
  readonly #lane: LaneStore
  #records: KeptRecord[] = []
  #bytes = 0

  constructor(lane: LaneStore) {
    this.#lane = lane
  }

  /** Puts a record behind those before; now and then it waits for a commit. */
  async add(kept: KeptRecord): Promise<void> {
    const last = this.#records.at(-1)
    const isFull = this.#records.length >= MAX_BATCH_MESSAGES || this.#bytes >= MAX_BATCH_BYTES
    if (last && (isFull || kept.sequence !== last.sequence + 1)) await this.flush()
    this.#records.push(kept)
    this.#bytes += kept.record.length
  }

  /** Commits what is left. @throws QueueError of the store */
  async flush(): Promise<void> {
    if (this.#records.length === 0) return
    const batch = batchOf(this.#records)
    this.#records = []
    this.#bytes = 0
    await this.#lane.commit(batch)
  }
}

function batchOf(records: readonly KeptRecord[]): CommitBatch {
  const messages: AppendedMessage[] = records.map(({ record }) => readRecord(record, 0))
  const bytes = records.reduce((sum, { record }) => sum + record.length, 0)
  return { buffers: records.map(({ record }) => record), bytes, messages }
}
