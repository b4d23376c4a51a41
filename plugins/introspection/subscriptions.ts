import type { FastifyInstance } from 'fastify'
import { assertFilter, filterReachesQueue, notFound, QueueError, splitTopic } from '../../src/plugin.ts'
import { badRequest, isoTime } from './format.ts'
import { topicMatches } from './match.ts'
import type { PageQuery, PageSource, SortKey } from './page.ts'
import {
  brokerSchema,
  listQuerySchema,
  nullableTimeSchema,
  objectSchema,
  pageSchema,
  pathSchema,
  problems,
  qosSchema,
  routeSchema,
  timeSchema
} from './schemas.ts'
import { SharedList } from './shared.ts'
import type { Introspected, Source, SubscriptionEntry } from './source.ts'
import { Turn } from './turn.ts'
import { needControl } from './unable.ts'

const TAG = 'subscriptions'
const MAX_FILTERS = 1_000

interface Owned {
  readonly subscription: SubscriptionEntry
  readonly isConnected: boolean
}

interface SubscriptionFilters {
  readonly client?: string
  readonly filter?: string
  readonly queue?: string
  readonly matches?: string
  readonly connected?: boolean
}

const SORTS: Readonly<Record<string, SortKey<Owned>>> = {
  createdAt: { order: 'desc', valueOf: ({ subscription }) => subscription.createdAt },
  qos: { order: 'desc', valueOf: ({ subscription }) => subscription.qos }
}

const querySchema = listQuerySchema('client', SORTS, {
  client: { type: 'string', description: 'Subscriptions of this client id.' },
  filter: { type: 'string', description: 'Subscriptions with exactly this filter.' },
  queue: {
    type: 'string',
    description: 'Subscriptions that can match a topic of this queue, wildcards included.'
  },
  matches: { type: 'string', minLength: 1, description: 'Subscriptions that match this topic.' },
  connected: { type: 'boolean', description: 'Whether the client is connected.' }
})

/** GET /subscriptions, POST and DELETE /sessions/:id/subscriptions. */
export function addSubscriptionRoutes(app: FastifyInstance, context: Introspected): void {
  const row = objectSchema({
    client: { type: 'string' },
    broker: brokerSchema,
    filter: { type: 'string' },
    queue: { type: 'string', description: 'First level of the filter; + and # stand for themselves.' },
    event: { type: 'string', description: 'The other levels of the filter.' },
    qos: qosSchema,
    connected: { type: 'boolean' },
    createdAt: context.isPartial ? nullableTimeSchema : timeSchema
  })
  const list = new SharedList(context, 'subscriptions', (query: PageQuery & SubscriptionFilters) =>
    subscriptionSource(context, query)
  )
  app.get<{ Querystring: PageQuery & SubscriptionFilters }>(
    '/subscriptions',
    {
      schema: routeSchema(
        {
          ...{ tag: TAG, operationId: 'listSubscriptions', summary: 'Who is subscribed to what' },
          description: 'Sorted by client id, then by filter, unless told otherwise.'
        },
        { querystring: querySchema, response: { 200: pageSchema('subscriptions', row), ...problems(400) } }
      )
    },
    async request => {
      const { rows, ...page } = await list.read(request.query, Turn.of(request))
      return { subscriptions: rows, ...page }
    }
  )
  addOnBehalf(app, context)
}

interface OnBehalf {
  readonly subscriptions: readonly { filter: string; qos: number }[]
}

const grantedSchema = objectSchema({
  subscriptions: {
    type: 'array',
    items: objectSchema({ filter: { type: 'string' }, qos: qosSchema }),
    description: 'Those that were granted, with the QoS that was.'
  },
  refused: { type: 'array', items: { type: 'string' }, description: 'Filters that a hook has refused.' }
})

const bodySchema = {
  type: 'object',
  required: ['subscriptions'],
  additionalProperties: false,
  properties: {
    subscriptions: {
      type: 'array',
      minItems: 1,
      maxItems: MAX_FILTERS,
      items: {
        type: 'object',
        required: ['filter'],
        additionalProperties: false,
        properties: { filter: { type: 'string', minLength: 1 }, qos: { ...qosSchema, default: 1 } }
      }
    }
  }
} as const

