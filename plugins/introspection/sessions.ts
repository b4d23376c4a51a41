import type { FastifyInstance } from 'fastify'
import { isAttached } from './attached.ts'
import { countBacklog, findOldestAt } from './counts.ts'
import type { PageQuery, PageSource, SortKey } from './page.ts'
import { listQuerySchema, objectSchema, pageSchema, pathSchema, problems, routeSchema } from './schemas.ts'
import { type SessionRow, sessionRow, sessionSchema, sessionStates } from './session-row.ts'
import { SharedList, SharedOne } from './shared.ts'
import type { Introspected, SessionEntry } from './source.ts'
import { Turn } from './turn.ts'
import { needControl } from './unable.ts'

const TAG = 'sessions'

interface SessionFilters {
  readonly prefix?: string
  readonly connected?: boolean
  readonly persistent?: boolean
  readonly state?: string
  readonly queue?: string
  readonly minBacklog?: number
  readonly minInflight?: number
  readonly minOldestAgeMs?: number
}

const FILTER_SCHEMAS = {
  prefix: { type: 'string', description: 'Sessions whose id begins so.' },
  connected: { type: 'boolean', description: 'Whether its client is connected.' },
  persistent: { type: 'boolean', description: 'Whether it outlives the connection.' },
  state: { type: 'string', enum: sessionStates, description: 'Sessions in this state.' },
  queue: { type: 'string', description: 'Sessions attached to this queue, wildcards included.' },
  minBacklog: {
    type: 'integer',
    minimum: 0,
    description: 'Sessions with a backlog of at least so many messages.'
  },
  minInflight: {
    type: 'integer',
    minimum: 0,
    description: 'Sessions with at least so many unacked messages.'
  },
  minOldestAgeMs: {
    type: 'integer',
    minimum: 0,
    description: 'Sessions whose oldest message was accepted at least so long ago.'
  }
} as const

const droppedSchema = objectSchema({
  dropped: {
    type: 'integer',
    minimum: 0,
    description: 'Messages that it had still to receive, those inflight included.'
  }
})

/** GET /sessions, GET and DELETE /sessions/:id, DELETE /sessions/:id/messages. Unknown id: QUEUE_NOT_FOUND. */
export function addSessionRoutes(app: FastifyInstance, context: Introspected): void {
  const row = sessionSchema(context)
  const sorts = sessionSorts(context)
  const list = new SharedList(context, 'sessions', (query: PageQuery & SessionFilters) =>
    sessionSource(context, query)
  )
  const one = new SharedOne(context, 'session', async (id: string) => {
    const session = await context.directory.session(id)
    return session === undefined ? null : await sessionRow(session, context)
  })
  app.get<{ Querystring: PageQuery & SessionFilters }>(
    '/sessions',
    {
      schema: routeSchema(
        { tag: TAG, operationId: 'listSessions', summary: 'Sessions, connected or not' },
        {
          querystring: listQuerySchema('id', sorts, FILTER_SCHEMAS),
          response: { 200: pageSchema('sessions', row), ...problems(400) }
        }
      )
    },
    async request => {
      const { rows, ...page } = await list.read(request.query, Turn.of(request))
      return { sessions: rows, ...page }
    }
  )
  app.get<{ Params: { id: string } }>(
    '/sessions/:id',
    {
      schema: routeSchema(
        { tag: TAG, operationId: 'getSession', summary: 'One session' },
        { params: idSchema, response: { 200: row, ...problems(404, 503) } }
      )
    },
    ({ params }) => one.find(params.id, 'session', params.id)
  )
  addEndings(app, context)
}

const idSchema = pathSchema('id', 'Client id, percent-encoded.')

function addEndings(app: FastifyInstance, context: Introspected): void {
  const shapes = { params: idSchema, response: { 200: droppedSchema, ...problems(404, 503, 507) } }
  app.delete<{ Params: { id: string } }>(
    '/sessions/:id',
    {
      schema: routeSchema(
        {
          ...{ tag: TAG, operationId: 'endSession', summary: 'End a session' },
          description: 'Its connection is closed; its subscriptions, backlog and inflight messages are gone.'
        },
        shapes
      )
    },
    async ({ params }) => ({ dropped: await needControl(context).endSession(params.id) })
  )
  app.delete<{ Params: { id: string } }>(
    '/sessions/:id/messages',
    {
      schema: routeSchema(
        {
          ...{ tag: TAG, operationId: 'purgeSession', summary: 'Drop the backlog of a session' },
          description: 'What is queued and inflight is dropped; connection and subscriptions stay.'
        },
        shapes
      )
    },
    async ({ params }) => ({ dropped: await needControl(context).purge(params.id) })
  )
}

function sessionSorts(context: Introspected): Readonly<Record<string, SortKey<SessionEntry>>> {
  return {
    backlog: { order: 'desc', valueOf: (session, turn) => countBacklog(session, turn) },
    inflight: { order: 'desc', valueOf: session => session.inflight() },
    // by the time of acceptance and not by the age, so that the key stays while pages are read
    oldest: { order: 'asc', valueOf: (session, turn) => findOldestAt(session, turn, context) },
    createdAt: { order: 'desc', valueOf: session => session.createdAt },
    connectedAt: { order: 'desc', valueOf: session => session.connectedAt },
    lastActivityAt: { order: 'desc', valueOf: session => session.lastActivityAt }
  }
}

function sessionSource(context: Introspected, filters: SessionFilters): PageSource<SessionEntry, SessionRow> {
  return {
    items: context.directory.sessions(),
    idName: 'id',
    idOf: session => session.clientId,
    sorts: sessionSorts(context),
    accepts(session, turn) {
      const { prefix, connected, persistent, state } = filters
      if (prefix !== undefined && !session.clientId.startsWith(prefix)) return false
      if (connected !== undefined && session.isConnected !== connected) return false
      if (persistent !== undefined && session.isPersistent !== persistent) return false
      if (state !== undefined && session.state !== state) return false
      return isDeeplyAccepted(session, filters, { context, turn })
    },
    toRow: session => sessionRow(session, context),
    weigh: row => row.subscriptions.length
  }
}

/** The filters that have to count or to look at subscriptions. */
async function isDeeplyAccepted(
  session: SessionEntry,
  { queue, minBacklog = 0, minInflight = 0, minOldestAgeMs }: SessionFilters,
  { context, turn }: { context: Introspected; turn: Turn }
): Promise<boolean> {
  if (minInflight > 0 && ((await session.inflight()) ?? 0) < minInflight) return false
  if (queue !== undefined && !(await isAttached(session, queue, turn))) return false
  if (minBacklog > 0 && ((await countBacklog(session, turn)) ?? 0) < minBacklog) return false
  if (minOldestAgeMs === undefined) return true
  const oldest = await findOldestAt(session, turn, context)
  return oldest !== null && context.clock.now() - oldest >= minOldestAgeMs
}
