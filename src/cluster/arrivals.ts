import type { Clock } from '../clock.ts'
import { recoverSessions } from '../delivery/recovery.ts'
import { applyAgain } from '../delivery/replay.ts'
import type { Session } from '../delivery/session.ts'
import type { Subscription } from '../delivery/subscription.ts'
import { errorText, QueueError } from '../errors.ts'
import { laneOf } from '../lane.ts'
import type { Logger } from '../log.ts'
import type { Feed } from '../routing/feed.ts'
import type { Stream } from '../routing/stream.ts'
import type { Stages } from '../stages.ts'
import type { ClusterStore, EntryRange, SessionParts } from '../store/cluster.ts'
import type { StoreContents } from '../store/store.ts'
import { askAtLast } from './asking.ts'

const NOTHING = {
  ...{ postings: [], expiries: [], streams: [], meta: new Map(), retained: new Map(), topics: new Map() }
}

/** What arrivals work with besides. */
export interface ArrivalsOptions {
  readonly clock: Clock
  readonly log: Logger
}

/** A part of a feed that is not in memory. */
interface Missing {
  readonly stream: Stream<Subscription>
  readonly feed: Feed
  readonly after: number
  readonly found: number[]
}

/** Takes sessions that come from another broker into memory, as if they had always been here. */
export class Arrivals {
  readonly #stages: Stages
  readonly #cluster: ClusterStore
  readonly #options: ArrivalsOptions
  #isStopped = false
  /** By stream, the last arrival that loads what is missing of it. */
  readonly #loading = new Map<Stream<Subscription>, Promise<void>>()

  constructor(stages: Stages, cluster: ClusterStore, options: ArrivalsOptions) {
    this.#options = options
    this.#stages = stages
    this.#cluster = cluster
  }

  /**
   * Resolves when the sessions are in the table. They are ours already, so a store that cannot be read is asked again until
   * it can. @throws QueueError QUEUE_SERVER_STOPPING
   */
  async enter(parts: SessionParts): Promise<readonly Session[]> {
    const { router, sessions, notes, journal, wills } = this.#stages
    for (const row of parts.subscriptions) if (row.qos > 0) router.share(row)
    const lastStop = parts.mayHaveLost ? 'machine' : 'process'
    const contents: StoreContents = {
      ...{ ...NOTHING, ...parts, lastStop, lane: '', laneIndex: journal.lane, nextSequence: 0 }
    }
    const recovered = recoverSessions(contents, router, sessions, journal.heads)
    await this.#loadInTurn(recovered.sessions)
    for (const session of recovered.sessions) {
      sessions.restore(session)
      notes.touch(session)
    }
    for (const [willId, row] of parts.wills) wills.restore(willId, row, id => sessions.expirySecondsOf(id))
    this.#replay(parts, recovered.sessions, recovered.inboundFree)
    return recovered.sessions
  }

  /** Asks the store no more. */
  stop(): void {
    this.#isStopped = true
  }

