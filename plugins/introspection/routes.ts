import type { FastifyInstance } from 'fastify'
import { addBrokerRoutes } from './brokers.ts'
import { addClientRoutes } from './clients.ts'
import { addMessageRoutes } from './messages.ts'
import { addQueueEventRoutes } from './queue-events.ts'
import { addQueueRoutes } from './queues.ts'
import { addServerRoutes } from './server.ts'
import { addSessionMessageRoutes } from './session-messages.ts'
import { addSessionRoutes } from './sessions.ts'
import type { Introspected } from './source.ts'
import { addSubscriptionRoutes } from './subscriptions.ts'

/** Adds every route of the introspection. */
export function addRoutes(app: FastifyInstance, context: Introspected): void {
  addClientRoutes(app, context)
  addSessionRoutes(app, context)
  addSessionMessageRoutes(app, context)
  addSubscriptionRoutes(app, context)
  addQueueRoutes(app, context)
  addQueueEventRoutes(app, context)
  addMessageRoutes(app, context)
  if (!context.isPartial) addBrokerRoutes(app, context)
  addServerRoutes(app, context)
}
