import type { FastifyInstance } from 'fastify'
import type { ClientView, PluginContext } from '../../src/plugin.ts'
import {
  countSchema,
  isoTime,
  notFound,
  objectSchema,
  pageSchema,
  sessionQueues,
  timeSchema
} from './format.ts'
import { type PageQuery, pageQuerySchema, readPage } from './page.ts'

const PROTOCOLS: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5.0' }

const clientSchema = objectSchema({
  id: { type: 'string' },
  address: { type: ['string', 'null'], description: 'Remote address and port.' },
  transport: { type: 'string', enum: ['tcp', 'websocket', 'stream'] },
  protocol: { type: 'string', description: 'Version of MQTT: 3.1, 3.1.1 or 5.0.' },
  connectedAt: timeSchema,
  keepAliveSeconds: countSchema,
  persistent: { type: 'boolean', description: 'Whether its session outlives the connection.' },
  queues: { type: 'array', items: { type: 'string' } },
  receivedBytes: countSchema,
  sentBytes: countSchema,
  dropped: { ...countSchema, description: 'QoS 0 messages dropped because its socket was full.' }
})

/** GET /clients and /clients/:id. Unknown id: QUEUE_NOT_FOUND. */
export function addClientRoutes(app: FastifyInstance, { directory }: PluginContext): void {
  const toRow = (client: ClientView) => clientRow(client, sessionQueues(directory.session(client.clientId)))
  app.get<{ Querystring: PageQuery }>(
    '/clients',
    { schema: { querystring: pageQuerySchema, response: { 200: pageSchema('clients', clientSchema) } } },
    async ({ query }) => {
      const source = { items: directory.clients(), keyOf: (client: ClientView) => client.clientId, toRow }
      const { rows, next } = await readPage({ ...source, weigh: row => row.queues.length }, query)
      return { clients: rows, next }
    }
  )
  app.get<{ Params: { id: string } }>(
    '/clients/:id',
    { schema: { response: { 200: clientSchema } } },
    async ({ params }) => {
      const client = directory.client(params.id)
      if (client === undefined) throw notFound('client', params.id)
      return toRow(client)
    }
  )
}

function clientRow(client: ClientView, queues: readonly string[]) {
  return {
    id: client.clientId,
    address: client.address,
    transport: client.transport,
    protocol: PROTOCOLS[client.protocolVersion] ?? String(client.protocolVersion),
    connectedAt: isoTime(client.connectedAt),
    keepAliveSeconds: client.keepAliveSeconds,
    persistent: client.isPersistent,
    queues,
    receivedBytes: client.receivedBytes,
    sentBytes: client.sentBytes,
    dropped: client.droppedMessages
  }
}
