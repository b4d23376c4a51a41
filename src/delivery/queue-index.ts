import type { Journal } from '../journal/journal.ts'
import { LaneMarks, laneOf } from '../lane.ts'
import type { Route, Router } from '../routing/router.ts'
import { SequenceList } from '../routing/sequence-list.ts'
import type { Stream } from '../routing/stream.ts'
import { filterReachesQueue, isWild, splitTopic } from '../topic.ts'
import type { Message } from '../wire/message.ts'
import { type Claim, sequencesOf } from './backlog.ts'
import type { Expiry } from './expiry.ts'
import type { Session } from './session.ts'
import type { Subscription } from './subscription.ts'

const NO_LISTS: readonly SequenceList[] = []
const EMPTY = new SequenceList()

/** What the index works with. */
export interface QueueIndexOptions {
  readonly journal: Journal
  readonly router: Router<Subscription>
  readonly expiry: Expiry
}

/**
 * Which queue the messages of filters such as `#` and `+/CREATE` belong to: one list for each queue, with one entry for
 * each message that such a filter has brought to a durable session. Those from before the start are read back when
 * somebody asks for the first time.
 */
export class QueueIndex {
  readonly #options: QueueIndexOptions
  /** By lane, then by queue. */
  readonly #lanes = new Map<number, Map<string, SequenceList>>()
  /** Messages up to it were accepted before the start. */
  #startedAfter: LaneMarks
  #whole: Promise<void> | null = null

  /** @param startedAfter the last messages that were kept at the start, by lane. */
  constructor(options: QueueIndexOptions, startedAfter: LaneMarks) {
    this.#options = options
    this.#startedAfter = startedAfter
  }

  /** A message was entered in streams that are read here. @returns the list it was entered in, if any. */
  enter(
    { queue, isWild: isWanted }: Route<Subscription>,
    { sequence }: Message,
    streams: readonly Stream<Subscription>[]
  ): readonly SequenceList[] {
    if (!isWanted || streams.length === 0) return NO_LISTS
    const list = this.#list(laneOf(sequence), queue)
    list.push(sequence)
    return [list]
  }

  /** What a session is owed of one queue. Resolves when the index knows. */
  async claims(session: Session, queue: string): Promise<Claim[]> {
    const reaching = session.claims().filter(({ filter }) => filterReachesQueue(filter, queue))
    if (!reaching.some(({ filter }) => isWildFilter(filter))) return reaching
    this.#whole ??= this.#readBack()
    await this.#whole
    return reaching.map(claim => {
      const list = this.#lanes.get(claim.lane)?.get(queue) ?? EMPTY
      if (claim.filter === '#') return { ...claim, sequences: list }
      return isWildFilter(claim.filter) ? { ...claim, isCounted: sequence => list.has(sequence) } : claim
    })
  }

  /** Messages from before have come up: everything is read back when somebody asks again. */
  forget(): void {
    this.#lanes.clear()
    this.#whole = null
    this.#startedAfter = new LaneMarks(this.#options.journal.heads.all())
  }

  /** Forgets what no session is owed any more. */
  trim(): void {
    for (const [lane, lists] of this.#lanes) {
      let low = Number.POSITIVE_INFINITY
      for (const stream of this.#wildStreams()) low = Math.min(low, stream.lowSequence(lane))
      for (const [queue, list] of lists) {
        list.trimThrough(Math.min(low, list.last))
        if (list.last <= low) lists.delete(queue)
      }
    }
  }

  async #readBack(): Promise<void> {
    const { journal, expiry } = this.#options
    const found = new Map<SequenceList, Message[]>()
    for (const sequence of sequencesOf(this.#claimsBeforeStart())) {
      if (!this.#startedAfter.covers(sequence)) continue
      const message = await journal.fetch(sequence)
      if (!message) continue
      const list = this.#list(laneOf(sequence), splitTopic(message.topic()).queue)
      const messages = found.get(list) ?? []
      found.set(list, messages)
      messages.push(message)
    }
    for (const [list, messages] of found) {
      list.prepend(messages.map(({ sequence }) => sequence))
      for (const { sequence, expiresAt } of messages) {
        if (expiresAt !== 0) expiry.add(expiresAt, sequence, [list])
      }
    }
  }

  #claimsBeforeStart(): Claim[] {
    return [...this.#wildStreams()].flatMap(stream =>
      [...stream.feeds()].map(({ lane, sequences }) => ({ filter: stream.filter, lane, sequences, low: 0 }))
    )
  }

  #list(lane: number, queue: string): SequenceList {
    const lists = this.#lanes.get(lane) ?? new Map<string, SequenceList>()
    this.#lanes.set(lane, lists)
    const list = lists.get(queue) ?? new SequenceList()
    lists.set(queue, list)
    return list
  }

  *#wildStreams(): Iterable<Stream<Subscription>> {
    for (const stream of this.#options.router.streams) {
      if (stream.durable.size > 0 && isWildFilter(stream.filter)) yield stream
    }
  }
}

function isWildFilter(filter: string): boolean {
  return isWild(splitTopic(filter).queue)
}
