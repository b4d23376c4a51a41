import type { FastifyInstance } from 'fastify'
import { isAttached } from './attached.ts'
import { isoTime, sessionQueues } from './format.ts'
import type { PageQuery, PageSource, SortKey } from './page.ts'
import {
  brokerSchema,
  countSchema,
  listQuerySchema,
  objectSchema,
  pageSchema,
  partialSchema,
  pathSchema,
  problems,
  queuesSchema,
  routeSchema,
  timeSchema
} from './schemas.ts'
import { SharedList, SharedOne } from './shared.ts'
import type { ClientEntry, Introspected } from './source.ts'
import { Turn } from './turn.ts'
import { needControl } from './unable.ts'

const PROTOCOLS: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5.0' }
const TRANSPORTS = ['tcp', 'websocket', 'stream'] as const
const TAG = 'clients'

const clientSchema = objectSchema({
  id: { type: 'string' },
  broker: brokerSchema,
  username: { type: ['string', 'null'], description: 'Of its CONNECT; null without one.' },
  address: { type: ['string', 'null'], description: 'Remote address and port.' },
  transport: { type: 'string', enum: TRANSPORTS },
  protocol: { type: 'string', description: 'Version of MQTT: 3.1, 3.1.1 or 5.0.' },
  connectedAt: timeSchema,
  lastActivityAt: { ...timeSchema, description: 'When something of it was last read.' },
  keepAliveSeconds: countSchema,
  persistent: { type: 'boolean', description: 'Whether its session outlives the connection.' },
  queues: queuesSchema,
  receivedBytes: countSchema,
  sentBytes: countSchema,
  receivedMessages: { ...countSchema, description: 'PUBLISH packets that came from it.' },
  sentMessages: { ...countSchema, description: 'PUBLISH packets that were sent to it.' },
  dropped: {
    ...countSchema,
    description:
      'Messages dropped for this connection: its socket was full, or they are larger than it takes.'
  }
})

/** What of a client is known of every broker. */
const KNOWN = ['id', 'broker', 'transport', 'persistent', 'queues']

const SORTS: Readonly<Record<string, SortKey<ClientEntry>>> = {
  connectedAt: { order: 'desc', valueOf: client => client.connectedAt },
  lastActivityAt: { order: 'desc', valueOf: client => client.lastActivityAt },
  receivedBytes: { order: 'desc', valueOf: client => client.receivedBytes },
  sentBytes: { order: 'desc', valueOf: client => client.sentBytes },
  receivedMessages: { order: 'desc', valueOf: client => client.receivedMessages },
  sentMessages: { order: 'desc', valueOf: client => client.sentMessages },
  dropped: { order: 'desc', valueOf: client => client.droppedMessages }
}

interface ClientFilters {
  readonly prefix?: string
  readonly username?: string
  readonly transport?: (typeof TRANSPORTS)[number]
  readonly persistent?: boolean
  readonly queue?: string
}

const querySchema = listQuerySchema('id', SORTS, {
  prefix: { type: 'string', description: 'Clients whose id begins so.' },
  username: { type: 'string', description: 'Clients of this user.' },
  transport: { type: 'string', enum: TRANSPORTS, description: 'Clients that are connected so.' },
  persistent: { type: 'boolean', description: 'Whether the session outlives the connection.' },
  queue: {
    type: 'string',
    description: 'Clients whose session is attached to this queue, wildcards included.'
  }
})

/** GET /clients, GET and DELETE /clients/:id. Unknown id: QUEUE_NOT_FOUND. */
export function addClientRoutes(app: FastifyInstance, context: Introspected): void {
  const { directory, isPartial } = context
  const row = isPartial ? partialSchema(clientSchema, KNOWN) : clientSchema
  const list = new SharedList(context, 'clients', (query: PageQuery & ClientFilters) =>
    clientSource(context, query)
  )
  const one = new SharedOne(context, 'client', async (id: string) => {
    const client = await directory.client(id)
    return client === undefined ? null : await clientRow(client, context)
  })
  app.get<{ Querystring: PageQuery & ClientFilters }>(
    '/clients',
    {
      schema: routeSchema(
        { tag: TAG, operationId: 'listClients', summary: 'Who is connected' },
        { querystring: querySchema, response: { 200: pageSchema('clients', row), ...problems(400) } }
      )
    },
    async request => {
      const { rows, ...page } = await list.read(request.query, Turn.of(request))
      return { clients: rows, ...page }
    }
  )
  const params = pathSchema('id', 'Client id, percent-encoded.')
  app.get<{ Params: { id: string } }>(
    '/clients/:id',
    {
      schema: routeSchema(
        { tag: TAG, operationId: 'getClient', summary: 'One connected client' },
        { params, response: { 200: row, ...problems(404, 503) } }
      )
    },
    ({ params }) => one.find(params.id, 'client', params.id)
  )
  app.delete<{ Params: { id: string } }>(
    '/clients/:id',
    {
      schema: routeSchema(
        {
          ...{ tag: TAG, operationId: 'disconnectClient', summary: 'Close the connection of a client' },
          description:
            'MQTT 5 is told 0x98 (Administrative action). Its session stays as at any lost connection; its will is sent. It may connect again at once.'
        },
        { params, response: { 204: { type: 'null', description: 'It is closed.' }, ...problems(404, 503) } }
      )
    },
    async ({ params }, reply) => {
      await needControl(context).disconnect(params.id)
      return reply.code(204).send()
    }
  )
}

function clientSource(context: Introspected, query: ClientFilters): PageSource<ClientEntry, ClientRow> {
  const { directory } = context
  const { prefix, username, transport, persistent, queue } = query
  return {
    items: directory.clients(),
    idName: 'id',
    idOf: client => client.clientId,
    sorts: SORTS,
    accepts(client, turn) {
      if (prefix !== undefined && !client.clientId.startsWith(prefix)) return false
      if (username !== undefined && client.username !== username) return false
      if (transport !== undefined && client.transport !== transport) return false
      if (persistent !== undefined && client.isPersistent !== persistent) return false
      return queue === undefined || isClientAttached(context, client, { queue, turn })
    },
    toRow: client => clientRow(client, context),
    weigh: row => row.queues.length
  }
}

async function isClientAttached(
  { directory }: Introspected,
  client: ClientEntry,
  { queue, turn }: { queue: string; turn: Turn }
): Promise<boolean> {
  const session = await directory.session(client.clientId)
  return session !== undefined && isAttached(session, queue, turn)
}

type ClientRow = Awaited<ReturnType<typeof clientRow>>

async function clientRow(client: ClientEntry, { directory, peers }: Introspected) {
  const version = client.protocolVersion
  return {
    id: client.clientId,
    broker: peers?.self ?? null,
    username: client.username,
    address: client.address,
    transport: client.transport,
    protocol: version === null ? null : (PROTOCOLS[version] ?? String(version)),
    connectedAt: isoTime(client.connectedAt),
    lastActivityAt: isoTime(client.lastActivityAt),
    keepAliveSeconds: client.keepAliveSeconds,
    persistent: client.isPersistent,
    queues: sessionQueues(await directory.session(client.clientId)),
    receivedBytes: client.receivedBytes,
    sentBytes: client.sentBytes,
    receivedMessages: client.receivedMessages,
    sentMessages: client.sentMessages,
    dropped: client.droppedMessages
  }
}
