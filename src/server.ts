import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { Ajv } from 'ajv'
import type { Broker } from './broker/broker.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Settings } from './config/settings.ts'
import { Core } from './core.ts'
import type { Directory } from './directory.ts'
import { errorText, QueueError } from './errors.ts'
import { createHttp, type Http, type ListenAddress } from './http/http.ts'
import { type Logger, silentLog } from './log.ts'
import type { Plugin, PluginContext, PluginParts } from './plugin.ts'

export interface ServerOptions {
  /** A complete, valid configuration; `defaultSettings` makes one. */
  readonly settings: Settings
  /** In the order of set-up; exactly one gives the store. */
  readonly plugins: readonly Plugin[]
  readonly log?: Logger
  readonly clock?: Clock
}

/** A running server. */
export interface QueueServer {
  readonly mqttAddress: ListenAddress
  readonly httpAddress: ListenAddress
  readonly aedesVersion: string
  /** The Aedes broker, with its hooks, events and methods. */
  readonly aedes: Broker['aedes']
  readonly directory: Directory
  /** Stops accepting, acks what was accepted, stores everything, closes. May be called twice. */
  stop(): Promise<void>
}

/**
 * Starts a server: plugins, store, listeners, in this order; when one fails, what was started is closed again.
 * @throws QueueError of configuration, plugins and store; the system's error when it cannot listen.
 */
export async function createServer(options: ServerOptions): Promise<QueueServer> {
  const closers: (() => Promise<void>)[] = []
  const stop = () => closeAll(closers)
  try {
    return await start(options, closers, stop)
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

async function start(
  { settings, plugins, log = silentLog, clock = systemClock }: ServerOptions,
  closers: (() => Promise<void>)[],
  stop: () => Promise<void>
): Promise<QueueServer> {
  let core: Core | undefined
  const directory = lateDirectory(() => core?.directory)
  const parts = await setUp(
    plugins,
    settings,
    { log, clock, settings: commonSettings(settings), directory },
    closers
  )
  const [store, ...others] = parts.flatMap(part => part.store ?? [])
  if (!store || others.length > 0) {
    const problem = store
      ? 'a server has one store, and another plugin gives one too'
      : 'no plugin gives a store'
    throw new QueueError('QUEUE_PLUGIN_INVALID', { detail: { plugin: settings.store, problem } })
  }
  const opened = await Core.open({ store, settings, clock, log })
  core = opened
  closers.push(() => opened.close())
  const http = createHttp({
    ...{ log, clock, allowedHosts: settings.allowedHosts, allowedOrigins: settings.allowedOrigins },
    isReady: () => (opened.failure ? { ready: false, reason: opened.failure.message } : { ready: true }),
    routes: parts.flatMap(part => part.routes ?? []),
    maxMessageBytes: settings.maxPacketBytes,
    onMqtt: (stream, request) => {
      opened.front.handle(stream, request)
    }
  })
  const tcp = createTcpServer({ noDelay: true }, socket => {
    opened.front.handle(socket)
  })
  const mqttAddress = await listenTcp(tcp, settings, closers)
  const httpAddress = await listenHttp(http, settings, closers)
  const { broker } = opened
  return { mqttAddress, httpAddress, aedesVersion: broker.aedesVersion, aedes: broker.aedes, directory, stop }
}

/** Validates options and sets plugins up, in order. */
async function setUp(
  plugins: readonly Plugin[],
  settings: Settings,
  context: PluginContext,
  closers: (() => Promise<void>)[]
): Promise<PluginParts[]> {
  const ready = new Set<string>()
  const all: PluginParts[] = []
  for (const plugin of plugins) {
    for (const missing of plugin.after ?? []) {
      if (!ready.has(missing)) {
        throw new QueueError('QUEUE_PLUGIN_MISSING', { detail: { plugin: plugin.name, missing } })
      }
    }
    const options = pluginOptions(plugin, settings)
    const parts = await setUpOne(plugin, context, options)
    ready.add(plugin.name)
    all.push(parts)
    if (parts.close) closers.push(() => parts.close!())
  }
  return all
}

async function setUpOne(plugin: Plugin, context: PluginContext, options: object): Promise<PluginParts> {
  try {
    return await plugin.setup(context, options)
  } catch (cause) {
    if (cause instanceof QueueError) throw cause
    const detail = { plugin: plugin.name, problem: errorText(cause) }
    throw new QueueError('QUEUE_PLUGIN_INVALID', { cause, detail })
  }
}

/** The options of a plugin with its defaults filled in. @throws QueueError QUEUE_CONFIG_INVALID */
function pluginOptions(plugin: Plugin, settings: Settings): object {
  const options = structuredClone(settings.plugins[plugin.name] ?? {})
  const validate = new Ajv({ useDefaults: true, allErrors: true }).compile(plugin.schema)
  if (validate(options)) return options
  const [error] = validate.errors ?? []
  const key = `plugins.${plugin.name}${error?.instancePath.replaceAll('/', '.') ?? ''}`
  const problem = `${error?.message ?? 'is not valid'} ${JSON.stringify(error?.params ?? {})}`
  throw new QueueError('QUEUE_CONFIG_INVALID', { detail: { key, origin: 'configuration', problem } })
}

function commonSettings({ data, fsync }: Settings): PluginContext['settings'] {
  return { dataDirectory: data, fsync }
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

async function listenHttp(
  http: Http,
  settings: Settings,
  closers: (() => Promise<void>)[]
): Promise<ListenAddress> {
  closers.push(() => http.close())
  return http.listen(settings.host, settings.httpPort)
}

/** Closes in reverse order; all of it, also when something fails. */
async function closeAll(closers: (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = []
  for (const close of closers.splice(0).reverse()) {
    try {
      await close()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}

/** The directory as plugins get it before there is one. */
function lateDirectory(get: () => Directory | undefined): Directory {
  const now = () => {
    const directory = get()
    if (!directory) throw new QueueError('QUEUE_SERVER_STOPPING')
    return directory
  }
  return {
    clients: () => get()?.clients() ?? [],
    client: id => get()?.client(id),
    sessions: () => get()?.sessions() ?? [],
    session: id => get()?.session(id),
    topics: () => get()?.topics() ?? [],
    server: () => now().server()
  }
}
