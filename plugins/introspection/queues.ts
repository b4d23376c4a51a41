import type { FastifyInstance } from 'fastify'
import { type Directory, type PluginContext, splitTopic } from '../../src/plugin.ts'
import { countSchema, isWildcard, notFound, objectSchema, pageSchema } from './format.ts'
import { type PageQuery, pageQuerySchema, readPage } from './page.ts'
import { type QueueTally, tallyQueues } from './queue-tally.ts'
import { Turn } from './turn.ts'

/** Most events told for each queue: in the list, and of a queue that was asked for by name. */
const LISTED_EVENTS = 100
const MAX_EVENTS = 1_000

const queueSchema = objectSchema({
  queue: { type: 'string' },
  events: {
    type: 'array',
    items: objectSchema({ event: { type: 'string' }, accepted: countSchema }),
    description: 'Events seen since the start; of very many, those with the most messages.'
  },
  eventCount: { ...countSchema, description: 'How many events were seen.' },
  attached: { ...countSchema, description: 'Sessions with a filter that can match a topic of the queue.' },
  connected: { ...countSchema, description: 'Attached sessions that are connected.' },
  backlog: {
    type: ['integer', 'null'],
    minimum: 0,
    description:
      'Messages that the attached sessions have still to receive, added up; null when one of them is attached to other queues as well.'
  },
  accepted: { ...countSchema, description: 'Messages accepted since the start.' }
})

/** GET /queues and /queues/:queue. A queue that no filter names and no topic had: QUEUE_NOT_FOUND. */
export function addQueueRoutes(app: FastifyInstance, { directory }: PluginContext): void {
  app.get<{ Querystring: PageQuery }>(
    '/queues',
    { schema: { querystring: pageQuerySchema, response: { 200: pageSchema('queues', queueSchema) } } },
    async ({ query }) => {
      const source = { items: queueNames(directory), keyOf: asIs, toRow: asIs }
      const { rows: names, next } = await readPage(source, query)
      const tallies = await tallyQueues(directory, names, { maxEvents: LISTED_EVENTS, turn: new Turn() })
      return { queues: names.map(name => queueRow(name, tallies)), next }
    }
  )
  app.get<{ Params: { queue: string } }>(
    '/queues/:queue',
    { schema: { response: { 200: queueSchema } } },
    async ({ params }) => {
      const { queue } = params
      const turn = new Turn()
      if (!(await isKnown(directory, queue, turn))) throw notFound('queue', queue)
      return queueRow(queue, await tallyQueues(directory, [queue], { maxEvents: MAX_EVENTS, turn }))
    }
  )
}

/** Names of queues in topics that were seen and in filters, most of them more than once; null after each session. */
function* queueNames(directory: Directory): Generator<string | null> {
  for (const { topic } of directory.topics()) yield splitTopic(topic).queue
  for (const session of directory.sessions()) {
    for (const { filter } of session.subscriptions()) {
      const { queue } = splitTopic(filter)
      yield isWildcard(queue) ? null : queue
    }
    yield null
  }
}

async function isKnown(directory: Directory, queue: string, turn: Turn): Promise<boolean> {
  for (const name of queueNames(directory)) {
    if (name === queue) return true
    if (turn.spend(1)) await turn.next()
  }
  return false
}

function queueRow(queue: string, tallies: ReadonlyMap<string, QueueTally>) {
  const { events, eventCount, attached, connected, backlog, accepted } = tallies.get(queue)!
  return { queue, events, eventCount, attached, connected, backlog, accepted }
}

function asIs(name: string): string {
  return name
}
