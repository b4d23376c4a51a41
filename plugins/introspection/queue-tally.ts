import { type Directory, type SessionView, splitTopic, type TopicView } from '../../src/plugin.ts'
import { isWildcard } from './format.ts'
import { compareText, Top } from './top.ts'
import type { Turn } from './turn.ts'

/** Units of a turn (see Turn) that the backlog of one session takes. */
const BACKLOG_UNITS = 20

/** An event of a queue, and how many of its messages were accepted since the start. */
export interface EventCount {
  readonly event: string
  readonly accepted: number
}

/** What is known of one queue. */
export interface QueueTally {
  /** Sessions with a filter that can match a topic of the queue. */
  readonly attached: number
  /** Those of them that are connected. */
  readonly connected: number
  /** Messages that the attached sessions have still to receive, added up; null when it cannot be told. */
  readonly backlog: number | null
  readonly accepted: number
  /** Events seen. */
  readonly eventCount: number
  /** Those with the most messages. */
  readonly events: readonly EventCount[]
}

class Tally {
  attached = 0
  connected = 0
  backlog: number | null = 0
  accepted = 0
  eventCount = 0
  readonly busiest: Top<EventCount>

  constructor(maxEvents: number) {
    this.busiest = new Top(maxEvents, (a, b) => b.accepted - a.accepted || compareText(a.event, b.event))
  }

  attach(isConnected: boolean): void {
    this.attached++
    if (isConnected) this.connected++
  }

  finish(): QueueTally {
    const events = [...this.busiest.items()].sort((a, b) => compareText(a.event, b.event))
    const { attached, connected, backlog, accepted, eventCount } = this
    return { attached, connected, backlog, accepted, eventCount, events }
  }
}

/**
 * Reads what is known of some queues, in one walk over all sessions and one over all topics.
 *
 * The backlog of a session is one number over all its filters. So it counts for a queue when each of the session's
 * filters is in that queue; one session that is attached to others as well, and the queue's backlog is null.
 * @param maxEvents most events told for each queue.
 */
export async function tallyQueues(
  directory: Directory,
  queues: readonly string[],
  options: { readonly maxEvents: number; readonly turn: Turn }
): Promise<ReadonlyMap<string, QueueTally>> {
  const tallies = new Map(queues.map(queue => [queue, new Tally(options.maxEvents)]))
  await tallySessions(directory.sessions(), tallies, options.turn)
  await tallyTopics(directory.topics(), tallies, options.turn)
  return new Map([...tallies].map(([queue, tally]) => [queue, tally.finish()]))
}

async function tallySessions(
  sessions: Iterable<SessionView>,
  tallies: ReadonlyMap<string, Tally>,
  turn: Turn
): Promise<void> {
  const wild = new Tally(0) // sessions that reach every queue that does not start with $
  for (const session of sessions) {
    const { literals, hasWildcard, filters } = firstLevels(session)
    if (hasWildcard) wild.attach(session.isConnected)
    for (const queue of literals) {
      const tally = tallies.get(queue)
      if (tally === undefined || (hasWildcard && !queue.startsWith('$'))) continue // counted among the wild
      tally.attach(session.isConnected)
      if (hasWildcard || literals.size > 1) tally.backlog = null
      else if (tally.backlog !== null) {
        tally.backlog += session.backlog()
        if (turn.spend(BACKLOG_UNITS)) await turn.next()
      }
    }
    if (turn.spend(1 + filters)) await turn.next()
  }
  for (const [queue, tally] of tallies) {
    if (queue.startsWith('$') || wild.attached === 0) continue // [MQTT-4.7.2-1]
    tally.attached += wild.attached
    tally.connected += wild.connected
    tally.backlog = null
  }
}

function firstLevels(session: SessionView) {
  const literals = new Set<string>()
  let hasWildcard = false
  let filters = 0
  for (const { filter } of session.subscriptions()) {
    const { queue } = splitTopic(filter)
    if (isWildcard(queue)) hasWildcard = true
    else literals.add(queue)
    filters++
  }
  return { literals, hasWildcard, filters }
}

async function tallyTopics(
  topics: Iterable<TopicView>,
  tallies: ReadonlyMap<string, Tally>,
  turn: Turn
): Promise<void> {
  for (const { topic, acceptedMessages } of topics) {
    const { queue, event } = splitTopic(topic)
    const tally = tallies.get(queue)
    if (tally !== undefined) {
      tally.accepted += acceptedMessages
      tally.eventCount++
      tally.busiest.offer({ event, accepted: acceptedMessages })
    }
    if (turn.spend(1)) await turn.next()
  }
}
