import type { FastifyInstance } from 'fastify'
import { isWild, notFound, splitTopic } from '../../src/plugin.ts'
import { isoTime, perSecond } from './format.ts'
import { type PageQuery, readPage, type SortKey } from './page.ts'
import { type QueueTally, tallyQueues } from './queue-tally.ts'
import {
  countSchema,
  listQuerySchema,
  nullableTimeSchema,
  objectSchema,
  pageSchema,
  pathSchema,
  problems,
  rateSchema,
  routeSchema
} from './schemas.ts'
import type { Introspected, Source } from './source.ts'
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
  const { directory, isPartial } = context
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
      const { rows, next } = await readQueues(directory, request.query, Turn.of(request))
      return { queues: rows.map(tally => queueRow(tally)), next }
    }
  )
  app.get<{ Params: { queue: string } }>(
    '/queues/:queue',
    {
      schema: routeSchema(
        { tag: TAG, operationId: 'getQueue', summary: 'One queue' },
        {
          params: pathSchema('queue', 'Name of the queue, percent-encoded.'),
          response: { 200: row, ...problems(404) }
        }
      )
    },
    async request => {
      const { queue } = request.params
      const turn = Turn.of(request)
      if (!(await isKnownQueue(directory, queue, turn))) throw notFound('queue', queue)
      const tallies = await tallyQueues(directory, [queue], { maxEvents: MAX_EVENTS, turn })
      return queueRow(tallies.get(queue)!)
    }
  )
}

/** By name, only the queues of the page are counted; otherwise all have to be. */
async function readQueues(directory: Source, query: PageQuery & QueueFilters, turn: Turn) {
  const { prefix = '', minBacklog = 0, sort = 'queue' } = query
  const names = queueNames(directory)
  const accepts = (name: string) => name.startsWith(prefix)
  if (sort === 'queue' && minBacklog === 0) {
    const source = { items: names, idName: 'queue', idOf: asIs, toRow: asIs, accepts }
    const { rows, next } = await readPage(source, query, turn)
    const tallies = await tallyQueues(directory, rows, { maxEvents: LISTED_EVENTS, turn })
    return { rows: [...tallies.values()], next }
  }
  const wanted = new Set<string>()
  for await (const name of names) {
    if (name !== null && accepts(name)) wanted.add(name)
    if (turn.spend(1)) await turn.next()
  }
  const tallies = await tallyQueues(directory, wanted, { maxEvents: LISTED_EVENTS, turn })
  return await readPage(
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
}

/** Names of queues in topics that were seen and in filters, most of them more than once; null after each session. */
async function* queueNames(directory: Source): AsyncGenerator<string | null> {
  for (const { topic } of directory.topics()) yield splitTopic(topic).queue
  for await (const session of directory.sessions()) {
    for (const { filter } of session.subscriptions()) {
      const { queue } = splitTopic(filter)
      yield isWild(queue) ? null : queue
    }
    yield null
  }
}

/** Whether a filter names a queue, or a message had it. */
export async function isKnownQueue(directory: Source, queue: string, turn: Turn): Promise<boolean> {
  for await (const name of queueNames(directory)) {
    if (name === queue) return true
    if (turn.spend(1)) await turn.next()
  }
  return false
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
