import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import type { FastifyPluginAsync } from 'fastify'
import { assemble, closeAll, startPlugins } from './assembly.ts'
import type { Broker } from './broker/broker.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Settings } from './config/settings.ts'
import type { Control, MessagePublisher } from './control.ts'
import type { Directory } from './directory.ts'
import type { QueueError } from './errors.ts'
import type { ServerEvents } from './events.ts'
import type { Readiness } from './http/health.ts'
import { createHttp, type Http, type ListenAddress } from './http/http.ts'
import { type Logger, silentLog } from './log.ts'
import type { MessageReader } from './messages.ts'
import type { Plugin } from './plugin.ts'

/** What a server is made of. */
export interface ServerOptions {
  /** A complete, valid configuration; `defaultSettings` makes one. */
  readonly settings: Settings
  /** In the order of set-up; exactly one gives the store. */
  readonly plugins: readonly Plugin[]
  readonly log?: Logger
  readonly clock?: Clock
  /** Where the options of plugins came from, for what is said of bad ones. */
  readonly pluginsOrigin?: string
}

/** A running server. */
export interface QueueServer {
  readonly mqttAddress: ListenAddress
  readonly httpAddress: ListenAddress
  readonly aedesVersion: string
  /** The Aedes broker, with its hooks, events and methods. */
  readonly aedes: Broker['aedes']
  readonly directory: Directory
  readonly messages: MessageReader
  readonly control: Control
  readonly publisher: MessagePublisher
  readonly events: ServerEvents
  /** Resolves when the other brokers on its store have taken this one for dead: it must be stopped and started anew. */
  readonly fenced: Promise<QueueError>
  /** Stops accepting, acks what was accepted, stores everything, closes. May be called twice. */
  stop(): Promise<void>
}

/**
 * Starts a server: plugins, store, listeners, in this order; when one fails, what was started is closed again.
 * @throws QueueError of configuration, plugins and store; the system's error when it cannot listen.
 */
export async function createServer(options: ServerOptions): Promise<QueueServer> {
  const closers: (() => Promise<void>)[] = []
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= closeAll(closers)
    return stopped
  }
  try {
    return await start(options, closers, stop)
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

async function start(
  options: ServerOptions,
  closers: (() => Promise<void>)[],
  stop: () => Promise<void>
): Promise<QueueServer> {
  const { settings, plugins, log = silentLog, clock = systemClock, pluginsOrigin = 'configuration' } = options
  const parts = { settings, plugins, log, clock, pluginsOrigin }
  let http: Http | undefined
  let isStarted = false
  const { core, ready, events, fenced } = await assemble(parts, closers, () => {
    closers.push(async () => http?.close())
  })
  const opening = createHttp({
    ...{ log, clock, allowedHosts: settings.allowedHosts, allowedOrigins: settings.allowedOrigins },
    isReady: () => readiness(core.failure, isStarted),
    routes: ready.flatMap(({ name, parts }) => named(name, parts.routes)),
    rootRoutes: ready.flatMap(({ name, parts }) => named(name, parts.rootRoutes)),
    maxMessageBytes: settings.maxPacketBytes,
    onMqtt: (stream, request) => {
      core.front.handle(stream, request)
    }
  })
  const tcp = createTcpServer({ noDelay: true, allowHalfOpen: true }, socket => {
    core.front.handle(socket)
  })
  http = opening
  // closed in reverse: nothing more is accepted, the core answers what it has accepted, then what is still open ends
  closers.push(async () => opening.stopAccepting())
  const mqttAddress = await listenTcp(tcp, settings, closers)
  const httpAddress = await opening.listen(settings.host, settings.httpPort)
  await startPlugins(ready)
  isStarted = true
  const { broker, directory, messages, control, publisher } = core
  return {
    ...{ mqttAddress, httpAddress, aedesVersion: broker.aedesVersion, aedes: broker.aedes },
    ...{ directory, messages, control, publisher, events, fenced, stop }
  }
}

function readiness(failure: Error | null, isStarted: boolean): Readiness {
  if (failure) return { ready: false, reason: failure.message }
  return isStarted ? { ready: true } : { ready: false, reason: 'the server is starting' }
}

/** The routes of a plugin, which know its name: a request that fails there is logged with it. */
function named(plugin: string, routes: FastifyPluginAsync | undefined): FastifyPluginAsync[] {
  if (!routes) return []
  const withName: FastifyPluginAsync = async (app, options) => {
    app.addHook('onRoute', route => {
      route.config = { ...route.config, plugin } as NonNullable<typeof route.config>
    })
    await routes(app, options)
  }
  return [withName]
}

function listenTcp(
  server: Server,
  { host, mqttPort }: Settings,
  closers: (() => Promise<void>)[]
): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(mqttPort, host, () => {
      server.off('error', reject)
      // connections end with the core, which knows how; here nothing more is accepted
      closers.push(async () => {
        server.close()
      })
      const { address, port } = server.address() as AddressInfo
      resolve({ host: address, port })
    })
  })
}
