import type { Broker } from './broker/broker.ts'
import type { Clock } from './clock.ts'
import type { Settings } from './config/settings.ts'
import { Core } from './core.ts'
import type { Directory } from './directory.ts'
import { QueueError } from './errors.ts'
import type { Logger } from './log.ts'
import type { Plugin, PluginContext } from './plugin.ts'
import { type ReadyPlugin, setUpPlugins, storeOf } from './plugin-setup.ts'

/** What the stages and plugins of a server are put together from. */
export interface AssemblyOptions {
  readonly settings: Settings
  readonly plugins: readonly Plugin[]
  readonly log: Logger
  readonly clock: Clock
  readonly pluginsOrigin: string
  /** An Aedes of the application; left out: one is made. */
  readonly aedes?: Broker['aedes'] | undefined
}

/** A core that is open, and the plugins around it. */
export interface Assembly {
  readonly core: Core
  readonly ready: readonly ReadyPlugin[]
  readonly directory: Directory
}

/**
 * Sets plugins up and opens the core on the store that one of them gives.
 * @param closers gets what is to be closed, in the order in which it was started, also when this fails.
 * @param beforeCore called between the two: what it starts is closed after the core.
 * @throws QueueError of configuration, plugins and store.
 */
export async function assemble(
  options: AssemblyOptions,
  closers: (() => Promise<void>)[],
  beforeCore = () => {}
): Promise<Assembly> {
  const { settings, plugins, log, clock, pluginsOrigin, aedes } = options
  let core: Core | undefined
  const directory = lateDirectory(() => core?.directory)
  const context = { log, clock, settings: commonSettings(settings), directory }
  const ready = await setUpPlugins({ plugins, settings, context, pluginsOrigin, closers })
  const store = storeOf(ready)
  beforeCore()
  const opened = await Core.open({ store, settings, clock, log, aedes })
  closers.push(() => opened.close())
  core = opened
  return { core: opened, ready, directory }
}

/** Closes in reverse order; all of it, also when something fails. */
export async function closeAll(closers: (() => Promise<void>)[]): Promise<void> {
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

function commonSettings({ data, fsync, fsyncIntervalMs }: Settings): PluginContext['settings'] {
  return { dataDirectory: data, fsync, fsyncIntervalMs }
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
