import { STATUS_CODES } from 'node:http'
import { isIP } from 'node:net'
import type { Aedes } from 'aedes'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { type Clock, errorText, type Logger, QueueError, silentLog, systemClock } from '../../src/plugin.ts'
import { type PlainAedes, type PlainDatabase, plainCollections } from './plain-broker.ts'
import { PlainSource } from './plain-source.ts'
import { addRoutes } from './routes.ts'
import { UnableError } from './unable.ts'

/** Most characters of a client id in a path: 65,535 bytes, each percent-encoded. */
const MAX_PARAM_LENGTH = 3 * 65_535

/** Where a server of its own listens. */
export interface PlainListen {
  readonly port: number
  /** Default 127.0.0.1. There are no users: whoever reaches it sees everything. */
  readonly host?: string
}

/** What else may be told. */
export interface AttachOptions {
  /** The database of aedes-persistence-mongodb; without it, only what was connected since the start is listed. */
  readonly db?: PlainDatabase
  /** The `collectionPrefix` that the persistence was given. */
  readonly collectionPrefix?: string
  /** What every path begins with; default `/v1`. */
  readonly prefix?: string
  readonly log?: Logger
  readonly clock?: Clock
}

/** An introspection that runs. */
export interface AttachedIntrospection {
  readonly app: FastifyInstance
  /** Such as `http://127.0.0.1:8080`; null when the application listens itself. */
  readonly address: string | null
  /** Looks at the broker no more; closes what it listens on. Does not close the application's own. */
  close(): Promise<void>
}

/**
 * Shows over HTTP what can be known of an Aedes without Restante: the read routes of the introspection, with null
 * where nobody knows; what changes something answers 501. Attach it before clients connect.
 * @param target an application of Fastify that does not listen yet, or where to listen.
 * @throws the system's error when it cannot listen.
 */
export async function attachIntrospection(
  target: FastifyInstance | PlainListen,
  aedes: Aedes,
  options: AttachOptions = {}
): Promise<AttachedIntrospection> {
  const { db, collectionPrefix = '', prefix = '/v1', log = silentLog, clock = systemClock } = options
  const collections = db ? plainCollections(db, collectionPrefix) : null
  const source = new PlainSource(aedes as PlainAedes, { clock, collections })
  const routes = async (scope: FastifyInstance): Promise<void> => {
    scope.setErrorHandler((error, request, reply) => replyProblem(error, { request, reply, log }))
    addRoutes(scope, {
      directory: source,
      messages: source,
      control: null,
      clock,
      log,
      peers: null,
      isPartial: true
    })
  }
  const isOwn = !('register' in target)
  const app = isOwn ? ownApp(log) : target
  await app.register(routes, { prefix })
  try {
    const address = isOwn ? await app.listen({ host: target.host ?? '127.0.0.1', port: target.port }) : null
    const close = async () => {
      source.close()
      if (isOwn) await app.close()
    }
    return { app, address, close }
  } catch (error) {
    source.close()
    throw error
  }
}

function ownApp(log: Logger): FastifyInstance {
  const app = fastify({
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    ajv: { customOptions: { removeAdditional: false } },
    forceCloseConnections: true
  })
  app.setNotFoundHandler((request, reply) => {
    const error = new QueueError('QUEUE_NOT_FOUND', { detail: { kind: 'resource', name: pathOf(request) } })
    return replyProblem(error, { request, reply, log })
  })
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-store')
    // a page on another site must not read this through the browser of whoever may (DNS rebinding)
    if (request.headers.origin === undefined && isHere(request.hostname)) return
    throw new QueueError('QUEUE_NOT_AUTHORIZED', { detail: { problem: 'web pages may not use this' } })
  })
  app.setErrorHandler((error, request, reply) => replyProblem(error, { request, reply, log }))
  return app
}

function isHere(hostname: string): boolean {
  return hostname === 'localhost' || isIP(hostname.replace(/^\[|\]$/g, '')) !== 0
}

/** @see RFC 9457 */
function replyProblem(
  error: unknown,
  { request, reply, log }: { request: FastifyRequest; reply: FastifyReply; log: Logger }
): FastifyReply {
  const status = statusOf(error)
  if (status >= 500 && status !== 501) log.error({ err: error }, `a request failed: ${errorText(error)}`)
  const isTold = status < 500 || status === 501
  const problem = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: isTold ? errorText(error) : 'the server failed to answer this; its log says more',
    code: error instanceof QueueError || error instanceof UnableError ? error.code : codeOf(status),
    instance: pathOf(request)
  }
  return reply.code(status).type('application/problem+json').serializer(JSON.stringify).send(problem)
}

function statusOf(error: unknown): number {
  if (error instanceof QueueError) return error.status
  const { statusCode } = error as { statusCode?: unknown }
  return typeof statusCode === 'number' && statusCode >= 400 ? statusCode : 500
}

function codeOf(status: number): string {
  return status < 500 ? 'QUEUE_REQUEST_INVALID' : 'QUEUE_INTERNAL'
}

function pathOf({ url }: FastifyRequest): string {
  return url.slice(0, 120).split('?')[0]!
}
