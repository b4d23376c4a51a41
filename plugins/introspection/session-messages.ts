import type { FastifyInstance } from 'fastify'
import { isQueueError } from '../../src/plugin.ts'
import { decodePart, encodePart } from './cursor.ts'
import { LISTED_PAYLOAD_BYTES, messageRow, messageSchema } from './message-row.ts'
import type { PageQuery } from './page.ts'
import { readParts } from './parts.ts'
import { cursorQuerySchema, objectSchema, pageSchema, pathSchema, problems, routeSchema } from './schemas.ts'
import { SharedOne } from './shared.ts'
import type { Introspected } from './source.ts'

const STATUSES = ['queued', 'inflight'] as const

const owedSchema = objectSchema({
  status: { type: 'string', enum: STATUSES, description: 'inflight: sent and not yet acked.' },
  sequence: { type: ['integer', 'null'] },
  message: {
    ...messageSchema,
    type: ['object', 'null'],
    description: 'Null when the store does not have it any more, or it is damaged there.'
  }
})

/** GET /sessions/:id/messages: what a session has still to ack. Unknown id: QUEUE_NOT_FOUND. */
export function addSessionMessageRoutes(app: FastifyInstance, context: Introspected): void {
  const one = new SharedOne(context, 'session-messages', async ({ id, query }: Asked) => {
    try {
      return await owed(context, id, query)
    } catch (error) {
      if (isQueueError(error) && error.code === 'QUEUE_NOT_FOUND') return null
      throw error
    }
  })
  app.get<{ Params: { id: string }; Querystring: OwedQuery }>(
    '/sessions/:id/messages',
    {
      schema: routeSchema(
        {
          ...{
            tag: 'sessions',
            operationId: 'listSessionMessages',
            summary: 'What a session has still to ack'
          },
          description:
            'First what is inflight, then what is queued, each from the oldest on. Looking changes nothing. A page may be empty although there are more: `next` tells.'
        },
        {
          params: pathSchema('id', 'Client id, percent-encoded.'),
          querystring: cursorQuerySchema({
            status: { type: 'string', enum: STATUSES, description: 'Messages of this status only.' }
          }),
          response: { 200: pageSchema('messages', owedSchema), ...problems(400, 404, 503) }
        }
      )
    },
    ({ params: { id }, query }) => one.find({ id, query }, 'session', id)
  )
}

type OwedQuery = PageQuery & { readonly status?: (typeof STATUSES)[number] }

interface Asked {
  readonly id: string
  readonly query: OwedQuery
}

async function owed({ messages }: Introspected, id: string, query: OwedQuery) {
  const { status } = query
  const { items, next } = await readParts({
    read: (after, limit) => messages.owed(id, after, limit),
    after: decodePart('owed', query.cursor),
    limit: query.limit,
    isWanted: item => status === undefined || item.status === status,
    isBeyond: item => status === 'inflight' && item.status === 'queued'
  })
  const rows = items.map(({ status, sequence, message }) => ({
    ...{ status, sequence },
    message: message && messageRow(message, LISTED_PAYLOAD_BYTES)
  }))
  return { messages: rows, next: encodePart('owed', next) }
}
