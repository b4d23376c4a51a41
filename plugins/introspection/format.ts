import { QueueError, type SessionView, type SubscriptionView, splitTopic } from '../../src/plugin.ts'
import { compareText } from './top.ts'

const SHOWN_NAME_LENGTH = 120

/** JSON Schema of a time, and of one that may be unknown or not have come. */
export const timeSchema = { type: 'string', format: 'date-time' } as const
/** Schema of a time that may be unknown. */
export const nullableTimeSchema = { type: ['string', 'null'], format: 'date-time' } as const
/** JSON Schema of a count. */
export const countSchema = { type: 'integer', minimum: 0 } as const

/** JSON Schema of an object all of whose properties are always there. */
export function objectSchema<Properties extends Record<string, object>>(properties: Properties) {
  return { type: 'object', required: Object.keys(properties), properties } as const
}

/** JSON Schema of a page of a list: the rows under the list's name, and the next cursor. */
export function pageSchema(name: string, row: object) {
  return objectSchema({
    [name]: { type: 'array', items: row },
    next: { type: ['string', 'null'], description: '`cursor` of the next page; null at the end.' }
  })
}

/** A time as ISO 8601 text; null stays null. */
export function isoTime(at: number): string
/** A time as ISO 8601 text; null stays null. */
export function isoTime(at: number | null): string | null
/** A time as ISO 8601 text; null stays null. */
export function isoTime(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}

/** Whether a filter's first level is a wildcard: then it names no queue. */
export function isWildcard(firstLevel: string): boolean {
  return firstLevel === '+' || firstLevel === '#'
}

/** The queues that filters name: their first levels, each once, sorted; `+` and `#` stand for themselves. */
export function queuesOf(subscriptions: Iterable<SubscriptionView>): string[] {
  const names = new Set<string>()
  for (const { filter } of subscriptions) names.add(splitTopic(filter).queue)
  return [...names].sort(compareText)
}

/** The queues of a session; none when there is no session. */
export function sessionQueues(session: SessionView | undefined): string[] {
  return session === undefined ? [] : queuesOf(session.subscriptions())
}

/** QUEUE_NOT_FOUND for a name that a caller gave. */
export function notFound(kind: string, name: string): QueueError {
  const shown = name.length > SHOWN_NAME_LENGTH ? `${name.slice(0, SHOWN_NAME_LENGTH)}…` : name
  return new QueueError('QUEUE_NOT_FOUND', { detail: { kind, name: JSON.stringify(shown) } })
}
