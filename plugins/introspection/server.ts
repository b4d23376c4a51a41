import type { FastifyInstance } from 'fastify'
import type { PluginContext } from '../../src/plugin.ts'
import { countSchema, isoTime, objectSchema, timeSchema } from './format.ts'

const serverSchema = objectSchema({
  lane: { type: 'string' },
  startedAt: timeSchema,
  uptimeMs: countSchema,
  headSequence: { ...countSchema, description: 'Sequence of the last message on stable storage.' },
  storedBytes: countSchema,
  accepted: {
    ...countSchema,
    description: 'Messages, since the start; so are delivered, refused, dropped and expired.'
  },
  delivered: countSchema,
  refused: countSchema,
  dropped: countSchema,
  expired: countSchema,
  retained: { ...countSchema, description: 'Topics with a retained message.' },
  accepting: {
    type: 'boolean',
    description: 'Whether publishes are accepted; false after the store has failed.'
  }
})

/** GET /server. */
export function addServerRoutes(app: FastifyInstance, { directory, clock }: PluginContext): void {
  app.get('/server', { schema: { response: { 200: serverSchema } } }, async () => {
    const server = directory.server()
    return {
      lane: server.lane,
      startedAt: isoTime(server.startedAt),
      uptimeMs: Math.max(0, clock.now() - server.startedAt),
      headSequence: server.headSequence,
      storedBytes: server.storedBytes,
      accepted: server.acceptedMessages,
      delivered: server.deliveredMessages,
      refused: server.refusedMessages,
      dropped: server.droppedMessages,
      expired: server.expiredMessages,
      retained: server.retainedMessages,
      accepting: server.isAccepting
    }
  })
}
