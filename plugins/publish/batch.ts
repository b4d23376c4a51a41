import { errorCodes, type FastifyInstance, type FastifyReply } from 'fastify'
import { type NewMessage, type PluginContext, type Published, QueueError } from '../../src/plugin.ts'
import { type Accepted, acceptedProperties, acceptedRow, acceptedStatus, REFUSALS } from './answer.ts'
import { JSON_TYPE, LINE_TYPES, type PayloadFields, parseJson, parseLines, payloadOf } from './batch-body.ts'
import type { PublishOptions } from './index.ts'
import { assertOneOf, EXCLUSIVE, type MessageOptions, newMessage, optionSchemas } from './options.ts'

const PAYLOADS = ['payload', 'payloadBase64'] as const

interface BatchItem extends MessageOptions, PayloadFields {
  readonly topic: string
  readonly userProperties?: Readonly<Record<string, string | string[]>>
}

const itemSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['topic'],
  properties: {
    topic: {
      type: 'string',
      minLength: 1,
      maxLength: 65_535,
      description: 'Any legal topic that does not begin with `$`.'
    },
    payload: {
      description:
        'A text is sent as it is; any other JSON value as its JSON, with the content type application/json unless one is given. Left out: no payload.'
    },
    payloadBase64: {
      type: 'string',
      pattern: '^[A-Za-z0-9+/_-]*={0,2}$',
      contentEncoding: 'base64',
      description: 'A payload of any bytes, in base64 or base64url.'
    },
    contentType: { type: 'string', description: 'Content type that goes with the message.' },
    userProperties: {
      type: 'object',
      additionalProperties: {
        anyOf: [{ type: 'string' }, { type: 'array', minItems: 1, items: { type: 'string' } }]
      },
      description: 'User properties by name; a list for a name that comes several times.'
    },
    ...optionSchemas
  },
  allOf: [{ not: { type: 'object', required: PAYLOADS } }, { not: { type: 'object', required: EXCLUSIVE } }]
} as const

/** What became of one message of a batch. */
type Result = ({ readonly status: 201 | 202 } & Accepted) | Refused

interface Refused {
  readonly status: number
  readonly topic: string
  readonly code: string
  readonly detail: string
}

const resultSchema = {
  type: 'object',
  required: ['status', 'topic'],
  properties: {
    status: {
      type: 'integer',
      description: 'What the message alone would have been answered with: 201 or 202, or why it was refused.'
    },
    ...acceptedProperties,
    code: { type: 'string', description: 'Which failure it was, for programs; only of a refused one.' },
    detail: { type: 'string', description: 'The failure in words; only of a refused one.' }
  }
} as const

/** POST /publish/batch: many messages in one request. */
export function addBatchRoute(app: FastifyInstance, context: PluginContext, options: PublishOptions): void {
  const { maxBatchMessages, maxBatchBytes } = options
  app.removeAllContentTypeParsers()
  const bodies = { parseAs: 'buffer' } as const
  app.addContentTypeParser(JSON_TYPE, bodies, async (_request: unknown, body: Buffer) => parseJson(body))
  app.addContentTypeParser(LINE_TYPES, bodies, async (_request: unknown, body: Buffer) => parseLines(body))
  app.addContentTypeParser('*', async () => {
    const error = new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE()
    error.message = `a batch is ${[JSON_TYPE, ...LINE_TYPES].join(' or ')}`
    throw error
  })
  app.addHook('preValidation', async ({ body }) => {
    for (const item of Array.isArray(body) ? (body as unknown[]) : []) {
      assertOneOf(PAYLOADS, item)
      assertOneOf(EXCLUSIVE, item)
    }
  })
  app.post<{ Body: readonly BatchItem[] }>(
    '/publish/batch',
    { bodyLimit: maxBatchBytes, schema: routeSchema(maxBatchMessages) },
    async ({ body }, reply) => {
      const messages = body.map(messageOf)
      // they share commits; what is wrong with one does not touch the others
      const settled = await context.publisher.publishAll(messages)
      const commonReason = reasonOfAll(settled)
      if (commonReason) throw commonReason
      return answer(reply, resultsOf(settled, messages, context))
    }
  )
}

function messageOf(item: BatchItem, index: number): NewMessage {
  const { topic, userProperties } = item
  const parts = payloadOf(`message ${index}`, item)
  return newMessage({ topic, userProperties, ...parts }, item)
}

/** Why all messages were refused, when it was for one and the same reason. */
function reasonOfAll(settled: readonly PromiseSettledResult<Published>[]): QueueError | null {
  const codes = settled.map(outcome => {
    return outcome.status === 'rejected' && outcome.reason instanceof QueueError ? outcome.reason.code : null
  })
  const isCommon = codes[0] !== null && codes.every(code => code === codes[0])
  const [first] = settled
  return isCommon && first?.status === 'rejected' ? (first.reason as QueueError) : null
}

function resultsOf(
  settled: readonly PromiseSettledResult<Published>[],
  messages: readonly NewMessage[],
  { log }: PluginContext
): Result[] {
  return settled.map((outcome, index) => {
    if (outcome.status === 'fulfilled') {
      return { status: acceptedStatus(outcome.value), ...acceptedRow(outcome.value) }
    }
    const { reason } = outcome
    if (reason instanceof QueueError && reason.status !== 500) {
      return {
        status: reason.status,
        topic: messages[index]!.topic,
        code: reason.code,
        detail: reason.message
      }
    }
    log.error({ err: reason as unknown }, 'a message of a batch could not be published')
    const detail = 'the server failed to publish this; its log says more'
    return { status: 500, topic: messages[index]!.topic, code: 'QUEUE_INTERNAL', detail }
  })
}

function answer(reply: FastifyReply, results: readonly Result[]): FastifyReply {
  const refused = results.filter(isRefused)
  const counts = { accepted: results.length - refused.length, refused: refused.length }
  return reply.code(refused.length === 0 ? 200 : 207).send({ ...counts, results })
}

function isRefused(result: Result): result is Refused {
  return result.status >= 400
}

function routeSchema(maxBatchMessages: number) {
  const count = { type: 'integer', minimum: 0 }
  const outcome = (description: string) => ({
    ...{ type: 'object', description, required: ['accepted', 'refused', 'results'] },
    properties: {
      accepted: { ...count, description: 'How many messages were accepted.' },
      refused: { ...count, description: 'How many were not.' },
      results: { type: 'array', items: resultSchema, description: 'One for each message, in their order.' }
    }
  })
  return {
    ...{ tags: ['publish'], operationId: 'publishBatch', summary: 'Publish many messages' },
    description:
      'A batch is not atomic: when it is well-formed, each message is accepted or refused for itself; when all are refused for one reason, that is the answer. When it is not well-formed, nothing is published.',
    consumes: [JSON_TYPE, ...LINE_TYPES],
    body: { type: 'array', minItems: 1, maxItems: maxBatchMessages, items: itemSchema },
    response: {
      200: outcome('All messages were accepted; those with status 201 are stored.'),
      207: outcome('Some messages were refused, or all for different reasons: `results` says which and why.'),
      ...REFUSALS,
      413: {
        type: 'object',
        description:
          'The body is larger than the option `maxBatchBytes`, or each message than `maxPacketBytes`.'
      }
    }
  }
}
