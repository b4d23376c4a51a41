import { DROP_REASONS, type DropReason } from '../events.ts'
import { RecentCount, type TopicCounter } from '../routing/topic-counter.ts'

/** Packets by QoS: those of 0, of 1, of 2. */
export type ByQos = [number, number, number]

/** What the server did since it started. */
export interface Counters {
  /** Messages taken over, from clients and from inside. */
  acceptedMessages: number
  /** Those of the last minute. */
  readonly recent: RecentCount
  /** PUBLISH packets that came from clients. */
  readonly received: ByQos
  /** PUBLISH packets queued for clients, redeliveries included. */
  readonly sent: ByQos
  /** Bytes read from and written to all connections. */
  receivedBytes: number
  sentBytes: number
  /** Clients that were let in. */
  connections: number
  /** Deliveries that were not made, by reason. */
  readonly dropped: Record<DropReason, number>
}

/** All zero. */
export function newCounters(): Counters {
  const none = DROP_REASONS.map(reason => [reason, 0])
  return {
    acceptedMessages: 0,
    recent: new RecentCount(),
    received: [0, 0, 0],
    sent: [0, 0, 0],
    receivedBytes: 0,
    sentBytes: 0,
    connections: 0,
    dropped: Object.fromEntries(none) as Counters['dropped']
  }
}

/** Counts a message that was taken over. @param at milliseconds since 1970. */
export function countAccepted(counters: Counters, topic: TopicCounter, at: number): void {
  counters.acceptedMessages++
  counters.recent.add(at)
  topic.accepted(at)
}
