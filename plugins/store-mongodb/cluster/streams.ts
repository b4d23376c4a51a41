import type { StreamRow } from '../../../src/plugin.ts'
import { type Collection, double, isDuplicate } from '../database.ts'
import { COLLECTIONS, type StreamDocument } from '../documents.ts'
import type { Ground } from './ground.ts'
import { slices } from './session-move.ts'

/** A distinct filter, with who has begun to use it of late. */
export interface SharedStream extends StreamDocument {
  /** By owner number: at which of its statements a broker asked for the stream. */
  readonly touches?: Readonly<Record<string, number>>
  /** Grows with every touch; who removes the stream has it in his filter. */
  readonly touchCount?: number
}

/** What the streams are made with. */
export interface StreamsOptions {
  readonly ground: Ground
  /** The number of this broker's newest statement. */
  readonly statementCount: () => number
}

/**
 * The distinct filters of all brokers. A new one gets the number behind the highest, by an insert that fails when
 * somebody else was faster; so the numbers are dense, and who has seen number n has seen all below it, or can find them
 * by one read of what is above the last one he knows.
 */
export class Streams {
  readonly #options: StreamsOptions
  readonly #streams: Collection<SharedStream>
  /** All up to it were told. */
  #told = 0

  constructor(options: StreamsOptions) {
    this.#options = options
    this.#streams = options.ground.database.collection<SharedStream>(COLLECTIONS.streams)
  }

  /** All that are there now will be handed over at open. */
  async begin(): Promise<void> {
    this.#told = await this.#read(() => this.#highest())
  }

  /** The streams of filters, made when they are missing. @throws QueueError QUEUE_STORE_AWAY */
  async of(filters: readonly string[]): Promise<readonly StreamRow[]> {
    const rows: StreamRow[] = []
    for (const part of slices([...new Set(filters)], 500)) {
      const found = await this.#touched(part)
      for (const filter of part) {
        const streamId = found.get(filter) ?? (await this.#make(filter))
        rows.push({ streamId, filter })
      }
    }
    return rows
  }

  /** Streams that were not told yet. @throws QueueError QUEUE_STORE_AWAY */
  async fresh(): Promise<readonly StreamRow[]> {
    const unknown = { _id: { $gt: double(this.#told) } }
    const found = await this.#read(() => this.#streams.find(unknown).sort({ _id: 1 }).toArray())
    const rows: StreamRow[] = []
    for (const { _id, filter } of found) {
      this.#told = Math.max(this.#told, _id)
      if (filter !== undefined) rows.push({ streamId: _id, filter })
    }
    return rows
  }

  /**
   * Says that this broker is about to use those of the filters that there are. A removal that was decided before fails
   * from now on; one that comes before leaves no filter to be found.
   */
  async #touched(filters: readonly string[]): Promise<Map<string, number>> {
    const { ground, statementCount } = this.#options
    const ofFilters = { filter: { $in: [...filters] } }
    const mark = { [`touches.${ground.self}`]: double(statementCount()) }
    const touch = () => this.#streams.updateMany(ofFilters, { $set: mark, $inc: { touchCount: 1 } })
    const { matchedCount } = await ground.patience.until(touch, this.#limits)
    const found = await this.#read(() => this.#streams.find(ofFilters).toArray())
    const isTouched = ({ touches }: SharedStream) => touches?.[ground.self] !== undefined
    // one made by another in between is not touched; and some touch of ours may be an old one
    if (found.length !== matchedCount || !found.every(isTouched)) return await this.#touched(filters)
    return new Map(found.map(({ filter = '', _id }) => [filter, _id]))
  }

  async #make(filter: string): Promise<number> {
    const { ground, statementCount } = this.#options
    const touches = { [ground.self]: double(statementCount()) }
    for (;;) {
      const streamId = (await this.#read(() => this.#highest())) + 1
      try {
        const stream = { _id: double(streamId), filter, touches, touchCount: 1 }
        await ground.patience.until(() => this.#streams.insertOne(stream), this.#limits)
        return streamId
      } catch (error) {
        if (!isDuplicate(error)) throw error
      }
      // the number is taken, or the filter is there, perhaps by our own attempt before
      const known = (await this.#touched([filter])).get(filter)
      if (known !== undefined) return known
    }
  }

  async #highest(): Promise<number> {
    const [last] = await this.#streams
      .find({}, { projection: { _id: 1 } })
      .sort({ _id: -1 })
      .limit(1)
      .toArray()
    return last?._id ?? 0
  }

  /** Everything here may be done twice, and given up at any point. */
  get #limits() {
    return { timeoutMs: this.#options.ground.storeTimeoutMs, isRead: true }
  }

  #read<Result>(action: () => Promise<Result>): Promise<Result> {
    return this.#options.ground.patience.until(action, this.#limits)
  }
}
