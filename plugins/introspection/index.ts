import { definePlugin } from '../../src/plugin.ts'
import { addClientRoutes } from './clients.ts'
import { addQueueRoutes } from './queues.ts'
import { addServerRoutes } from './server.ts'
import { addSessionRoutes } from './sessions.ts'
import { addSubscriptionRoutes } from './subscriptions.ts'

/** Shows over HTTP who is connected, attached and subscribed, and how far everybody is. It has no options. */
export const introspection = definePlugin<Record<string, never>>({
  name: 'introspection',
  schema: { type: 'object', required: [], additionalProperties: false },
  setup(context) {
    return {
      async routes(app) {
        addClientRoutes(app, context)
        addSessionRoutes(app, context)
        addQueueRoutes(app, context)
        addSubscriptionRoutes(app, context)
        addServerRoutes(app, context)
      }
    }
  }
})