function addOnBehalf(app: FastifyInstance, context: Introspected): void {
  const params = pathSchema('id', 'Client id, percent-encoded.')
  app.post<{ Params: { id: string }; Body: OnBehalf }>(
    '/sessions/:id/subscriptions',
    {
      schema: routeSchema(
        {
          ...{ tag: TAG, operationId: 'subscribeSession', summary: 'Subscribe a session, connected or not' },
          description:
            'As its client would. Hooks are asked, and retained messages sent, when it is connected.'
        },
        {
          params,
          body: bodySchema,
          response: { 200: grantedSchema, ...problems(400, 403, 404, 503, 507) }
        }
      )
    },
    async ({ params, body }) => {
      const asked = new Map(body.subscriptions.map(({ filter, qos }) => [filter, qos]))
      for (const filter of asked.keys()) assertFilter(filter)
      const wanted = [...asked].map(([filter, qos]) => ({ filter, qos }))
      const granted = await needControl(context).subscribe(params.id, wanted)
      for (const { filter } of granted) asked.delete(filter)
      if (granted.length === 0) {
        const problem = `subscribing ${params.id} was refused`
        throw new QueueError('QUEUE_NOT_AUTHORIZED', { detail: { problem } })
      }
      return { subscriptions: granted, refused: [...asked.keys()] }
    }
  )
  app.delete<{ Params: { id: string }; Querystring: { filter: string } }>(
    '/sessions/:id/subscriptions',
    {
      schema: routeSchema(
        { tag: TAG, operationId: 'unsubscribeSession', summary: 'Take a subscription out of a session' },
        {
          params,
          querystring: {
            type: 'object',
            required: ['filter'],
            additionalProperties: false,
            properties: {
              filter: { type: 'string', minLength: 1, description: 'The filter, as it was subscribed.' }
            }
          },
          response: {
            204: { type: 'null', description: 'It is gone; what of it was still to be received is as well.' },
            ...problems(400, 404, 503, 507)
          }
        }
      )
    },
    async ({ params, query }, reply) => {
      assertFilter(query.filter)
      const [wasThere] = await needControl(context).unsubscribe(params.id, [query.filter])
      if (!wasThere) throw notFound('subscription', query.filter)
      return reply.code(204).send()
    }
  )
}

function subscriptionSource(
  { directory, peers }: Introspected,
  filters: SubscriptionFilters
): PageSource<Owned, object> {
  const { client, filter, queue, matches, connected } = filters
  if (matches !== undefined && /[+#]/.test(matches)) {
    throw badRequest('matches: expected a topic, found one with a wildcard (+ or #), which only filters have')
  }
  return {
    items: allSubscriptions(directory, client),
    idName: 'client',
    // U+0000 is in no client id and no filter [MQTT-1.5.4-2], and is below all else
    idOf: ({ subscription }) => `${subscription.clientId}\0${subscription.filter}`,
    sorts: SORTS,
    accepts({ subscription, isConnected }) {
      if (filter !== undefined && subscription.filter !== filter) return false
      if (connected !== undefined && isConnected !== connected) return false
      if (queue !== undefined && !filterReachesQueue(subscription.filter, queue)) return false
      return matches === undefined || topicMatches(subscription.filter, matches)
    },
    toRow: owned => ({ broker: peers?.self ?? null, ...subscriptionRow(owned) })
  }
}

async function* allSubscriptions(
  directory: Source,
  client: string | undefined
): AsyncGenerator<Owned | null> {
  const one = client === undefined ? undefined : await directory.session(client)
  const sessions = client === undefined ? directory.sessions() : one === undefined ? [] : [one]
  for await (const session of sessions) {
    for (const subscription of session.subscriptions())
      yield { subscription, isConnected: session.isConnected }
    yield null
  }
}

function subscriptionRow({ subscription, isConnected }: Owned) {
  const { clientId, filter, qos, createdAt } = subscription
  return {
    client: clientId,
    filter,
    ...splitTopic(filter),
    qos,
    connected: isConnected,
    createdAt: isoTime(createdAt)
  }
}
