import { errorCodes, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { PluginContext } from '../../src/plugin.ts'
import { acceptedRow, acceptedSchema, acceptedStatus, REFUSALS } from './answer.ts'
import { assertOneOf, EXCLUSIVE, invalid, type MessageOptions, newMessage, optionSchemas } from './options.ts'

const NO_PAYLOAD = Buffer.alloc(0)

interface PublishQuery extends MessageOptions {
  readonly userProperty?: readonly string[]
}

interface TopicQuery extends PublishQuery {
  readonly topic: string
}

const queryProperties = {
  ...optionSchemas,
  userProperty: {
    type: 'array',
    items: { type: 'string', pattern: '^[^=]+=' },
    description: 'User property `name=value`; may be given several times, also for the same name.'
  }
} as const

const querySchema = {
  type: 'object',
  additionalProperties: false,
  properties: queryProperties,
  not: { type: 'object', required: EXCLUSIVE }
} as const

const topicQuerySchema = {
  ...querySchema,
  required: ['topic'],
  properties: {
    topic: {
      type: 'string',
      minLength: 1,
      maxLength: 65_535,
      description: 'Any legal topic that does not begin with `$`.'
    },
    ...queryProperties
  }
} as const

const queueParam = { type: 'string', description: 'Queue: the first level of the topic.' }
const eventParam = {
  type: 'string',
  title: 'event',
  description: 'Event: the rest of the topic. It may have several levels; `/` may stand as it is or as `%2F`.'
}

/** POST /queues/{queue}/events/{event} and /publish: one message, whose payload is the body. */
export function addSingleRoutes(app: FastifyInstance, { publisher, settings }: PluginContext): void {
  const bodyLimit = settings.maxPacketBytes
  takeAnyBody(app)
  const answer = async (request: PublishRequest, reply: FastifyReply, topic: string) => {
    const published = await publisher.publish(messageOf(request, topic))
    if (published.id !== null) reply.header('location', `/v1/messages/${pathOf(published.id)}`)
    return reply.code(acceptedStatus(published)).send(acceptedRow(published))
  }
  const params = {
    type: 'object',
    required: ['queue', '*'],
    properties: { queue: queueParam, '*': eventParam }
  }
  app.post<{ Params: { queue: string; '*': string }; Querystring: PublishQuery; Body: Buffer | undefined }>(
    '/queues/:queue/events/*',
    {
      bodyLimit,
      schema: routeSchema('publishEvent', 'Publish an event of a queue', { querystring: querySchema, params })
    },
    (request, reply) => answer(request, reply, topicOf(request.params.queue, request.params['*']))
  )
  const queueOnly = { type: 'object', required: ['queue'], properties: { queue: queueParam } }
  app.post<{ Params: { queue: string }; Querystring: PublishQuery; Body: Buffer | undefined }>(
    '/queues/:queue/events',
    {
      bodyLimit,
      schema: routeSchema('publishBare', 'Publish to the topic that is the name of a queue alone', {
        querystring: querySchema,
        params: queueOnly
      })
    },
    (request, reply) => answer(request, reply, topicOf(request.params.queue, ''))
  )
  app.post<{ Querystring: TopicQuery; Body: Buffer | undefined }>(
    '/publish',
    {
      bodyLimit,
      schema: routeSchema('publishTopic', 'Publish to any topic', { querystring: topicQuerySchema })
    },
    (request, reply) => answer(request, reply, request.query.topic)
  )
}

type PublishRequest = FastifyRequest<{ Querystring: PublishQuery; Body: Buffer | undefined }>

function messageOf({ body = NO_PAYLOAD, query, headers }: PublishRequest, topic: string) {
  const userProperties = query.userProperty && pairs(query.userProperty)
  return newMessage({ topic, payload: body, contentType: headers['content-type'], userProperties }, query)
}

/** Whatever the media type, the payload is the bytes of the body; what is wrong with the query is told in words. */
function takeAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async ({ headers }) => {
    const encoding = headers['content-encoding']
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw encodingRefused(encoding)
  })
  app.addHook('preValidation', async ({ query }) => assertOneOf(EXCLUSIVE, query))
}

/** A receiver over MQTT could not be told of the encoding. @see RFC 9110 section 8.4 */
function encodingRefused(encoding: string): Error {
  const error = new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE()
  error.message = `a payload with Content-Encoding ${JSON.stringify(encoding)} is not taken: send it without one, and name its form in Content-Type`
  return error
}

/** @throws QueueError QUEUE_REQUEST_INVALID */
function topicOf(queue: string, event: string): string {
  if (queue.includes('/'))
    throw invalid(`a queue is one level of a topic: ${JSON.stringify(queue)} has a slash`)
  return event === '' ? queue : `${queue}/${event}`
}

/** `name=value` by name, in the order in which they came. */
function pairs(texts: readonly string[]): Record<string, string[]> {
  const values = Object.create(null) as Record<string, string[]>
  for (const text of texts) {
    const at = text.indexOf('=')
    const name = text.slice(0, at)
    ;(values[name] ??= []).push(text.slice(at + 1))
  }
  return values
}

/** An id for a path, as readable as it can be. @see RFC 3986 section 3.3 */
function pathOf(id: string): string {
  return encodeURIComponent(id).replaceAll('%3A', ':')
}

function routeSchema(operationId: string, summary: string, shapes: object) {
  const headers = { Location: { type: 'string', description: 'Path of the message.' } }
  return {
    ...{ tags: ['publish'], operationId, summary, ...shapes },
    description:
      'The payload is the body, byte for byte. Its Content-Type, when given, goes with the message (property Content Type of MQTT 5).',
    consumes: ['*/*'],
    body: { content: { '*/*': { schema: {} } } },
    response: {
      201: { ...acceptedSchema('It is stored.'), headers },
      202: acceptedSchema('It was sent to whoever listens now (QoS 0), and is not kept.'),
      ...REFUSALS
    }
  }
}
