import type { FastifyInstance } from 'fastify'
import { notFound } from '../../src/plugin.ts'
import { isoTime, perSecond } from './format.ts'
import { type PageQuery, readPage, type SortKey } from './page.ts'
import { type EventTally, eventTally } from './queue-tally.ts'
import { isKnownQueue } from './queues.ts'
import {
  countSchema,
  listQuerySchema,
  objectSchema,
  pageSchema,
  pathSchema,
  problems,
  rateSchema,
  routeSchema,
  timeSchema
} from './schemas.ts'
import type { Introspected, Source } from './source.ts'
import { Turn } from './turn.ts'

const eventSchema = objectSchema({
  event: { type: 'string', description: "The topic without its first level; '' for a topic of one level." },
  topic: { type: 'string' },
  accepted: { ...countSchema, description: 'Messages accepted.' },
  ratePerSecond: rateSchema,
  lastAcceptedAt: timeSchema
})

interface TopicTally extends EventTally {
  readonly topic: string
}

const SORTS: Readonly<Record<string, SortKey<TopicTally>>> = {
  accepted: { order: 'desc', valueOf: event => event.accepted },
  rate: { order: 'desc', valueOf: event => event.recent },
  lastAcceptedAt: { order: 'desc', valueOf: event => event.lastAcceptedAt }
}

/** GET /queues/:queue/events: those that were used lately. Unknown queue: QUEUE_NOT_FOUND. */
export function addQueueEventRoutes(app: FastifyInstance, context: Introspected): void {
  const { directory } = context
  app.get<{ Params: { queue: string }; Querystring: PageQuery }>(
    '/queues/:queue/events',
    {
      schema: routeSchema(
        { tag: 'queues', operationId: 'listQueueEvents', summary: 'Events of a queue' },
        {
          params: pathSchema('queue', 'Name of the queue, percent-encoded.'),
          querystring: listQuerySchema('event', SORTS),
          response: { 200: pageSchema('events', eventSchema), ...problems(400, 404) }
        }
      )
    },
    async request => {
      const { queue } = request.params
      const turn = Turn.of(request)
      if (!(await isKnownQueue(directory, queue, turn))) throw notFound('queue', queue)
      const { rows, next } = await readPage<TopicTally, object>(
        {
          items: eventsOf(directory, queue),
          idName: 'event',
          idOf: event => event.event,
          sorts: SORTS,
          toRow: ({ event, accepted, recent, lastAcceptedAt, topic }) => ({
            ...{ event, topic, accepted, ratePerSecond: perSecond(recent) },
            lastAcceptedAt: isoTime(lastAcceptedAt)
          })
        },
        request.query,
        turn
      )
      return { events: rows, next }
    }
  )
}

function* eventsOf(directory: Source, queue: string): Generator<TopicTally | null> {
  for (const view of directory.topics()) {
    const tally = eventTally(view)
    yield tally.queue === queue ? { ...tally, topic: view.topic } : null
  }
}
