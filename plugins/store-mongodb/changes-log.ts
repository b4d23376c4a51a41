import { errorText, laneOf, QueueError } from '../../src/plugin.ts'
import { type Database, decodeBson, double, encodeBson, type Filter } from './database.ts'
import type { ChangesDocument } from './documents.ts'
import { type Identity, laneRange, ownerNumber } from './identity.ts'
import { LogWriter } from './log-writer.ts'
import type { Patience } from './patience.ts'
import {
  changeKey,
  collectionOf,
  type LoggedChange,
  type LoggedChanges,
  operationOf,
  type RowOperation,
  TARGETS,
  type Target
} from './row-operations.ts'
import { writeRows } from './row-writes.ts'

/** A part of a write is closed at this size; a document of the database has room for 16 MiB. */
const PART_BYTES = 1024 * 1024
const ENTRY_BYTES = 300

/** What the log works with. */
export interface ChangesLogOptions {
  readonly database: Database
  readonly identity: Identity
  readonly patience: Patience
  /** Called before an insert, see `ClusterPart`. */
  readonly renew: () => Promise<void>
}

/**
 * Writes of several rows, all or nothing without transactions: what is to be changed is first written down in one
 * place, and counts from then on; then the rows are written, then it is marked as done. Whoever opens the lane next, or takes
 * it over, does what was left undone.
 */
export class ChangesLog {
  readonly #options: ChangesLogOptions
  readonly #writer: LogWriter<ChangesDocument>
  #head = 0
  #cleaning: Promise<unknown> = Promise.resolve()

  constructor(options: ChangesLogOptions) {
    this.#options = options
    this.#writer = new LogWriter({ ...options, collection: options.database.changes })
  }

  /** Goes on behind what the own lane has, after doing what was left undone. */
  async open(): Promise<void> {
    this.#head = await this.applyLeft(this.#options.identity.lane)
  }

  /**
   * Writes all of it or nothing; one call at a time.
   * @throws QueueError as {@link LogWriter.insert}: nothing of it counts; QUEUE_BROKER_FENCED also when it counts and another
   * broker has done it.
   */
  async write(changes: readonly LoggedChange[], giveUpMs: number): Promise<void> {
    const parts = partsOf(changes)
    await this.#cleaning
    const first = this.#head + 1
    const documents = parts.map((part, place) => ({
      _id: double(first + place),
      changes: encodeBson({ changes: part } satisfies LoggedChanges),
      ...(place < parts.length - 1 ? { hasMore: true } : {})
    }))
    await this.#writer.insert(documents, giveUpMs)
    this.#head = first + parts.length - 1
    await this.#apply(changes, this.#options.identity.owner)
    if (!(await this.#finish(this.#head, { isTaken: { $exists: false } }))) throw this.#fenced()
  }

  /** Writes the rows. What belongs to another meanwhile is left alone. */
  async #apply(changes: readonly LoggedChange[], owner: number): Promise<void> {
    const latest = new Map<string, LoggedChange>()
    for (const change of changes) latest.set(changeKey(change), change)
    const operations = [...latest.values()].map(change => operationOf(change, owner))
    const write = async (target: Target) => {
      const own = operations.filter(each => each.target === target)
      if (own.length > 0) await this.#bulkWrite(target, own)
    }
    if (operations.length <= this.#options.database.mostUpdates) await Promise.all(TARGETS.map(write))
    else for (const target of TARGETS) await write(target)
  }

  /**
   * Does what was left undone in a lane, in the name of the incarnation that had begun it: when its log is sealed, and
   * before what it owned is given to another. First it is taken from that incarnation, which may still be at it: if it came
   * to the end of it meanwhile, and then wrote the same rows again, the older ones would be put back here.
   * @returns the last number of the log.
   */
  async applyLeft(lane: number): Promise<number> {
    const { database, patience } = this.#options
    const { after, before } = laneRange(lane)
    const filter = { _id: { $gt: double(after), $lt: double(before) } }
    const undone = { ...filter, isApplied: { $exists: false }, seal: { $exists: false } }
    await patience.until(() => database.changes.updateMany(undone, { $set: { isTaken: true } }))
    const left = await patience.until(() => database.changes.find(filter).sort({ _id: 1 }).toArray(), {
      isRead: true
    })
    let parts: LoggedChange[] = []
    let partsOf = ''
    for (const { _id, batch = '', changes, hasMore, isApplied, seal } of left) {
      if (batch !== partsOf) parts = [] // a write that was cut short does not count
      partsOf = batch
      if (isApplied || seal || !changes) continue
      parts.push(...(decodeBson(changes) as LoggedChanges).changes)
      if (hasMore) continue
      await this.#apply(parts, ownerNumber(lane, Number.parseInt(batch, 10)))
      parts = []
      await this.#finish(_id)
    }
    return left.at(-1)?._id ?? after
  }

  async #bulkWrite(target: Target, operations: readonly RowOperation[]): Promise<void> {
    const { database, patience } = this.#options
    const collection = collectionOf(database, target)
    try {
      await patience.until(() => writeRows(collection, operations, database.mostUpdates), {
        isPromised: true
      })
    } catch (cause) {
      if (cause instanceof QueueError) throw cause
      const problem = `MongoDB refused a write to ${collection.collectionName}: ${errorText(cause)}`
      throw new QueueError('QUEUE_STORE_FAILED', { cause, detail: { problem } })
    }
  }

  /**
   * Marks a write as done; then those before it can go. It stays itself, so that the next one finds its number.
   * @returns false when it is not as it must be, and nothing was marked.
   */
  async #finish(number: number, mustBe: Pick<Filter<ChangesDocument>, 'isTaken'> = {}): Promise<boolean> {
    const { database, patience } = this.#options
    const done = { $set: { isApplied: true }, $unset: { changes: '' } } as const
    const mark = () => database.changes.updateOne({ _id: double(number), ...mustBe }, done)
    const { matchedCount } = await patience.until(mark, { isPromised: true })
    if (matchedCount === 0) return false
    const { after } = laneRange(laneOf(number))
    const earlier = { _id: { $gt: double(after), $lt: double(number) }, seal: { $exists: false } }
    this.#cleaning = database.changes.deleteMany(earlier).catch(() => {}) // the next one removes them too
    return true
  }

  #fenced(): QueueError {
    const { identity } = this.#options
    const problem = 'it was not heard of for too long'
    const detail = { name: identity.brokerName, by: 'another broker', problem }
    identity.setFence(new QueueError('QUEUE_BROKER_FENCED', { detail }))
    return identity.fence!
  }
}

/** Cuts a write into parts that fit into a document each. */
function partsOf(changes: readonly LoggedChange[]): LoggedChange[][] {
  const parts: LoggedChange[][] = [[]]
  let bytes = 0
  for (const change of changes) {
    const size =
      ENTRY_BYTES + 2 * changeKey(change).length + (Buffer.isBuffer(change.row) ? change.row.length : 0)
    if (bytes > 0 && bytes + size > PART_BYTES) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)!.push(change)
    bytes += size
  }
  return parts
}
