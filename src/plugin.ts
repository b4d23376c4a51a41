import type { JSONSchemaType, SchemaObject } from 'ajv'
import type { FastifyPluginAsync } from 'fastify'
import type { Clock } from './clock.ts'
import type { Directory } from './directory.ts'
import type { Logger } from './log.ts'
import type { Store } from './store/store.ts'

export * from './clock.ts'
export * from './directory.ts'
export * from './errors.ts'
export * from './journal/record.ts'
export * from './log.ts'
export * from './store/store.ts'
export * from './topic.ts'
export * from './wire/message.ts'

/**
 * What a plugin is made of. Name and schema can be read without starting anything; `setup` does no I/O
 * (a store opens when the core says so). A plugin imports from `restante/plugin` and its own folder only.
 */
export interface Plugin<Options extends object = object> {
  /** The name of its folder, and its key under `plugins` in the configuration. */
  readonly name: string
  /** Plugins that are set up before this one. A missing one: QUEUE_PLUGIN_MISSING. */
  readonly after?: readonly string[]
  /** JSON Schema of its options; every default lives there and nowhere else. */
  readonly schema: SchemaObject
  /** Called once before the server starts. What it throws stops the start and names the plugin. */
  setup(context: PluginContext, options: Options): PluginParts | Promise<PluginParts>
}

/** What a plugin gives to the server; each part is optional. */
export interface PluginParts {
  /** Storage. Exactly one plugin of a server gives it. */
  readonly store?: Store
  /** HTTP routes, mounted under /v1. They may use `context.directory`. */
  readonly routes?: FastifyPluginAsync
  /** Called in reverse order of set-up, always, also when the start failed. */
  close?(): Promise<void>
}

/** What a plugin gets from the server. */
export interface PluginContext {
  readonly log: Logger
  readonly clock: Clock
  /** The server's settings that concern every plugin. */
  readonly settings: CommonSettings
  /** Who is connected, attached and subscribed; computed when read. Empty until the server has started. */
  readonly directory: Directory
}

/** Settings of the server that concern every plugin. */
export interface CommonSettings {
  /** The data folder; created by whoever stores in it. */
  readonly dataDirectory: string
  readonly fsync: 'always' | 'interval' | 'off'
  /** Milliseconds from one sync to the next, with `interval`. */
  readonly fsyncIntervalMs: number
}

/** Ties the schema to the options where a plugin is defined; the result fits into a list with others. */
export function definePlugin<Options extends object>(
  plugin: Plugin<Options> & { schema: JSONSchemaType<Options> }
): Plugin {
  return plugin as unknown as Plugin
}