  /** What a dead broker had accepted since its last checkpoint, and what follows from it, is for us to write down. */
  #replay(
    { replayed }: SessionParts,
    sessions: readonly Session[],
    inboundFree: ReadonlyMap<number, ReadonlySet<number>>
  ): void {
    const { retained, wills } = this.#stages
    const byId = new Map(sessions.map(session => [session.sessionId, session]))
    for (const message of replayed) applyAgain(message, { byId, inboundFree, retained, wills })
  }

  /** Those that read the same stream load one after the other: the later ones find there what the first has loaded. */
  async #loadInTurn(sessions: readonly Session[]): Promise<void> {
    const streams = [...streamsOf(sessions).keys()]
    const earlier = streams.map(stream => this.#loading.get(stream))
    const loaded = Promise.allSettled(earlier).then(() => this.#loadAtLast(sessions))
    for (const stream of streams) this.#loading.set(stream, loaded)
    try {
      await loaded
    } finally {
      for (const stream of streams) if (this.#loading.get(stream) === loaded) this.#loading.delete(stream)
    }
  }

  async #loadAtLast(sessions: readonly Session[]): Promise<void> {
    const { clock, log } = this.#options
    await askAtLast(
      () => this.#load(sessions),
      clock,
      error => {
        if (this.#isStopped) throw new QueueError('QUEUE_SERVER_STOPPING', { cause: error })
        const text = `sessions of another broker cannot be read yet: ${errorText(error)}`
        log.warn({ err: error, sessions: sessions.length }, text)
      }
    )
  }

  /** Loads what the sessions have still to be sent and the lists of their streams do not have. */
  async #load(sessions: readonly Session[]): Promise<void> {
    const missing = [...this.#missing(sessions)]
    if (missing.length === 0) return
    const places = new Map<number, Map<number, Missing>>()
    const ranges: EntryRange[] = []
    for (const one of missing) {
      const { stream, feed, after } = one
      const ofStream = places.get(stream.streamId) ?? new Map<number, Missing>()
      places.set(stream.streamId, ofStream.set(feed.lane, one))
      ranges.push({ streamIds: [stream.streamId], after, through: feed.coveredFrom })
    }
    const expiring = new Map<Missing, { sequence: number; expiresAt: number }[]>()
    for await (const part of this.#cluster.entries(ranges)) {
      for (const { sequence, streamIds, expiresAt } of part) {
        for (const one of placesOf(places, streamIds, sequence)) {
          one.found.push(sequence)
          if (expiresAt === 0) continue
          const times = expiring.get(one) ?? []
          expiring.set(one, times)
          times.push({ sequence, expiresAt })
        }
      }
    }
    for (const one of missing) this.#fill(one)
    for (const [{ feed }, times] of expiring) {
      for (const { sequence, expiresAt } of times) {
        this.#stages.expiry.add(expiresAt, sequence, [feed.sequences])
      }
    }
    this.#stages.queueIndex.forget()
  }

  *#missing(sessions: readonly Session[]): Iterable<Missing> {
    const { journal } = this.#stages
    for (const [stream, subscriptions] of streamsOf(sessions)) {
      for (const head of journal.heads.all()) {
        const lane = laneOf(head)
        const after = Math.min(...subscriptions.map(subscription => subscription.lowSequence(lane)))
        const feed = stream.openFeed(lane, head)
        if (after < feed.coveredFrom) yield { stream, feed, after, found: [] }
      }
    }
  }

  /** Puts what was found in front of what is there; readers that are connected find their places again. */
  #fill({ stream, feed, after, found }: Missing): void {
    const own = found.filter(sequence => sequence <= feed.coveredFrom).sort((a, b) => a - b)
    const readers = [...stream.online].filter(({ qos }) => qos > 0)
    for (const reader of readers) reader.session.leave(reader)
    if (own.length > 0) feed.sequences.prepend([...new Set(own)])
    feed.coveredFrom = Math.min(feed.coveredFrom, after)
    for (const reader of readers) reader.session.join(reader)
  }
}

/** The streams that sessions have messages from, with the subscriptions. */
function streamsOf(sessions: readonly Session[]): Map<Stream<Subscription>, Subscription[]> {
  const streams = new Map<Stream<Subscription>, Subscription[]>()
  for (const session of sessions) {
    for (const subscription of session.subscriptions.values()) {
      if (subscription.qos === 0) continue
      const others = streams.get(subscription.stream) ?? []
      streams.set(subscription.stream, others)
      others.push(subscription)
    }
  }
  return streams
}

function* placesOf(
  places: ReadonlyMap<number, ReadonlyMap<number, Missing>>,
  streamIds: readonly number[],
  sequence: number
): Iterable<Missing> {
  for (const streamId of streamIds) {
    const one = places.get(streamId)?.get(laneOf(sequence))
    if (one && sequence > one.after) yield one
  }
}
