import type { JSONSchemaType, SchemaObject } from 'ajv'
import type { FastifyPluginAsync } from 'fastify'
import type { Registry } from 'prom-client'
import type { Clock } from './clock.ts'
import type { Peers } from './cluster/calls.ts'
import type { Command } from './commands/command.ts'
import type { Control, MessagePublisher } from './control.ts'
import type { Directory } from './directory.ts'
import type { ServerEvents } from './events.ts'
import type { Gates } from './gates.ts'
import type { Logger } from './log.ts'
import type { MessageReader } from './messages.ts'
import type { Bus } from './store/cluster.ts'
import type { Store } from './store/store.ts'

export * from './clock.ts'
export type { Answering, CallCounts, PeerAnswers, Peers } from './cluster/calls.ts'
export type { Arguments, Command } from './commands/command.ts'
export * from './control.ts'
export * from './directory.ts'
export * from './errors.ts'
export * from './events.ts'
export * from './gates.ts'
export * from './journal/record.ts'
export * from './lane.ts'
export * from './log.ts'
export * from './messages.ts'
export * from './serial.ts'
export * from './store/cluster.ts'
export * from './store/store.ts'
export * from './topic.ts'
export * from './version.ts'
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
  /** Commands, mounted as `restante <plugin> <command>`. They run in a process of their own, without a server. */
  readonly commands?: readonly Command[]
  /** Called once before the server starts. What it throws stops the start and names the plugin. */
  setup(context: PluginContext, options: Options): PluginParts | Promise<PluginParts>
}

/** What a plugin gives to the server; each part is optional. */
export interface PluginParts {
  /** Storage. Exactly one plugin of a server gives it. */
  readonly store?: Store
  /** What carries wake-ups and messages of QoS 0 between brokers. At most one plugin of a server gives it. */
  readonly bus?: Bus
  /** HTTP routes, mounted under /v1. They may use all of the context. */
  readonly routes?: FastifyPluginAsync
  /** HTTP routes with a place of their own, such as /metrics. */
  readonly rootRoutes?: FastifyPluginAsync
  /** What it decides about clients, publishes and subscriptions. */
  readonly gates?: Partial<Gates>
  /** Called once when the server listens; what it throws stops the start and names the plugin. */
  started?(): void | Promise<void>
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
  /** Kept messages. With `control` and `publisher` it may be used once the server has started; before, they throw. */
  readonly messages: MessageReader
  /** Disconnects clients, ends sessions, subscribes on behalf, purges. */
  readonly control: Control
  readonly publisher: MessagePublisher
  /** The brokers that share the store; null for a server that is alone, and before it has started. */
  readonly peers: Peers | null
  /** What happens; listeners may be set from `setup` on. */
  readonly events: ServerEvents
  /**
   * Metrics of the server, for a plugin to register its own: names begin with `restante_<plugin>_`, label values come
   * from a fixed set.
   */
  readonly metrics: Registry
}

/** Settings of the server that concern every plugin. */
export interface CommonSettings {
  /** The data folder; created by whoever stores in it. */
  readonly dataDirectory: string
  readonly fsync: 'always' | 'interval' | 'off'
  /** Milliseconds from one sync to the next, with `interval`. */
  readonly fsyncIntervalMs: number
  /** Address of a MongoDB, with the name of the database; '' without one. */
  readonly mongodbUrl: string
  /** Address of a Redis that joins brokers; '' without one. */
  readonly redisUrl: string
  /** Name of this broker among those that share a store. */
  readonly brokerName: string
  /** Milliseconds without a heartbeat after which a broker counts as dead. */
  readonly brokerTimeoutMs: number
  /** Milliseconds that a start, and a client, waits for a store that cannot be reached. */
  readonly storeTimeoutMs: number
  /** Largest packet taken from a client, in bytes. */
  readonly maxPacketBytes: number
  readonly maxTopicLevels: number
}

/** Ties the schema to the options where a plugin is defined; the result fits into a list with others. */
export function definePlugin<Options extends object>(
  plugin: Plugin<Options> & { schema: JSONSchemaType<Options> }
): Plugin {
  return plugin as unknown as Plugin
}
