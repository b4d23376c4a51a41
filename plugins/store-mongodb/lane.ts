import {
  type CommitBatch,
  type LaneBlock,
  type LaneStore,
  laneOf,
  type Message,
  type Owed,
  QueueError,
  type ReleaseReport,
  readRecord
} from '../../src/plugin.ts'
import type { OwedElsewhere } from './cluster-part.ts'
import { type Database, double } from './database.ts'
import { COLLECTIONS, type MessageDocument } from './documents.ts'
import { type Identity, laneRange } from './identity.ts'
import type { LaneHeads } from './lane-heads.ts'
import { LaneIndex } from './lane-index.ts'
import { LogWriter } from './log-writer.ts'
import type { Patience } from './patience.ts'
import { readChecked } from './record-check.ts'
import { releaseLanes } from './release.ts'

/** Messages that one read hands over at most. */
const BLOCK_MESSAGES = 256
/** A block is closed at this size. */
const BLOCK_BYTES = 1024 * 1024

/** What the lane works with. */
export interface MongoLaneOptions {
  readonly database: Database
  readonly identity: Identity
  readonly patience: Patience
  /** Called before an insert, see `ClusterPart`. */
  readonly renew: () => Promise<void>
  readonly heads: LaneHeads
  /** Asked at each release; without an answer, nobody else is owed anything. */
  readonly owedElsewhere: () => OwedElsewhere | undefined
  /** Called after each commit. */
  readonly committed: () => void
}

/** The lane of this broker, and the reading of all others: each message is a document. */
export class MongoLane implements LaneStore {
  readonly #options: MongoLaneOptions
  readonly #writer: LogWriter<MessageDocument>
  #index = new LaneIndex()
  /** Of lanes whose broker is gone, and that this one frees. */
  readonly #others = new Map<number, LaneIndex>()

  constructor(options: MongoLaneOptions) {
    this.#options = options
    this.#writer = new LogWriter({ ...options, collection: options.database.messages })
  }

  /** Takes over what was read at open. */
  open(index: LaneIndex): void {
    this.#index = index
  }

  /** The last sequence of the own lane. */
  get head(): number {
    const { heads, identity } = this.#options
    return heads.of(identity.lane)
  }

  async commit(batch: CommitBatch): Promise<void> {
    const first = batch.messages[0]?.message.sequence
    if (first === undefined) return
    const documents = documentsOf(batch)
    const next = this.head + 1
    if (first > next) documents.unshift({ _id: double(first - 1), skip: double(next) })
    await this.#writer.insert(documents)
    for (const { message, streamIds, recordBytes } of batch.messages)
      this.#index.add(message.sequence, streamIds, recordBytes)
    const last = batch.messages.at(-1)!.message.sequence
    this.#options.heads.raise(laneOf(last), last)
    this.#options.committed()
  }

