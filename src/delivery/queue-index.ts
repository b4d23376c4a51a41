import type { Journal } from '../journal/journal.ts'
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
  readonly #lists = new Map<string, SequenceList>()
  /** Messages up to it were accepted before the start. */
  readonly #startedAfter: number
  #whole: Promise<void> | null = null

  /** @param startedAfter sequence of the last message that was kept at the start. */
  constructor(options: QueueIndexOptions, startedAfter: number) {
    this.#options = options
    this.#startedAfter = startedAfter
  }

  /** A message was committed. @returns the list it was entered in, if any. */
  enter(
    { durable, queue, isWild: isWanted }: Route<Subscription>,
    { sequence }: Message
  ): readonly SequenceList[] {
    if (!isWanted || durable.length === 0) return NO_LISTS
    let list = this.#lists.get(queue)
    if (!list) {
      list = new SequenceList()
      this.#lists.set(queue, list)
    }
    list.push(sequence)
    return [list]
  }

  /** What a session is owed of one queue. Resolves when the index knows. */
  async claims(session: Session, queue: string): Promise<Claim[]> {
    const reaching = session.claims().filter(({ filter }) => filterReachesQueue(filter, queue))
    if (!reaching.some(({ filter }) => isWildFilter(filter))) return reaching
    this.#whole ??= this.#readBack()
    await this.#whole
    const list = this.#lists.get(queue) ?? EMPTY
    return reaching.map(claim => {
      if (claim.filter === '#') return { ...claim, sequences: list }
      return isWildFilter(claim.filter) ? { ...claim, isCounted: sequence => list.has(sequence) } : claim
    })
  }

  /** Forgets what no session is owed any more. */
  trim(): void {
    let low = Number.POSITIVE_INFINITY
    for (const stream of this.#wildStreams()) low = Math.min(low, stream.lowSequence())
    for (const [queue, list] of this.#lists) {
      list.trimThrough(Math.min(low, list.last))
      if (list.last <= low) this.#lists.delete(queue)
    }
  }

  async #readBack(): Promise<void> {
    const { journal, expiry } = this.#options
    const found = new Map<string, Message[]>()
    for (const sequence of sequencesOf(this.#claimsBeforeStart())) {
      if (sequence > this.#startedAfter) break
      const message = await journal.fetch(sequence)
      if (!message) continue
      const { queue } = splitTopic(message.topic())
      const messages = found.get(queue) ?? []
      found.set(queue, messages)
      messages.push(message)
    }
    for (const [queue, messages] of found) {
      const list = this.#lists.get(queue) ?? new SequenceList()
      this.#lists.set(queue, list)
      list.prepend(messages.map(({ sequence }) => sequence))
      for (const { sequence, expiresAt } of messages) {
        if (expiresAt !== 0) expiry.add(expiresAt, sequence, [list])
      }
    }
  }

  #claimsBeforeStart(): Claim[] {
    return [...this.#wildStreams()].map(({ filter, sequences }) => ({ filter, sequences, low: 0 }))
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
