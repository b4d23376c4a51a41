import type { Broker } from './broker/broker.ts'
import type { Clock } from './clock.ts'
import { commonSettings } from './config/common.ts'
import type { Settings } from './config/settings.ts'
import { Core } from './core.ts'
import { errorText, isQueueError, QueueError } from './errors.ts'
import { Events } from './events.ts'
import type { Logger } from './log.ts'
import type { Plugin } from './plugin.ts'
import { PluginContexts } from './plugin-context.ts'
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
  readonly events: Events
  /** Resolves when the other brokers have taken this one for dead: it must start anew. Never without others. */
  readonly fenced: Promise<QueueError>
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
  const events = new Events(log)
  const parts = { log, clock, settings: commonSettings(settings), events, core: () => core }
  const contexts = new PluginContexts(parts)
  const ready = await setUpPlugins({ plugins, settings, contexts, log, clock, pluginsOrigin, closers })
  const store = storeOf(ready)
  const gates = ready.flatMap(({ name, parts: { gates: own } }) =>
    own ? [{ plugin: name, gates: own }] : []
  )
  beforeCore()
  const bus = ready.find(({ parts }) => parts.bus)?.parts.bus
  let isFenced: (error: QueueError) => void = () => {}
  const fenced = new Promise<QueueError>(resolve => {
    isFenced = resolve
  })
  const opened = await Core.open({
    ...{ store, settings, clock, log, events, gates, aedes, bus },
    fenced: error => isFenced(error)
  })
  closers.push(() => opened.close())
  core = opened
  return { core: opened, ready, events, fenced }
}

/** Tells the plugins that the server listens. @throws QueueError QUEUE_PLUGIN_INVALID, which names the plugin */
export async function startPlugins(ready: readonly ReadyPlugin[]): Promise<void> {
  for (const { name, parts } of ready) {
    try {
      await parts.started?.()
    } catch (cause) {
      if (isQueueError(cause)) throw cause
      const detail = { plugin: name, problem: `started() failed: ${errorText(cause)}` }
      throw new QueueError('QUEUE_PLUGIN_INVALID', { cause, detail })
    }
  }
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
