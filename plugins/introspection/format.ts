import { QueueError, RATE_SECONDS, splitTopic } from '../../src/plugin.ts'
import type { SessionEntry, SubscriptionEntry } from './source.ts'
import { compareText } from './top.ts'

/** A time as ISO 8601 text; null stays null. */
export function isoTime(at: number): string
/** A time as ISO 8601 text; null stays null. */
export function isoTime(at: number | null): string | null
/** A time as ISO 8601 text; null stays null. */
export function isoTime(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}

/** The queues that filters name: their first levels, each once, sorted; `+` and `#` stand for themselves. */
export function queuesOf(subscriptions: Iterable<SubscriptionEntry>): string[] {
  const names = new Set<string>()
  for (const { filter } of subscriptions) names.add(splitTopic(filter).queue)
  return [...names].sort(compareText)
}

/** The queues of a session; none when there is no session. */
export function sessionQueues(session: SessionEntry | undefined): string[] {
  return session === undefined ? [] : queuesOf(session.subscriptions())
}

/** Messages of the last minute, as so many a second, to the thousandth. */
export function perSecond(messages: number): number {
  return Math.round((messages / RATE_SECONDS) * 1_000) / 1_000
}

/** QUEUE_REQUEST_INVALID: what was wrong with the request, what was expected. */
export function badRequest(problem: string): QueueError {
  return new QueueError('QUEUE_REQUEST_INVALID', { detail: { problem } })
}
