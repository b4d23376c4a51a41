import { definePlugin } from '../../src/plugin.ts'
import { addRoutes } from './routes.ts'

/**
 * Shows over HTTP who is connected, attached and subscribed, how far everybody is, and what is kept; disconnects
 * clients, ends and purges sessions, subscribes on behalf. It has no options.
 */
export const introspection = definePlugin<Record<string, never>>({
  name: 'introspection',
  schema: { type: 'object', required: [], additionalProperties: false },
  setup(context) {
    return {
      async routes(app) {
        addRoutes(app, { ...context, isPartial: false })
      }
    }
  }
})
