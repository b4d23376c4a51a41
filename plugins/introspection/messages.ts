import type { FastifyInstance, FastifyReply } from 'fastify'
import { assertFilter, type MessageFilter, notFound, type StoredMessage } from '../../src/plugin.ts'
import { decodePart, encodePart } from './cursor.ts'
import { badRequest } from './format.ts'
import { LISTED_PAYLOAD_BYTES, messageRow, SHOWN_PAYLOAD_BYTES, storedMessageSchema } from './message-row.ts'
import type { PageQuery } from './page.ts'
import { readParts } from './parts.ts'
import { cursorQuerySchema, objectSchema, pageSchema, pathSchema, problems, routeSchema } from './schemas.ts'
import type { Introspected } from './source.ts'
import { UnableError } from './unable.ts'

const TAG = 'messages'

interface MessageFilters {
  readonly queue?: string
  readonly event?: string
  readonly topic?: string
  readonly publisher?: string
  readonly from?: string
  readonly to?: string
}

const querySchema = cursorQuerySchema({
  queue: { type: 'string', description: 'Messages of this queue.' },
  event: { type: 'string', description: 'Messages of this event of the queue.' },
  topic: { type: 'string', minLength: 1, description: 'Messages that match this topic filter.' },
  publisher: { type: 'string', description: 'Messages that this client id has published.' },
  from: { type: 'string', format: 'date-time', description: 'Accepted at this time or later.' },
  to: { type: 'string', format: 'date-time', description: 'Accepted before this time.' }
})

/** GET /messages, the newest first, and /messages/:id. Unknown id: QUEUE_NOT_FOUND. */
export function addMessageRoutes(app: FastifyInstance, context: Introspected): void {
  app.get<{ Querystring: PageQuery & MessageFilters }>(
    '/messages',
    {
      schema: routeSchema(
        {
          ...{ tag: TAG, operationId: 'listMessages', summary: 'Kept messages, the newest first' },
          description:
            'What is acked by all and not retained is freed after a while. A page may be empty although there are more: `next` tells.'
        },
        {
          querystring: querySchema,
          response: { 200: pageSchema('messages', storedMessageSchema), ...problems(400) }
        }
      )
    },
    async ({ query }) => {
      const { newest } = context.messages
      if (!newest) throw new UnableError('this broker keeps no list of messages')
      const filter = messageFilter(query)
      const { items, next } = await readParts({
        read: (after, limit) => context.messages.newest!(filter, after, limit),
        after: decodePart('messages', query.cursor),
        limit: query.limit
      })
      const messages = items.map(message => messageRow(message, LISTED_PAYLOAD_BYTES))
      return { messages, next: encodePart('messages', next) }
    }
  )
  addOneMessage(app, context)
}

function addOneMessage(app: FastifyInstance, context: Introspected): void {
  const raw = { type: 'string', format: 'binary' }
  const content = {
    'application/json': { schema: storedMessageSchema },
    'application/octet-stream': { schema: raw }
  }
  app.get<{ Params: { id: string }; Querystring: { payload?: 'raw' | 'text' } }>(
    '/messages/:id',
    {
      schema: routeSchema(
        {
          ...{ tag: TAG, operationId: 'getMessage', summary: 'One message' },
          description: `With payload=raw the answer is the payload, with its content type; otherwise JSON, with at most ${SHOWN_PAYLOAD_BYTES} bytes of it.`
        },
        {
          params: pathSchema('id', 'Lane and sequence, such as lane-1:42.'),
          querystring: objectSchemaOfPayload,
          response: { 200: { description: 'The message.', content }, ...problems(400, 404) }
        }
      )
    },
    async ({ params, query }, reply) => {
      if (!context.messages.byId)
        throw new UnableError('this broker keeps no messages that could be found by id')
      const message = await context.messages.byId(params.id)
      if (message === null) throw notFound('message', params.id)
      if (query.payload === 'raw') return sendRaw(reply, message)
      return reply.type('application/json').send(messageRow(message, SHOWN_PAYLOAD_BYTES))
    }
  )
}

const objectSchemaOfPayload = {
  ...objectSchema({
    payload: {
      type: 'string',
      enum: ['text', 'raw'],
      default: 'text',
      description: 'raw: answer the payload itself.'
    }
  }),
  required: [],
  additionalProperties: false
} as const

/**
 * Strangers wrote it: a browser must neither run it nor guess what it is. Of a content type that cannot stand in a
 * header Fastify makes application/octet-stream.
 */
function sendRaw(reply: FastifyReply, { payload, properties }: StoredMessage): FastifyReply {
  return reply
    .header('content-disposition', 'attachment')
    .header('content-security-policy', "default-src 'none'; sandbox")
    .header('x-content-type-options', 'nosniff')
    .header('content-type', properties?.contentType || 'application/octet-stream')
    .send(payload)
}

function messageFilter({ queue, event, topic, publisher, from, to }: MessageFilters): MessageFilter {
  if (topic !== undefined && (queue !== undefined || event !== undefined)) {
    throw badRequest('topic goes without queue and event: the filter names them itself')
  }
  if (event !== undefined && queue === undefined) throw badRequest('event goes with queue')
  for (const [name, level] of Object.entries({ queue, event })) {
    if (level !== undefined && /[+#]/.test(level)) {
      throw badRequest(`${name}: expected a name, found a wildcard (+ or #): use topic for a filter`)
    }
  }
  if (queue?.includes('/')) throw badRequest('queue: expected the first level of a topic, found more of them')
  const whole = queue === undefined ? topic : topicFilter(queue, event)
  if (whole !== undefined) assertFilter(whole)
  return { topicFilter: whole, publisher, from: timeOf('from', from), to: timeOf('to', to) }
}

function topicFilter(queue: string, event: string | undefined): string {
  if (event === undefined) return `${queue}/#`
  return event === '' ? queue : `${queue}/${event}`
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const at = Date.parse(text)
  if (Number.isNaN(at))
    throw badRequest(`${name}: expected a time such as 2026-01-31T12:00:00Z, found ${JSON.stringify(text)}`)
  return at
}
