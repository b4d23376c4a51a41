import { assemble, closeAll, startPlugins } from './assembly.ts'
import { type AedesLimits, type Broker, limitsOf } from './broker/broker.ts'
import { builtinPlugins } from './builtin.ts'
import { type Clock, systemClock } from './clock.ts'
import { defaultSettings, type Settings } from './config/settings.ts'
import type { Control, MessagePublisher } from './control.ts'
import type { Directory } from './directory.ts'
import type { ServerEvents } from './events.ts'
import { type Logger, silentLog } from './log.ts'
import type { MessageReader } from './messages.ts'
import type { Plugin } from './plugin.ts'

/** What an Aedes is adopted with. */
export interface AdoptOptions {
  /** The broker of the application, from `Aedes.createBroker`. Subscribe in the process after it was adopted. */
  readonly aedes: Broker['aedes']
  /** What differs from the defaults, and from what the broker itself was told. Nothing is listened to. */
  readonly settings?: Partial<Settings>
  /** In the order of set-up; exactly one gives the store. Left out: the store that the settings name. */
  readonly plugins?: readonly Plugin[]
  readonly log?: Logger
  readonly clock?: Clock
}

/** An Aedes whose messages and sessions are kept. */
export interface Restante {
  /** Takes connections in place of Aedes' own `handle`; `aedes.handle` is this one from now on. */
  readonly handle: Broker['aedes']['handle']
  readonly directory: Directory
  readonly messages: MessageReader
  readonly control: Control
  readonly publisher: MessagePublisher
  readonly events: ServerEvents
  /** Acks what was accepted, stores everything, closes Aedes and the store. `aedes.close` does the same. */
  close(): Promise<void>
}

/**
 * Gives an Aedes application durable queues: its hooks, events and methods stay, connections come in through `handle`.
 * @throws QueueError of configuration, plugins and store; the broker is as it was then.
 */
export async function restante(options: AdoptOptions): Promise<Restante> {
  const { aedes, log = silentLog, clock = systemClock } = options
  const settings = defaultSettings({ ...adoptedSettings(limitsOf(aedes)), ...options.settings })
  const plugins = options.plugins ?? builtinPlugins(settings)
  const closers: (() => Promise<void>)[] = []
  try {
    const assembly = { settings, plugins, log, clock, pluginsOrigin: 'settings', aedes }
    const { core, ready, events } = await assemble(assembly, closers)
    await startPlugins(ready)
    let closed: Promise<void> | undefined
    const close = () => {
      closed ??= closeAll(closers)
      return closed
    }
    const handle: Broker['aedes']['handle'] = (stream, request) => core.front.handle(stream, request)
    aedes.handle = handle
    aedes.close = (done = () => {}) => {
      const failed = (error: unknown) => {
        log.error({ err: error }, 'the store was not closed well')
        done()
      }
      close().then(() => done(), failed)
    }
    const { directory, messages, control, publisher } = core
    return { handle, directory, messages, control, publisher, events, close }
  } catch (error) {
    await closeAll(closers).catch(() => {})
    throw error
  }
}

/** Limits that the application has given to Aedes hold here as well. */
function adoptedSettings(limits: AedesLimits): Partial<Settings> {
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== null))
}
