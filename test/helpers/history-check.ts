import type { ConnectEvent, History, HistoryEvent, SubscriptionEvent } from './history.ts'
import { Deliveries, type Sent } from './history-messages.ts'

/** What a history may break. */
export type HistoryRule =
  /** Acked to its publisher, sent after the SUBACK of a session that was entitled to it, and never delivered to it. */
  | 'lost'
  /** A first delivery came after that of a message which the same connection had sent later. */
  | 'order'
  /** A QoS 2 message came twice. */
  | 'twice'
  /** Delivered, but never sent, or sent on another topic. */
  | 'invented'
  /** Delivered to a session that was not, or not any more, entitled to it. */
  | 'not-entitled'
  /** Delivered again without DUP. */
  | 'no-dup'
  /** A durable session was gone when its client came back. */
  | 'session-gone'
  /** Acked to a publisher that had not sent it on that connection. */
  | 'false-ack'

/** A broken rule, for people and for tests. */
export interface Violation {
  readonly rule: HistoryRule
  readonly session: string
  readonly message: string
  readonly text: string
}

/** A time in which a session subscribes to a filter, by places in the history. */
interface Interval {
  readonly filter: string
  readonly subscribeAt: number
  subscribedAt: number
  /** When UNSUBSCRIBE or a CONNECT with Clean Start went out. */
  endAt: number
  endedAt: number
  /** When its session ended: nothing of it comes any more. */
  goneAt: number
}

/** What is known of a session. */
interface SessionHistory {
  readonly intervals: Interval[]
  readonly deliveries: Deliveries
}

/**
 * Holds a full history, which was drained at its end, against what is promised. Not promised, and so not looked at:
 * order and DUP of a message that went out on more than one connection, QoS 0, an order between connections.
 * @returns every broken rule; empty when all is well.
 */
export function checkHistory(history: Pick<History, 'events'>): Violation[] {
  const sent = new Map<string, Sent>()
  const sessions = new Map<string, SessionHistory>()
  const found: Violation[] = []
  const sessionOf = (name: string): SessionHistory => {
    const known = sessions.get(name) ?? { intervals: [], deliveries: new Deliveries(name) }
    sessions.set(name, known)
    return known
  }
  history.events.forEach((event, at) => {
    if (event.kind === 'publish' || event.kind === 'accept') found.push(...takePublisher(sent, event, at))
    else if (event.kind === 'receive') sessionOf(event.session).deliveries.take(event, at)
    else if (event.kind === 'connect') found.push(...takeConnect(sessionOf(event.session), event, at))
    else if (event.kind !== 'ack' && event.kind !== 'note')
      takeSubscription(sessionOf(event.session), event, at)
  })
  for (const session of sessions.values()) {
    found.push(...session.deliveries.broken(sent))
    found.push(...checkEntitled(session, sent), ...checkLost(session, sent))
  }
  return found
}

/** Messages that a session must still get, from all that happened so far; empty when it is drained. */
export function missing(history: Pick<History, 'events'>): { session: string; message: string }[] {
  return checkHistory(history)
    .filter(({ rule }) => rule === 'lost')
    .map(({ session, message }) => ({ session, message }))
}

function takePublisher(
  sent: Map<string, Sent>,
  event: Extract<HistoryEvent, { kind: 'publish' | 'accept' }>,
  at: number
): Violation[] {
  const { connection, message } = event
  const known = sent.get(message)
  if (event.kind === 'publish') {
    if (known) known.connections.add(connection)
    else {
      const { topic, qos } = event
      sent.set(message, {
        message,
        topic,
        qos,
        sentAt: at,
        acceptedAt: null,
        connections: new Set([connection])
      })
    }
    return []
  }
  if (!known?.connections.has(connection)) {
    return [
      { rule: 'false-ack', session: connection, message, text: `${message} was acked to ${connection}` }
    ]
  }
  known.acceptedAt ??= at
  return []
}

