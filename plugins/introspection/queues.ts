import type { FastifyInstance } from 'fastify'
import { isoTime, perSecond } from './format.ts'
import { type PageQuery, readPage, type SortKey } from './page.ts'
import { queueNames } from './queue-names.ts'
import type { QueueTally } from './queue-tally.ts'
import {
  countSchema,
  listQuerySchema,
  nullableTimeSchema,
  objectSchema,
  pageSchema,
  pathSchema,
  problems,
  rateSchema,
  routeSchema,
  withIncomplete
} from './schemas.ts'
import { incomplete, notFoundOrAway, SharedList, type SharedPage } from './shared.ts'
import { SharedQueues } from './shared-queues.ts'
import type { Introspected } from './source.ts'
import { Turn } from './turn.ts'

const TAG = 'queues'

/** Most events told for each queue: in the list, and of a queue that was asked for by name. */
const LISTED_EVENTS = 100
const MAX_EVENTS = 1_000

/** JSON Schema of what is told of an event within its queue. */
const eventProperties = {
  event: { type: 'string' },
  accepted: countSchema,
  ratePerSecond: rateSchema,
  lastAcceptedAt: nullableTimeSchema
} as const

const queueProperties = {
  queue: { type: 'string' },
  attached: { ...countSchema, description: 'Sessions with a filter that can match a topic of the queue.' },
  connected: { ...countSchema, description: 'Attached sessions that are connected.' },
  backlog: {
    ...countSchema,
    description:
      'Messages of the queue that the attached sessions have still to receive, added up: one that two have to receive counts twice.'
  },
  accepted: { ...countSchema, description: 'Messages accepted.' },
  ratePerSecond: rateSchema,
  lastAcceptedAt: { ...nullableTimeSchema, description: 'null: none.' },
  eventCount: { ...countSchema, description: 'How many events were seen.' },
  events: {
    type: 'array',
    items: objectSchema(eventProperties),
    description: 'Events seen; of very many, those with the most messages.'
  }
}

const SORTS: Readonly<Record<string, SortKey<QueueTally>>> = {
  backlog: { order: 'desc', valueOf: tally => tally.backlog },
  attached: { order: 'desc', valueOf: tally => tally.attached },
  accepted: { order: 'desc', valueOf: tally => tally.accepted },
  rate: { order: 'desc', valueOf: tally => tally.recent },
  lastAcceptedAt: { order: 'desc', valueOf: tally => tally.lastAcceptedAt }
}

interface QueueFilters {
  readonly prefix?: string
  readonly minBacklog?: number
}

const querySchema = listQuerySchema('queue', SORTS, {
  prefix: { type: 'string', description: 'Queues whose name begins so.' },
  minBacklog: {
    type: 'integer',
    minimum: 0,
    description: 'Queues with a backlog of at least so many messages.'
  }
})

/** GET /queues and /queues/:queue. A queue that no filter names and no topic had: QUEUE_NOT_FOUND. */
export function addQueueRoutes(app: FastifyInstance, context: Introspected): void {
  const { isPartial } = context
  const queues = new SharedQueues(context)
  const list = new QueueList(context, queues)
  const backlog = isPartial
    ? { ...queueProperties.backlog, type: ['integer', 'null'] }
    : queueProperties.backlog
  const row = objectSchema({ ...queueProperties, backlog })
  app.get<{ Querystring: PageQuery & QueueFilters }>(
    '/queues',
    {
      schema: routeSchema(
        { tag: TAG, operationId: 'listQueues', summary: 'Queues that a filter names or a message had' },
        { querystring: querySchema, response: { 200: pageSchema('queues', row), ...problems(400) } }
      )
    },
    async request => {
      const { rows, ...page } = await list.read(request.query, Turn.of(request))
      return { queues: rows.map(tally => queueRow(tally)), ...page }
    }
  )
  app.get<{ Params: { queue: string } }>(
    '/queues/:queue',
    {
      schema: routeSchema(
        { tag: TAG, operationId: 'getQueue', summary: 'One queue' },
        {
          params: pathSchema('queue', 'Name of the queue, percent-encoded.'),
          response: { 200: withIncomplete(row), ...problems(404, 503) }
        }
      )
    },
    async request => {
      const { queue } = request.params
      const turn = Turn.of(request)
      const found = await queues.names({ queue }, turn)
      if (found.names.size === 0) throw notFoundOrAway('queue', queue, found.missing)
      const asked = { queues: [queue], maxEvents: MAX_EVENTS, hasBacklogs: true }
      const { tallies, missing } = await queues.count(asked, turn)
      return { ...queueRow(tallies.get(queue)!), ...incomplete(missing) }
    }
  )
}

