import type { FastifyInstance } from 'fastify'
import { isoTime, perSecond } from './format.ts'
import { type PageQuery, readPage, type SortKey } from './page.ts'
import { queueNames } from './queue-names.ts'
import { type EventTally, eventTally } from './queue-tally.ts'
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
import { incomplete, notFoundOrAway } from './shared.ts'
import { sumOf } from './shared-queues.ts'
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
  const shared = new SharedEvents(context)
  app.get<{ Params: { queue: string }; Querystring: PageQuery }>(
    '/queues/:queue/events',
    {
      schema: routeSchema(
        { tag: 'queues', operationId: 'listQueueEvents', summary: 'Events of a queue' },
        {
          params: pathSchema('queue', 'Name of the queue, percent-encoded.'),
          querystring: listQuerySchema('event', SORTS),
          response: { 200: pageSchema('events', eventSchema), ...problems(400, 404, 503) }
        }
      )
    },
    async request => {
      const { queue } = request.params
      const turn = Turn.of(request)
      const { events, isKnown, missing } = await shared.read(queue, turn)
      if (!isKnown) throw notFoundOrAway('queue', queue, missing)
      const { rows, next } = await readPage<TopicTally, object>(
        {
          items: events,
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
      return { events: rows, next, ...incomplete(missing) }
    }
  )
}

interface Found {
  readonly isKnown: boolean
  readonly events: readonly TopicTally[]
}

const METHOD = 'queue-events'

/** The events of a queue on all brokers, added up. A broker knows as many as it remembers topics. */
class SharedEvents {
  readonly #context: Introspected

  constructor(context: Introspected) {
    this.#context = context
    context.peers?.answer(METHOD, queue => this.#find(String(queue), new Turn()))
  }

  async read(queue: string, turn: Turn): Promise<Found & { readonly missing: readonly string[] }> {
    const asked = this.#context.peers?.askAll(METHOD, queue)
    const own = await this.#find(queue, turn)
    const { answers = [], missing = [] } = (await asked) ?? {}
    const all = [own, ...answers.map(({ answer }) => answer as Found)]
    const events = new Map<string, TopicTally>()
    for (const { events: found } of all) {
      for (const event of found) {
        const before = events.get(event.event)
        events.set(event.event, before ? sumOf(before, event) : event)
        if (turn.spend(1)) await turn.next()
      }
    }
    return { events: [...events.values()], isKnown: all.some(({ isKnown }) => isKnown), missing }
  }

  async #find(queue: string, turn: Turn): Promise<Found> {
    const { directory } = this.#context
    const events: TopicTally[] = []
    for (const view of directory.topics()) {
      const { queue: found, ...tally } = eventTally(view)
      if (found === queue) events.push({ ...tally, topic: view.topic })
      if (turn.spend(1)) await turn.next()
    }
    return { events, isKnown: events.length > 0 || (await isNamed(directory, queue, turn)) }
  }
}

async function isNamed(directory: Source, queue: string, turn: Turn): Promise<boolean> {
  for await (const name of queueNames(directory)) {
    if (name === queue) return true
    if (turn.spend(1)) await turn.next()
  }
  return false
}
