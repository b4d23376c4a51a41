import { monotonicMs } from '../../../src/plugin.ts'
import { double } from '../database.ts'
import { COLLECTIONS } from '../documents.ts'
import type { Ground } from './ground.ts'
import type { Statement } from './statement.ts'
import type { SharedStream } from './streams.ts'

/** One of so many exchanges looks for streams that nobody uses. */
const EVERY = 10
/** Streams looked at in one go. */
const MOST_STREAMS = 1_000
/** Statements of each broker between the moment when nobody used a stream and its removal. */
const STATEMENTS = 2
/** The same in time: a subscription that was begun is written, or given up. */
const UNUSED_MS = 60_000
/** A stream that is gone is told to others for so long. */
const TOLD_MS = 3_600_000

interface Candidate {
  readonly touchCount: number
  readonly sinceMs: number
  /** By owner, the statement that was the newest when the stream was first found unused. */
  readonly counts: ReadonlyMap<number, number>
}

/**
 * Removes streams that nobody uses any more. Who wants to use one first touches it (see `streams.ts`), then writes its
 * subscription, and its next statements list the stream. So a stream is unused when no subscription names it and no
 * statement lists it; but a broker may just be between its touch and its subscription, or between its subscription and
 * its next statement. Therefore every broker must have made two more statements since the stream was found unused, and two
 * since its own last touch, without listing it: the first of them may have been begun too early, the second was not. A
 * touch at the very moment of the removal has the removal fail, because the number of touches is in its filter; a touch
 * after it finds no such filter and makes a new stream. Ids are never used again: the stream's document stays, without
 * its filter, for as long as others have to be told, and the highest one for good.
 */
export class StreamRemoval {
  readonly #ground: Ground
  #candidates = new Map<number, Candidate>()
  #exchanges = 0

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** Looks, at times. @param full the newest statements of all who may use streams. */
  async run(full: readonly Statement[]): Promise<void> {
    if (this.#exchanges++ % EVERY === 0) await this.look(full, monotonicMs())
  }

  /** Looks once. @param nowMs on the monotonic clock */
  async look(full: readonly Statement[], nowMs: number): Promise<void> {
    const streams = this.#streams
    const counts = new Map<number, number>()
    for (const { owner, count } of full) counts.set(owner, Math.min(count, counts.get(owner) ?? count))
    const before = this.#candidates
    this.#candidates = new Map()
    const used = new Set(full.flatMap(statement => [...statement.streams]))
    for (const stream of await streams.find({ filter: { $exists: true } }).toArray()) {
      if (used.has(stream._id) || this.#candidates.size >= MOST_STREAMS) continue
      if (await this.#isSubscribed(stream._id)) continue
      const { _id, touchCount = 0 } = stream
      const known = before.get(_id)
      const candidate = known?.touchCount === touchCount ? known : { touchCount, sinceMs: nowMs, counts }
      if (isRipe(stream, candidate, counts, nowMs)) await this.#remove(stream)
      else this.#candidates.set(_id, candidate)
    }
    const [last] = await streams.find({}).sort({ _id: -1 }).limit(1).toArray()
    const old = { $lt: double(this.#ground.clock.now() - TOLD_MS) }
    await streams.deleteMany({ isGone: true, goneAt: old, _id: { $lt: double(last?._id ?? 0) } })
  }

  get #streams() {
    return this.#ground.database.collection<SharedStream>(COLLECTIONS.streams)
  }

  async #isSubscribed(streamId: number): Promise<boolean> {
    const filter = { streamId: double(streamId) }
    return (await this.#ground.database.subscriptions.findOne(filter, { projection: { _id: 1 } })) !== null
  }

  async #remove({ _id, filter, touchCount }: SharedStream): Promise<void> {
    const unchanged = {
      _id: double(_id),
      filter: filter!,
      touchCount: touchCount ?? { $exists: false as const }
    }
    const gone = { isGone: true, goneAt: double(this.#ground.clock.now()) }
    await this.#streams.updateOne(unchanged as object, { $set: gone, $unset: { filter: '', touches: '' } })
  }
}

function isRipe(
  { touches = {} }: SharedStream,
  { counts, sinceMs }: Candidate,
  now: ReadonlyMap<number, number>,
  nowMs: number
): boolean {
  if (nowMs - sinceMs < UNUSED_MS) return false
  for (const [owner, count] of now) {
    const since = Math.max(counts.get(owner) ?? count, touches[owner] ?? 0)
    if (count < since + STATEMENTS) return false
  }
  return true
}
