import type { FastifyInstance } from 'fastify'
import { type Directory, type PluginContext, type SubscriptionView, splitTopic } from '../../src/plugin.ts'
import { isoTime, objectSchema, pageSchema, timeSchema } from './format.ts'
import { type PageQuery, pageQuerySchema, readPage } from './page.ts'

const subscriptionSchema = objectSchema({
  client: { type: 'string' },
  filter: { type: 'string' },
  queue: { type: 'string', description: 'First level of the filter; + and # stand for themselves.' },
  event: { type: 'string', description: 'The other levels of the filter.' },
  qos: { type: 'integer', minimum: 0, maximum: 2 },
  connected: { type: 'boolean' },
  createdAt: timeSchema
})

interface Owned {
  readonly subscription: SubscriptionView
  readonly isConnected: boolean
}

/** GET /subscriptions, sorted by client id, then by filter. */
export function addSubscriptionRoutes(app: FastifyInstance, { directory }: PluginContext): void {
  app.get<{ Querystring: PageQuery }>(
    '/subscriptions',
    {
      schema: {
        querystring: pageQuerySchema,
        response: { 200: pageSchema('subscriptions', subscriptionSchema) }
      }
    },
    async ({ query }) => {
      const source = { items: allSubscriptions(directory), keyOf: keyOfSubscription, toRow: subscriptionRow }
      const { rows, next } = await readPage(source, query)
      return { subscriptions: rows, next }
    }
  )
}

function* allSubscriptions(directory: Directory): Generator<Owned | null> {
  for (const session of directory.sessions()) {
    for (const subscription of session.subscriptions())
      yield { subscription, isConnected: session.isConnected }
    yield null
  }
}

/** U+0000 is in no client id and no filter [MQTT-1.5.4-2], and is below all else. */
function keyOfSubscription({ subscription }: Owned): string {
  return `${subscription.clientId}\0${subscription.filter}`
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
