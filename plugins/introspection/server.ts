import type { FastifyInstance } from 'fastify'
import { DROP_REASONS } from '../../src/plugin.ts'
import { isoTime, perSecond } from './format.ts'
import {
  brokerSchema,
  countSchema,
  objectSchema,
  partialSchema,
  rateSchema,
  routeSchema,
  timeSchema
} from './schemas.ts'
import type { Introspected } from './source.ts'

const byQosSchema = {
  type: 'array',
  items: countSchema,
  minItems: 3,
  maxItems: 3,
  description: 'PUBLISH packets of QoS 0, 1 and 2.'
} as const

const serverSchema = objectSchema({
  broker: { ...brokerSchema, description: 'Name of this broker; null: it is alone on its store.' },
  lane: { type: 'string', description: 'The part of a message id before the colon.' },
  startedAt: timeSchema,
  uptimeMs: countSchema,
  accepting: {
    type: 'boolean',
    description: 'Whether publishes are accepted; false after the store has failed.'
  },
  connectedClients: countSchema,
  connections: {
    ...countSchema,
    description: 'Clients that were let in; a count since the start, as all below.'
  },
  sessions: { ...countSchema, description: 'Sessions that there are, connected or not.' },
  persistentSessions: countSchema,
  subscriptions: { ...countSchema, description: 'Subscriptions that there are.' },
  inflight: { ...countSchema, description: 'Messages sent to sessions and not yet acked.' },
  retained: { ...countSchema, description: 'Topics with a retained message.' },
  headSequence: { ...countSchema, description: 'Sequence of the last message on stable storage.' },
  storedBytes: { ...countSchema, description: 'What messages take in the store.' },
  accepted: { ...countSchema, description: 'Messages accepted.' },
  ratePerSecond: rateSchema,
  delivered: { ...countSchema, description: 'PUBLISH packets sent, redeliveries included.' },
  refused: { ...countSchema, description: 'Publishes that the store did not take.' },
  dropped: { ...countSchema, description: 'Deliveries that were not made, those that expired not included.' },
  expired: { ...countSchema, description: 'Deliveries whose message expired before it could be sent.' },
  drops: {
    ...objectSchema(Object.fromEntries(DROP_REASONS.map(reason => [reason, countSchema]))),
    description: 'Deliveries that were not made, by reason.'
  },
  receivedByQos: byQosSchema,
  sentByQos: byQosSchema,
  receivedBytes: countSchema,
  sentBytes: countSchema
})

/** What of the server is known of every broker. */
const KNOWN = ['startedAt', 'uptimeMs', 'accepting']

/** GET /server. */
export function addServerRoutes(app: FastifyInstance, context: Introspected): void {
  const row = context.isPartial ? partialSchema(serverSchema, KNOWN) : serverSchema
  app.get(
    '/server',
    {
      schema: routeSchema(
        { tag: 'server', operationId: 'getServer', summary: 'The server as a whole' },
        { response: { 200: row } }
      )
    },
    () => serverRow(context)
  )
}

async function serverRow(context: Introspected) {
  const server = await context.directory.server()
  return {
    broker: context.peers?.self ?? null,
    lane: server.lane,
    startedAt: isoTime(server.startedAt),
    uptimeMs: Math.max(0, context.clock.now() - server.startedAt),
    accepting: server.isAccepting,
    connectedClients: server.connectedClients,
    connections: server.connections,
    sessions: server.sessions,
    persistentSessions: server.persistentSessions,
    subscriptions: server.subscriptions,
    inflight: server.inflightMessages,
    retained: server.retainedMessages,
    headSequence: server.headSequence,
    storedBytes: server.storedBytes,
    accepted: server.acceptedMessages,
    ratePerSecond: server.recentMessages === null ? null : perSecond(server.recentMessages),
    delivered: server.deliveredMessages,
    refused: server.refusedMessages,
    dropped: server.droppedMessages,
    expired: server.expiredMessages,
    drops: server.drops,
    receivedByQos: server.receivedByQos,
    sentByQos: server.sentByQos,
    receivedBytes: server.receivedBytes,
    sentBytes: server.sentBytes
  }
}
