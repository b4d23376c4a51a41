import { splitTopic } from '../../src/plugin.ts'
import { oldestAt } from './counts.ts'
import { isoTime, queuesOf } from './format.ts'
import {
  brokerSchema,
  countSchema,
  nullableTimeSchema,
  objectSchema,
  partialSchema,
  qosSchema,
  queuesSchema,
  timeSchema
} from './schemas.ts'
import type { Introspected, SessionEntry } from './source.ts'
import { compareText } from './top.ts'

/** Why a session gets nothing at a moment; ready: it does. */
export const sessionStates = ['ready', 'caught-up', 'inflight-full', 'socket-full', 'offline'] as const

const subscriptionProperties = {
  filter: { type: 'string' },
  qos: qosSchema,
  queue: { type: 'string', description: 'First level of the filter; + and # stand for themselves.' },
  event: { type: 'string', description: 'The other levels of the filter.' }
}

const properties = {
  id: { type: 'string' },
  broker: brokerSchema,
  connected: { type: 'boolean' },
  persistent: { type: 'boolean', description: 'Whether it outlives the connection.' },
  state: {
    type: 'string',
    enum: sessionStates,
    description: 'Why it gets nothing at this moment; ready: it does.'
  },
  queues: queuesSchema,
  backlog: {
    ...countSchema,
    description: 'Messages it has still to receive, those inflight and those that have expired not included.'
  },
  inflight: { ...countSchema, description: 'Messages sent and not yet acked.' },
  oldestAt: { ...nullableTimeSchema, description: 'When the oldest message it has not acked was accepted.' },
  oldestAgeMs: { type: ['integer', 'null'], minimum: 0 },
  createdAt: timeSchema,
  connectedAt: nullableTimeSchema,
  disconnectedAt: nullableTimeSchema,
  lastActivityAt: {
    ...nullableTimeSchema,
    description: 'When something of its client was last read; null: not since the server started.'
  },
  expirySeconds: {
    type: ['integer', 'null'],
    minimum: 0,
    description: 'Seconds that it is kept after a disconnect; null: for ever.'
  },
  expiresAt: {
    ...nullableTimeSchema,
    description: 'When it will end; null while connected, and when it is kept for ever.'
  }
}

/** What of a session is known of every broker. */
const KNOWN = ['id', 'broker', 'connected', 'persistent', 'queues', 'subscriptions']

/** JSON Schema of a session. */
export function sessionSchema({ isPartial }: Introspected) {
  const createdAt = isPartial ? nullableTimeSchema : timeSchema
  const subscription = objectSchema({ ...subscriptionProperties, createdAt })
  const schema = objectSchema({ ...properties, subscriptions: { type: 'array', items: subscription } })
  return isPartial ? partialSchema(schema, KNOWN) : schema
}

/** A session as callers get it. */
export type SessionRow = Awaited<ReturnType<typeof sessionRow>>

/** Makes the row of a session. */
export async function sessionRow(session: SessionEntry, context: Introspected) {
  const [foundAt, backlog] = [await oldestAt(session, context), await session.backlog()]
  const inflight = await session.inflight()
  // what was acked between the looks is not told as the oldest
  const oldest = backlog === 0 && inflight === 0 ? null : foundAt
  const subscriptions = [...session.subscriptions()].sort((a, b) => compareText(a.filter, b.filter))
  return {
    id: session.clientId,
    broker: context.peers?.self ?? null,
    connected: session.isConnected,
    persistent: session.isPersistent,
    state: session.state,
    queues: queuesOf(subscriptions),
    backlog,
    inflight,
    oldestAt: isoTime(oldest),
    oldestAgeMs: oldest === null ? null : Math.max(0, context.clock.now() - oldest),
    createdAt: isoTime(session.createdAt),
    connectedAt: isoTime(session.connectedAt),
    disconnectedAt: isoTime(session.disconnectedAt),
    lastActivityAt: isoTime(session.lastActivityAt),
    expirySeconds: session.expirySeconds,
    expiresAt: isoTime(session.expiresAt),
    subscriptions: subscriptions.map(({ filter, qos, createdAt }) => ({
      filter,
      qos,
      ...splitTopic(filter),
      createdAt: isoTime(createdAt)
    }))
  }
}