/** The list of queues, of all brokers. */
class QueueList {
  readonly #queues: SharedQueues
  readonly #names: SharedList<PageQuery & QueueFilters, string, string>

  constructor(context: Introspected, queues: SharedQueues) {
    this.#queues = queues
    this.#names = new SharedList(context, 'queue-names', ({ prefix = '' }: PageQuery & QueueFilters) => ({
      items: queueNames(context.directory),
      idName: 'queue',
      idOf: asIs,
      toRow: asIs,
      accepts: name => name.startsWith(prefix)
    }))
  }

  /** By name, only the queues of the page are counted; otherwise all have to be. */
  async read(query: PageQuery & QueueFilters, turn: Turn): Promise<SharedPage<QueueTally>> {
    const { minBacklog = 0, sort = 'queue' } = query
    return sort === 'queue' && minBacklog === 0
      ? await this.#readByName(query, turn)
      : await this.#readByValue(query, turn)
  }

  async #readByName(query: PageQuery & QueueFilters, turn: Turn): Promise<SharedPage<QueueTally>> {
    const { rows: queues, next, incomplete: unnamed = [] } = await this.#names.read(query, turn)
    const asked = { queues, maxEvents: LISTED_EVENTS, hasBacklogs: true }
    const { tallies, missing } = await this.#queues.count(asked, turn)
    const rows = queues.map(queue => tallies.get(queue)!)
    return { rows, next, ...incomplete([...new Set([...unnamed, ...missing])]) }
  }

  async #readByValue(query: PageQuery & QueueFilters, turn: Turn): Promise<SharedPage<QueueTally>> {
    const { prefix = '', minBacklog = 0 } = query
    // events of all queues would be too much to tell one another
    const { isShared } = this.#queues
    const { names, missing: unnamed } = await this.#queues.names({ prefix }, turn)
    const asked = { queues: [...names], maxEvents: isShared ? 0 : LISTED_EVENTS, hasBacklogs: true }
    const { tallies, missing: uncounted } = await this.#queues.count(asked, turn)
    const missing = [...new Set([...unnamed, ...uncounted])]
    const { rows, next } = await readPage(
      {
        items: tallies.values(),
        idName: 'queue',
        idOf: (tally: QueueTally) => tally.queue,
        sorts: SORTS,
        accepts: (tally: QueueTally) => (tally.backlog ?? 0) >= minBacklog,
        toRow: (tally: QueueTally) => tally
      },
      query,
      turn
    )
    const page = { next, ...incomplete(missing) }
    return { rows: isShared ? await this.#withEvents(rows, turn) : rows, ...page }
  }

  async #withEvents(rows: readonly QueueTally[], turn: Turn): Promise<QueueTally[]> {
    const queues = rows.map(({ queue }) => queue)
    const asked = { queues, maxEvents: LISTED_EVENTS, hasBacklogs: false }
    const { tallies } = await this.#queues.count(asked, turn)
    return rows.map(row => {
      const { events, eventCount } = tallies.get(row.queue)!
      return { ...row, events, eventCount }
    })
  }
}

function queueRow({ recent, lastAcceptedAt, events, ...tally }: QueueTally) {
  return {
    ...tally,
    ratePerSecond: perSecond(recent),
    lastAcceptedAt: isoTime(lastAcceptedAt),
    events: events.map(({ event, accepted, ...seen }) => ({
      event,
      accepted,
      ratePerSecond: perSecond(seen.recent),
      lastAcceptedAt: isoTime(seen.lastAcceptedAt)
    }))
  }
}

function asIs(name: string): string {
  return name
}
