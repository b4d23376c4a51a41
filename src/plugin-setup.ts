import { Ajv } from 'ajv'
import type { Clock } from './clock.ts'
import type { Settings } from './config/settings.ts'
import { errorText, isQueueError, QueueError } from './errors.ts'
import type { Logger } from './log.ts'
import type { Plugin, PluginContext, PluginParts } from './plugin.ts'
import type { PluginContexts } from './plugin-context.ts'
import type { Store } from './store/store.ts'

/** After so long it is said which plugin the start waits for. */
const SLOW_SETUP_MS = 5_000

const AJV = new Ajv({ useDefaults: true, allErrors: true })

/** What is needed to set plugins up. */
export interface PluginSetUp {
  /** In the order of set-up. */
  readonly plugins: readonly Plugin[]
  readonly settings: Settings
  readonly contexts: PluginContexts
  readonly log: Logger
  readonly clock: Clock
  /** Where the options of plugins came from, for what is said of bad ones. */
  readonly pluginsOrigin: string
  /** Gets what is to be closed, in the order of set-up. */
  readonly closers: (() => Promise<void>)[]
}

/** A plugin that is set up. */
export interface ReadyPlugin {
  readonly name: string
  readonly parts: PluginParts
}

/** The one store that the plugins give. @throws QueueError QUEUE_PLUGIN_INVALID when there is none, or a second. */
export function storeOf(plugins: readonly ReadyPlugin[]): Store {
  const [first, second] = plugins.filter(({ parts }) => parts.store)
  if (first?.parts.store && !second) return first.parts.store
  const plugin = second?.name ?? 'store'
  const problem = first ? `gives a store, and ${first.name} gives one too` : 'no plugin gives a store'
  throw new QueueError('QUEUE_PLUGIN_INVALID', { detail: { plugin, problem } })
}

/**
 * Validates the options of plugins and sets them up, in order.
 * @throws QueueError QUEUE_PLUGIN_MISSING, QUEUE_CONFIG_INVALID, QUEUE_PLUGIN_INVALID (it threw; the plugin is named)
 */
export async function setUpPlugins({ plugins, closers, ...rest }: PluginSetUp): Promise<ReadyPlugin[]> {
  const ready = new Set<string>()
  const all: ReadyPlugin[] = []
  for (const plugin of plugins) {
    for (const missing of plugin.after ?? []) {
      if (!ready.has(missing)) {
        throw new QueueError('QUEUE_PLUGIN_MISSING', { detail: { plugin: plugin.name, missing } })
      }
    }
    const options = pluginOptions(plugin, rest.settings, rest.pluginsOrigin)
    const slow = rest.clock.after(SLOW_SETUP_MS, () =>
      rest.log.warn({ plugin: plugin.name }, `plugin ${plugin.name} is still setting up`)
    )
    const parts = await setUpOne(plugin, rest.contexts.of(plugin.name), options).finally(() => slow.cancel())
    ready.add(plugin.name)
    all.push({ name: plugin.name, parts })
    if (parts.close) closers.push(() => parts.close!())
  }
  return all
}

async function setUpOne(plugin: Plugin, context: PluginContext, options: object): Promise<PluginParts> {
  try {
    return await plugin.setup(context, options)
  } catch (cause) {
    if (isQueueError(cause)) throw cause
    const detail = { plugin: plugin.name, problem: errorText(cause) }
    throw new QueueError('QUEUE_PLUGIN_INVALID', { cause, detail })
  }
}

/** The options of a plugin with its defaults filled in. */
function pluginOptions(plugin: Plugin, settings: Settings, origin: string): object {
  const options = structuredClone(settings.plugins[plugin.name] ?? {})
  const validate = AJV.compile(plugin.schema)
  if (validate(options)) return options
  const [error] = validate.errors ?? []
  const key = `plugins.${plugin.name}${error?.instancePath.replaceAll('/', '.') ?? ''}`
  const problem = `${error?.message ?? 'is not valid'} ${JSON.stringify(error?.params ?? {})}`
  throw new QueueError('QUEUE_CONFIG_INVALID', { detail: { key, origin, problem } })
}