  async read(sequence: number): Promise<LaneBlock> {
    const { patience, heads } = this.#options
    const lane = laneOf(sequence)
    const head = heads.of(lane) // before the read: what is missing below it is gone
    const found = await patience.until(() => this.#find(sequence, laneRange(lane).before), { isRead: true })
    return blockOf(sequence, found.documents, found.isAll ? Math.max(head, sequence) : 0)
  }

  async release(owed: Owed): Promise<ReleaseReport> {
    const { database, identity, patience } = this.#options
    const parts = { database, patience, ownLane: identity.lane, elsewhere: this.#options.owedElsewhere() }
    const named = (lanes: ReadonlySet<number>) => {
      for (const lane of this.#others.keys()) if (!lanes.has(lane)) this.#others.delete(lane)
    }
    const indexOf = (lane: number) => this.#indexOf(lane)
    const freedBytes = await releaseLanes({ ...parts, indexOf, named }, owed)
    return { freedBytes, keptBytes: this.sizeBytes() }
  }

  sizeBytes(): number {
    let { bytes } = this.#index
    for (const other of this.#others.values()) bytes += other.bytes
    return bytes
  }

  async #indexOf(lane: number): Promise<LaneIndex> {
    const { database, identity, patience } = this.#options
    if (lane === identity.lane) return this.#index
    const known = this.#others.get(lane)
    if (known) return known
    const index = await patience.until(() => readIndex(database, lane), { isRead: true })
    this.#others.set(lane, index)
    return index
  }

  /** The documents from a sequence on, as many as fit into a block. */
  async #find(sequence: number, before: number) {
    const filter = { _id: { $gte: double(sequence), $lt: double(before) } }
    const projection = { _id: 1, record: 1 }
    const cursor = this.#options.database.messages
      .find(filter, { projection, batchSize: BLOCK_MESSAGES })
      .sort({ _id: 1 })
      .limit(BLOCK_MESSAGES)
    const documents: MessageDocument[] = []
    let bytes = 0
    try {
      for await (const document of cursor) {
        const { length } = document.record ?? []
        if (bytes > 0 && bytes + length > BLOCK_BYTES) return { documents, isAll: false }
        documents.push(document)
        bytes += length
      }
    } finally {
      await cursor.close()
    }
    return { documents, isAll: documents.length < BLOCK_MESSAGES }
  }
}

/** Reads which messages of a lane are kept. One attempt. */
export async function readIndex(database: Database, lane: number): Promise<LaneIndex> {
  const { after, before } = laneRange(lane)
  const filter = { _id: { $gt: double(after), $lt: double(before) } }
  const projection = { _id: 1, streams: 1, bytes: 1 }
  const index = new LaneIndex()
  for await (const { _id, streams, bytes } of database.messages.find(filter, { projection }).sort({ _id: 1 }))
    if (streams) index.add(_id, streams, bytes ?? 0)
  return index
}

function documentsOf(batch: CommitBatch): Omit<MessageDocument, 'batch'>[] {
  const documents: Omit<MessageDocument, 'batch'>[] = []
  let place = 0
  let offset = 0
  for (const { message, streamIds, recordBytes } of batch.messages) {
    while (offset === batch.buffers[place]!.length) {
      place++
      offset = 0
    }
    documents.push({
      _id: double(message.sequence),
      streams: streamIds.map(double),
      topic: message.topic(),
      record: batch.buffers[place]!.subarray(offset, offset + recordBytes),
      bytes: recordBytes,
      ...(message.expiresAt === 0 ? {} : { expiresAt: double(message.expiresAt) })
    })
    offset += recordBytes
  }
  return documents
}

/**
 * What was found from a sequence on. A wide gap is a block of its own, which costs nothing to keep.
 * @param through the block answers up to here when all that follow were found; 0: up to the last document.
 * @throws QueueError QUEUE_DATA_CORRUPT when the message asked for is damaged; one behind it ends the block.
 */
function blockOf(sequence: number, documents: readonly MessageDocument[], through: number): LaneBlock {
  const first = documents[0]?._id ?? sequence
  if (first - sequence >= BLOCK_MESSAGES) return { from: sequence, to: first - 1, messages: [], bytes: 0 }
  const messages: Message[] = []
  let to = Math.max(documents.at(-1)?._id ?? 0, through, sequence)
  let bytes = 0
  for (const { _id, record } of documents) {
    if (!record) continue // a seal, or numbers left out
    const copy = Buffer.from(record) // what the driver hands over keeps all of its answer in memory
    const problem = readChecked(copy, _id)
    if (problem && _id === sequence)
      throw new QueueError('QUEUE_DATA_CORRUPT', {
        detail: { file: `${COLLECTIONS.messages} ${_id}`, problem }
      })
    if (problem) {
      to = _id - 1
      break
    }
    messages.push(readRecord(copy, 0).message)
    bytes += copy.length
  }
  return { from: sequence, to, messages, bytes }
}
