import type { FastifyInstance } from 'fastify'
import { errorText, type PluginContext, type SessionView, splitTopic } from '../../src/plugin.ts'
import {
  countSchema,
  isoTime,
  notFound,
  nullableTimeSchema,
  objectSchema,
  pageSchema,
  queuesOf,
  timeSchema
} from './format.ts'
import { type PageQuery, pageQuerySchema, readPage } from './page.ts'
import { compareText } from './top.ts'

const sessionSchema = objectSchema({
  id: { type: 'string' },
  connected: { type: 'boolean' },
  persistent: { type: 'boolean', description: 'Whether it outlives the connection.' },
  state: {
    type: 'string',
    enum: ['ready', 'caught-up', 'inflight-full', 'socket-full', 'offline'],
    description: 'Why it gets nothing at this moment; ready: it does.'
  },
  queues: {
    type: 'array',
    items: { type: 'string' },
    description: 'First levels of its filters; + and # stand for themselves.'
  },
  subscriptions: {
    type: 'array',
    items: objectSchema({
      filter: { type: 'string' },
      qos: { type: 'integer', minimum: 0, maximum: 2 },
      queue: { type: 'string' },
      event: { type: 'string' },
      createdAt: timeSchema
    })
  },
  backlog: { ...countSchema, description: 'Messages it has still to receive, those inflight not included.' },
  inflight: { ...countSchema, description: 'Messages sent and not yet acked.' },
  oldestAt: { ...nullableTimeSchema, description: 'When the oldest message it has not acked was accepted.' },
  oldestAgeMs: { type: ['integer', 'null'], minimum: 0 },
  createdAt: timeSchema,
  connectedAt: nullableTimeSchema,
  disconnectedAt: nullableTimeSchema
})

/** GET /sessions and /sessions/:id. Unknown id: QUEUE_NOT_FOUND. */
export function addSessionRoutes(app: FastifyInstance, context: PluginContext): void {
  const { directory } = context
  const toRow = (session: SessionView) => sessionRow(session, context)
  app.get<{ Querystring: PageQuery }>(
    '/sessions',
    { schema: { querystring: pageQuerySchema, response: { 200: pageSchema('sessions', sessionSchema) } } },
    async ({ query }) => {
      const source = { items: directory.sessions(), keyOf: (session: SessionView) => session.clientId, toRow }
      const { rows, next } = await readPage({ ...source, weigh: row => row.subscriptions.length }, query)
      return { sessions: rows, next }
    }
  )
  app.get<{ Params: { id: string } }>(
    '/sessions/:id',
    { schema: { response: { 200: sessionSchema } } },
    async ({ params }) => {
      const session = directory.session(params.id)
      if (session === undefined) throw notFound('session', params.id)
      return toRow(session)
    }
  )
}

async function sessionRow(session: SessionView, context: PluginContext) {
  const foundAt = await oldestAt(session, context)
  // all that follows is read in one turn, after the wait, so that the numbers belong together
  const subscriptions = [...session.subscriptions()].sort((a, b) => compareText(a.filter, b.filter))
  const backlog = session.backlog()
  const inflight = session.inflight()
  const oldest = backlog + inflight === 0 ? null : foundAt
  return {
    id: session.clientId,
    connected: session.isConnected,
    persistent: session.isPersistent,
    state: session.state,
    queues: queuesOf(subscriptions),
    subscriptions: subscriptions.map(({ filter, qos, createdAt }) => ({
      filter,
      qos,
      ...splitTopic(filter),
      createdAt: isoTime(createdAt)
    })),
    backlog,
    inflight,
    oldestAt: isoTime(oldest),
    oldestAgeMs: oldest === null ? null : Math.max(0, context.clock.now() - oldest),
    createdAt: isoTime(session.createdAt),
    connectedAt: isoTime(session.connectedAt),
    disconnectedAt: isoTime(session.disconnectedAt)
  }
}

/** Null also when it cannot be read: a store that fails is when the rest of the answer is needed most. */
async function oldestAt(session: SessionView, { log }: PluginContext): Promise<number | null> {
  try {
    return await session.oldestAt()
  } catch (error) {
    log.warn({ session: session.clientId, reason: errorText(error) }, 'the oldest message could not be read')
    return null
  }
}