function takeConnect(session: SessionHistory, event: ConnectEvent, at: number): Violation[] {
  const live = session.intervals.filter(interval => interval.endAt === Number.POSITIVE_INFINITY)
  const isDurable = live.some(({ subscribedAt }) => subscribedAt < at)
  if (event.isPresent && !event.isClean) return []
  for (const interval of live) Object.assign(interval, { endAt: at, endedAt: at })
  for (const interval of session.intervals) interval.goneAt = Math.min(interval.goneAt, at)
  session.deliveries.forget()
  if (event.isClean || !isDurable) return []
  // what it was owed is lost with it: told once, not message by message
  const text = `${event.session} came back to ${event.broker} and its session was gone`
  return [{ rule: 'session-gone', session: event.session, message: '', text }]
}

function takeSubscription(session: SessionHistory, event: SubscriptionEvent, at: number): void {
  const { kind, filter } = event
  const of = session.intervals.filter(interval => interval.filter === filter)
  const never = Number.POSITIVE_INFINITY
  if (kind === 'subscribe') {
    session.intervals.push({
      ...{ filter, subscribeAt: at, subscribedAt: never },
      ...{ endAt: never, endedAt: never, goneAt: never }
    })
  } else if (kind === 'subscribed') {
    for (const interval of of)
      if (interval.endAt === never) interval.subscribedAt = Math.min(interval.subscribedAt, at)
  } else if (kind === 'unsubscribe') {
    for (const interval of of) if (interval.endAt === never) interval.endAt = at
  } else {
    for (const interval of of)
      if (interval.endAt !== never && interval.endedAt === never) interval.endedAt = at
  }
}

/** Nothing comes that was over before SUBSCRIBE went out, or was sent after UNSUBACK had come. */
function checkEntitled(
  { intervals, deliveries }: SessionHistory,
  sent: ReadonlyMap<string, Sent>
): Violation[] {
  const of = byTopic(intervals)
  return deliveries.first.flatMap(event => {
    const message = sent.get(event.message)
    if (!message) return []
    // a copy may still be on its way from a connection on which it was not acked
    const overAt =
      message.connections.size === 1
        ? (message.acceptedAt ?? Number.POSITIVE_INFINITY)
        : Number.POSITIVE_INFINITY
    const mayGet = of(message.topic).some(
      ({ subscribeAt, endedAt, goneAt }) =>
        overAt > subscribeAt && message.sentAt < endedAt && event.at < goneAt
    )
    if (mayGet) return []
    const text = `${event.session} got ${event.message} on ${event.topic} without a subscription at its time`
    return [{ rule: 'not-entitled' as const, session: event.session, message: event.message, text }]
  })
}

/** Everything that was accepted came, at the latest when all was drained. */
function checkLost({ intervals, deliveries }: SessionHistory, sent: ReadonlyMap<string, Sent>): Violation[] {
  const lasting = intervals.filter(
    ({ subscribedAt, endAt }) => endAt === Number.POSITIVE_INFINITY && subscribedAt < endAt
  )
  const of = byTopic(lasting)
  return [...sent.values()].flatMap(({ message, topic, sentAt, acceptedAt }) => {
    if (acceptedAt === null || deliveries.has(message)) return []
    const owing = of(topic).find(({ subscribedAt }) => subscribedAt < sentAt)
    if (!owing) return []
    const { session } = deliveries
    return [
      {
        rule: 'lost' as const,
        session,
        message,
        text: `${session} (${owing.filter}) never got ${message} on ${topic}`
      }
    ]
  })
}

/** The intervals whose filter takes a topic; there are many messages on few topics. */
function byTopic(intervals: readonly Interval[]): (topic: string) => readonly Interval[] {
  const known = new Map<string, readonly Interval[]>()
  return topic => {
    const found = known.get(topic) ?? intervals.filter(({ filter }) => matches(filter, topic))
    known.set(topic, found)
    return found
  }
}

/** Whether a topic filter takes a topic. @see MQTT 5.0 section 4.7 */
export function matches(filter: string, topic: string): boolean {
  const [wanted, levels] = [filter.split('/'), topic.split('/')]
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '#') return true
    if (i >= levels.length || (wanted[i] !== '+' && wanted[i] !== levels[i])) return false
  }
  return wanted.length === levels.length
}
