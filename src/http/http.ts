import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type FastifyInstance, type FastifyPluginAsync, fastify } from 'fastify'
import { type Clock, systemClock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { Ending } from './ending.ts'
import { createGuard, type GuardOptions } from './guard.ts'
import { healthRoutes, type Readiness } from './health.ts'
import { otherMethods } from './methods.ts'
import { describeRoutes } from './openapi.ts'
import { HttpError } from './problem.ts'
import { assertQuery } from './query.ts'
import { addProblemReplies, replyProblem, unreadableRequest, writeProblem } from './replies.ts'
import { schemaError } from './schema-error.ts'
import { answerWriting, requestValidation } from './validation.ts'
import { MQTT_PATH, MqttWebSockets } from './websocket.ts'
import type { PeerAddress } from './websocket-stream.ts'

/** Most characters of a client id in a path: 65,535 bytes, each percent-encoded. */
const MAX_PARAM_LENGTH = 3 * 65_535

/** Path and headers together; room for the longest client id. */
const MAX_HEAD_BYTES = 262_144

/** How long a request may take to arrive. */
const REQUEST_TIMEOUT_MS = 30_000

/** How long a WebSocket client may take to answer a Close frame. */
const CLOSE_TIMEOUT_MS = 2_000

/** A largest WebSocket message for servers that give none. */
const DEFAULT_MESSAGE_BYTES = 16_777_216

/** What pages of other origins, those that may call, are shown besides the body. */
const SHARED = { vary: 'origin', 'access-control-expose-headers': 'location, allow' }

/** What the HTTP side works with. */
export interface HttpOptions extends Partial<GuardOptions> {
  readonly log: Logger
  /** Times the end of `close`. */
  readonly clock?: Clock
  /** Asked by GET /health/ready. */
  readonly isReady: () => Readiness
  /** Routes of plugins, each mounted under /v1. */
  readonly routes?: readonly FastifyPluginAsync[]
  /** Routes of plugins with a place of their own. */
  readonly rootRoutes?: readonly FastifyPluginAsync[]
  /** Gets each MQTT connection over WebSocket. Text frames are refused before it; `destroy` cuts the connection. */
  readonly onMqtt: (stream: Duplex & PeerAddress, request: IncomingMessage) => void
  /** Largest WebSocket message taken, in bytes; at least the largest MQTT packet. */
  readonly maxMessageBytes?: number
  /** How long a WebSocket client may take to answer a Close frame before it is cut. */
  readonly closeTimeoutMs?: number
}

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** The HTTP side of the server: health, routes of plugins, their description, MQTT over WebSocket. */
export interface Http {
  /** For tests (`inject`) and for whoever makes a description of all routes. */
  readonly app: FastifyInstance
  /**
   * Starts to listen; port 0 takes a free one.
   * @throws the system's error (EADDRINUSE, EACCES, …) when it cannot listen there.
   */
  listen(host: string, port: number): Promise<ListenAddress>
  /** Takes no more connections and WebSockets; those that there are go on, so that acks on their way can still be sent. */
  stopAccepting(): void
  /** Stops accepting, closes WebSockets, lets running requests end for a while. May be called twice. */
  close(): Promise<void>
}

/**
 * Builds the HTTP side. Every failure is answered with problem details (RFC 9457).
 * @throws QueueError QUEUE_CONFIG_INVALID for a host or an origin that is none.
 */
export function createHttp(options: HttpOptions): Http {
  const { log, isReady, clock = systemClock } = options
  const guard = createGuard({
    allowedHosts: options.allowedHosts ?? [],
    allowedOrigins: options.allowedOrigins ?? []
  })
  const { onMqtt, maxMessageBytes = DEFAULT_MESSAGE_BYTES, closeTimeoutMs = CLOSE_TIMEOUT_MS } = options
  const webSockets = new MqttWebSockets({ log, guard, maxMessageBytes, closeTimeoutMs, onMqtt })
  const app = createApp(log)
  app.server.on('upgrade', (request, socket, head) => webSockets.upgrade(request, socket, head))

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-store')
    guard(request.raw)
    const { origin } = request.headers
    if (origin !== undefined) reply.headers({ ...SHARED, 'access-control-allow-origin': origin })
    assertQuery(request.raw.url ?? '')
  })
  addProblemReplies(app, log)
  const end = new Ending(app, webSockets, clock)
  addRoutes(app, options, () =>
    end.hasBegun ? { ready: false, reason: 'the server is stopping' } : isReady()
  )
  return {
    app,
    listen: (host, port) => listen(app, host, port),
    stopAccepting: () => end.stopAccepting(),
    close: () => end.close()
  }
}

function addRoutes(app: FastifyInstance, options: HttpOptions, isReady: () => Readiness): void {
  const { routes = [], rootRoutes = [] } = options
  const answerOtherMethods = otherMethods(app)
  describeRoutes(app)
  app.register(healthRoutes(isReady), { prefix: '/health' })
  app.get(MQTT_PATH, { schema: { hide: true } }, async () => {
    throw new HttpError('QUEUE_UPGRADE_REQUIRED', 'this is MQTT over WebSocket', { upgrade: 'websocket' })
  })
  for (const plugin of routes) app.register(plugin, { prefix: '/v1' })
  for (const plugin of rootRoutes) app.register(plugin)
  app.register(answerOtherMethods)
}

function createApp(log: Logger): FastifyInstance {
  const app = fastify({
    serverFactory: createNodeServer,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => writeProblem(socket, unreadableRequest(error), ''),
    frameworkErrors: (error, request, reply) => replyProblem(error, request, reply, log)
  })
  return app
    .setValidatorCompiler(requestValidation())
    .setSerializerCompiler(answerWriting())
    .setSchemaErrorFormatter(schemaError)
}

function createNodeServer(handler: RequestListener): Server {
  const limits = {
    maxHeaderSize: MAX_HEAD_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    requireHostHeader: false, // the guard answers, with problem details
    // Node 24.9 and later: an offer of HTTP/2 in clear text (h2c) is passed over and answered with HTTP/1.1
    shouldUpgradeCallback: (request: IncomingMessage) =>
      request.headers.upgrade?.toLowerCase() === 'websocket'
  }
  return createServer(limits, handler)
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<ListenAddress> {
  await app.listen({ host, port })
  const bound = app.server.address() as AddressInfo
  return { host: bound.address, port: bound.port }
}
