import { errorText } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { LaneMarks } from '../lane.ts'
import type { Logger } from '../log.ts'
import type { Router } from '../routing/router.ts'
import { type LaneStore, type Owed, REPLAY_STREAM } from '../store/store.ts'
import { ENTRY } from './inflight.ts'
import type { QueueIndex } from './queue-index.ts'
import type { ReplayMark } from './replay.ts'
import type { Sessions } from './sessions.ts'
import type { Subscription } from './subscription.ts'

/** What the janitor works with. */
export interface JanitorOptions {
  readonly lane: LaneStore
  readonly journal: Journal
  readonly router: Router<Subscription>
  readonly sessions: Sessions
  readonly queueIndex: QueueIndex
  readonly mark: ReplayMark
  readonly log: Logger
}

/** Frees what nobody waits for any more: entries of streams in memory, records on disk. */
export class Janitor {
  readonly #options: JanitorOptions
  #running: Promise<void> | null = null

  constructor(options: JanitorOptions) {
    this.#options = options
  }

  /** One round; a call during a round answers with that round. Never rejects: what fails is logged and tried again. */
  run(): Promise<void> {
    this.#running ??= this.#round().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #round(): Promise<void> {
    const { lane, log } = this.#options
    try {
      const { freedBytes, keptBytes } = await lane.release(this.#owed())
      if (freedBytes > 0) log.debug({ freedBytes, keptBytes }, 'freed what is acked')
    } catch (cause) {
      log.error({ err: cause }, `acked messages could not be freed: ${errorText(cause)}`)
    }
  }

  /**
   * What is owed at this moment. What is taken up or acked later is owed less, and all that is accepted later counts
   * as owed, so the answer stays safe while the round goes on.
   */
  #owed(): Owed {
    const { journal, mark, router, queueIndex } = this.#options
    const heads = new LaneMarks(journal.heads.all())
    const replayed = new LaneMarks([...heads.all(), mark.through])
    const lows = new Map<number, Map<number, number>>()
    for (const stream of router.streams) {
      const low = new Map<number, number>()
      for (const feed of stream.feeds()) {
        const sequence = stream.lowSequence(feed.lane)
        if (Number.isFinite(sequence)) low.set(feed.lane, sequence)
        feed.trimThrough(sequence)
      }
      if (stream.durable.size > 0) lows.set(stream.streamId, low)
    }
    queueIndex.trim()
    const pending: number[] = []
    for (const session of this.#options.sessions.all()) {
      for (const { sequence, flags } of session.inflight.entries()) {
        if ((flags & ENTRY.released) === 0) pending.push(sequence)
      }
    }
    pending.sort((a, b) => a - b)
    const above = (streamId: number, lane = journal.lane) => {
      const head = heads.at(lane)
      if (streamId === REPLAY_STREAM) return Math.min(replayed.at(lane), head)
      return Math.min(lows.get(streamId)?.get(lane) ?? head, head)
    }
    return { above, pending, heads: [...heads.all()], streams: lows }
  }
}
