import type { FastifyInstance } from 'fastify'
import { type BrokerRow, inLane } from '../../src/plugin.ts'
import { isoTime } from './format.ts'
import { type PageQuery, readPage, type SortKey } from './page.ts'
import {
  countSchema,
  listQuerySchema,
  objectSchema,
  pageSchema,
  problems,
  routeSchema,
  timeSchema
} from './schemas.ts'
import type { Introspected } from './source.ts'
import { Turn } from './turn.ts'

const STATES = ['live', 'silent', 'stopped', 'dead'] as const

const brokerRowSchema = objectSchema({
  broker: { type: 'string' },
  lane: { ...countSchema, description: 'The number of its lane.' },
  state: {
    type: 'string',
    enum: STATES,
    description:
      'silent: no heartbeat for longer than usual; stopped: it said goodbye; dead: another one has taken over what it had.'
  },
  self: { type: 'boolean', description: 'Whether it is the one that answers.' },
  heartbeatAgeMs: { ...countSchema, description: 'Since its last heartbeat was seen.' },
  headSequence: { ...countSchema, description: 'Sequence of its newest message, as it says.' },
  followedSequence: {
    ...countSchema,
    description: 'Up to there the one that answers has read its messages.'
  },
  lag: { ...countSchema, description: 'Messages in between.' },
  startedAt: timeSchema,
  host: { type: 'string', description: 'Where it runs.' },
  version: { type: 'string' }
})

const SORTS: Readonly<Record<string, SortKey<BrokerRow>>> = {
  lane: { order: 'asc', valueOf: broker => broker.lane },
  heartbeatAge: { order: 'desc', valueOf: broker => broker.heartbeatAgeMs },
  lag: { order: 'desc', valueOf: lagOf },
  startedAt: { order: 'desc', valueOf: broker => broker.startedAt }
}

interface BrokerFilters {
  readonly state?: (typeof STATES)[number]
}

/** GET /brokers: those that share the store, as the one sees them that answers. */
export function addBrokerRoutes(app: FastifyInstance, context: Introspected): void {
  const querystring = listQuerySchema('broker', SORTS, {
    state: { type: 'string', enum: STATES, description: 'Brokers in this state.' }
  })
  app.get<{ Querystring: PageQuery & BrokerFilters }>(
    '/brokers',
    {
      schema: routeSchema(
        {
          ...{ tag: 'brokers', operationId: 'listBrokers', summary: 'The brokers that share the store' },
          description: 'As the one sees them that answers. A server that is alone on its store has none.'
        },
        { querystring, response: { 200: pageSchema('brokers', brokerRowSchema), ...problems(400) } }
      )
    },
    async request => {
      const { query } = request
      const { rows, next } = await readPage(
        {
          items: context.peers?.brokers() ?? [],
          idName: 'broker',
          idOf: (broker: BrokerRow) => broker.name,
          sorts: SORTS,
          accepts: (broker: BrokerRow) => query.state === undefined || broker.state === query.state,
          toRow: brokerRow
        },
        query,
        Turn.of(request)
      )
      return { brokers: rows, next }
    }
  )
}

function brokerRow(broker: BrokerRow) {
  const { name, lane, state, isSelf, heartbeatAgeMs, headSequence, followedSequence, startedAt } = broker
  return {
    ...{ broker: name, lane, state, self: isSelf, heartbeatAgeMs: Math.round(heartbeatAgeMs) },
    ...{ headSequence, followedSequence, lag: lagOf(broker), startedAt: isoTime(startedAt) },
    ...{ host: broker.host, version: broker.version }
  }
}

function lagOf({ isSelf, headSequence, followedSequence }: BrokerRow): number {
  return isSelf ? 0 : Math.max(0, inLane(headSequence) - inLane(followedSequence))
}
