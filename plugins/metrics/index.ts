import { definePlugin } from '../../src/plugin.ts'
import { BacklogTotal } from './backlog-total.ts'
import { addClusterMetrics } from './cluster-metrics.ts'
import { addEventMetrics } from './event-metrics.ts'
import { addProcessMetrics } from './process-metrics.ts'
import { addServerMetrics } from './server-metrics.ts'

/** Shows the figures of the server, and those that other plugins register, to Prometheus at GET /metrics. It has no options. */
export const metrics = definePlugin<Record<string, never>>({
  name: 'metrics',
  schema: { type: 'object', required: [], additionalProperties: false },
  setup(context) {
    const { metrics: registry, directory, events, clock, log } = context
    addServerMetrics(registry, directory, new BacklogTotal({ directory, clock, log }))
    addEventMetrics(registry, events)
    addProcessMetrics(registry)
    addClusterMetrics(registry, () => context.peers)
    return {
      async rootRoutes(app) {
        const schema = {
          ...{ tags: ['metrics'], operationId: 'getMetrics', summary: 'All figures, for Prometheus' },
          produces: ['text/plain'],
          response: { 200: { type: 'string', description: 'Prometheus text format 0.0.4.' } }
        }
        app.get('/metrics', { schema }, async (_request, reply) => {
          const text = await registry.metrics()
          return reply.type(registry.contentType).serializer(String).send(text)
        })
      }
    }
  }
})
