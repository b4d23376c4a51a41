import { isWild, splitTopic, type TopicView } from '../../src/plugin.ts'
import { countBacklog } from './counts.ts'
import type { SessionEntry, Source } from './source.ts'
import { compareText, Top } from './top.ts'
import type { Turn } from './turn.ts'

/** An event of a queue: its messages since the start, and those of the last minute. */
export interface EventTally {
  readonly event: string
  readonly accepted: number
  readonly recent: number
  readonly lastAcceptedAt: number
}

/** What is known of one queue. */
export interface QueueTally {
  readonly queue: string
  /** Sessions with a filter that can match a topic of the queue. */
  readonly attached: number
  /** Those of them that are connected. */
  readonly connected: number
  /** Messages of the queue that the attached sessions have still to receive, added up; null when it is not known. */
  readonly backlog: number | null
  readonly accepted: number
  readonly recent: number
  readonly lastAcceptedAt: number | null
  /** Events seen. */
  readonly eventCount: number
  /** Those with the most messages, sorted by name. */
  readonly events: readonly EventTally[]
}

class Tally {
  readonly queue: string
  attached = 0
  connected = 0
  backlog: number | null = 0
  accepted = 0
  recent = 0
  lastAcceptedAt: number | null = null
  eventCount = 0
  readonly busiest: Top<EventTally>

  constructor(queue: string, maxEvents: number) {
    this.queue = queue
    this.busiest = new Top(maxEvents, (a, b) => b.accepted - a.accepted || compareText(a.event, b.event))
  }

  attach(isConnected: boolean): void {
    this.attached++
    if (isConnected) this.connected++
  }

  owe(messages: number | null): void {
    this.backlog = messages === null || this.backlog === null ? null : this.backlog + messages
  }

  accept(topic: EventTally): void {
    this.accepted += topic.accepted
    this.recent += topic.recent
    this.lastAcceptedAt = Math.max(this.lastAcceptedAt ?? 0, topic.lastAcceptedAt)
    this.eventCount++
    this.busiest.offer(topic)
  }

  finish(): QueueTally {
    const { queue, attached, connected, backlog, accepted, recent, lastAcceptedAt, eventCount } = this
    const events = [...this.busiest.items()].sort((a, b) => compareText(a.event, b.event))
    return { queue, attached, connected, backlog, accepted, recent, lastAcceptedAt, eventCount, events }
  }
}

/**
 * Reads what is known of some queues, in one walk over all sessions and one over all topics. A session's backlog is
 * counted once for each of the queues that it is attached to, and not at all when it has none.
 * @param maxEvents most events told for each queue.
 * @param hasBacklogs false: no backlog is counted; it is 0.
 */
export async function tallyQueues(
  directory: Source,
  queues: Iterable<string>,
  options: { readonly maxEvents: number; readonly turn: Turn; readonly hasBacklogs?: boolean }
): Promise<ReadonlyMap<string, QueueTally>> {
  const { maxEvents, turn, hasBacklogs = true } = options
  const tallies = new Map<string, Tally>()
  for (const queue of queues) tallies.set(queue, new Tally(queue, maxEvents))
  for await (const session of directory.sessions()) {
    await tallySession(session, { tallies, turn, hasBacklogs })
  }
  for (const topic of directory.topics()) {
    const { queue, ...event } = eventTally(topic)
    tallies.get(queue)?.accept(event)
    if (turn.spend(1)) await turn.next()
  }
  return new Map([...tallies].map(([queue, tally]) => [queue, tally.finish()]))
}

/** A topic as an event of its queue. */
export function eventTally({ topic, ...view }: TopicView): EventTally & { readonly queue: string } {
  return {
    ...splitTopic(topic),
    accepted: view.acceptedMessages,
    recent: view.recentMessages,
    lastAcceptedAt: view.lastAcceptedAt
  }
}

interface Tallying {
  readonly tallies: ReadonlyMap<string, Tally>
  readonly turn: Turn
  readonly hasBacklogs: boolean
}

async function tallySession(session: SessionEntry, { tallies, turn, hasBacklogs }: Tallying): Promise<void> {
  const { literals, hasWildcard, filters } = firstLevels(session)
  if (turn.spend(1 + filters)) await turn.next()
  const reached = hasWildcard ? everyQueue(tallies, literals) : named(tallies, literals)
  const isOfOneQueue = !hasWildcard && literals.size === 1
  let whole: number | null | undefined
  for (const tally of reached) {
    tally.attach(session.isConnected)
    if (turn.spend(1)) await turn.next()
    if (!hasBacklogs) continue
    if (whole === undefined) whole = await countBacklog(session, turn)
    // what has no backlog has none in any queue; one that has one queue only has all of it there
    if (whole !== 0) tally.owe(isOfOneQueue ? whole : await countBacklog(session, turn, tally.queue))
  }
}

/** Queues that a filter names. */
function* named(tallies: ReadonlyMap<string, Tally>, literals: ReadonlySet<string>): Generator<Tally> {
  for (const queue of literals) {
    const tally = tallies.get(queue)
    if (tally) yield tally
  }
}

/** Queues that a filter names or a wildcard reaches. */
function* everyQueue(tallies: ReadonlyMap<string, Tally>, literals: ReadonlySet<string>): Generator<Tally> {
  for (const [queue, tally] of tallies) {
    if (!queue.startsWith('$') || literals.has(queue)) yield tally // [MQTT-4.7.2-1]
  }
}

function firstLevels(session: SessionEntry) {
  const literals = new Set<string>()
  let hasWildcard = false
  let filters = 0
  for (const { filter } of session.subscriptions()) {
    const { queue } = splitTopic(filter)
    if (isWild(queue)) hasWildcard = true
    else literals.add(queue)
    filters++
  }
  return { literals, hasWildcard, filters }
}
