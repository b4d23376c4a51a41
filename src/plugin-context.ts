import { Registry } from 'prom-client'
import type { Clock } from './clock.ts'
import type { Core } from './core.ts'
import { errorText, QueueError } from './errors.ts'
import type { Events, ServerEvents } from './events.ts'
import type { Logger } from './log.ts'
import type { CommonSettings, PluginContext } from './plugin.ts'

/** What the contexts of all plugins are made from. */
export interface ContextParts {
  readonly log: Logger
  readonly clock: Clock
  readonly settings: CommonSettings
  readonly events: Events
  /** The core, once it is open. */
  readonly core: () => Core | undefined
}

/** Makes the contexts of the plugins of one server. */
export class PluginContexts {
  readonly #parts: ContextParts
  readonly #metrics = new Registry()

  constructor(parts: ContextParts) {
    this.#parts = parts
  }

  /** The context of one plugin: what fails in what it has set is logged with its name, and hurts nobody. */
  of(plugin: string): PluginContext {
    const { settings, events, core } = this.#parts
    const log = named(this.#parts.log, plugin)
    const failed = (what: string, error: unknown) =>
      log.error({ err: error }, `${what} of plugin ${plugin} failed: ${errorText(error)}`)
    const open = () => {
      const opened = core()
      if (!opened) throw new QueueError('QUEUE_NOT_STARTED', { detail: { plugin } })
      return opened
    }
    return {
      log,
      clock: guardedClock(this.#parts.clock, error => failed('a timer', error)),
      settings,
      events: guardedEvents(events, (name, error) => failed(`a listener of ${name}`, error)),
      metrics: this.#metrics,
      directory: {
        clients: () => core()?.directory.clients() ?? [],
        client: id => core()?.directory.client(id),
        sessions: () => core()?.directory.sessions() ?? [],
        session: id => core()?.directory.session(id),
        topics: () => core()?.directory.topics() ?? [],
        server: () => open().directory.server()
      },
      get peers() {
        return core()?.peers ?? null
      },
      ...hands(open)
    }
  }
}

/** What needs an open core; it may be taken out of the context before there is one, and throws when it is called. */
function hands(open: () => Core): Pick<PluginContext, 'messages' | 'control' | 'publisher'> {
  return {
    messages: {
      byId: async id => await open().messages.byId(id),
      owed: async (...args) => await open().messages.owed(...args),
      newest: async (...args) => await open().messages.newest(...args)
    },
    control: {
      disconnect: clientId => open().control.disconnect(clientId),
      endSession: async clientId => await open().control.endSession(clientId),
      subscribe: async (...args) => await open().control.subscribe(...args),
      unsubscribe: async (...args) => await open().control.unsubscribe(...args),
      purge: async clientId => await open().control.purge(clientId)
    },
    publisher: {
      publish: async message => await open().publisher.publish(message),
      publishAll: async messages => await open().publisher.publishAll(messages),
      announce: (...args) => open().publisher.announce(...args),
      isHeard: topic => open().publisher.isHeard(topic)
    }
  }
}

/** A log whose lines say which plugin they are of. */
function named(log: Logger, plugin: string): Logger {
  return {
    debug: (fields, text) => log.debug({ plugin, ...fields }, text),
    info: (fields, text) => log.info({ plugin, ...fields }, text),
    warn: (fields, text) => log.warn({ plugin, ...fields }, text),
    error: (fields, text) => log.error({ plugin, ...fields }, text)
  }
}

function guardedClock(clock: Clock, failed: (error: unknown) => void): Clock {
  const guarded = (callback: () => unknown) => () => runSafely(callback, failed)
  return {
    now: () => clock.now(),
    after: (delayMs, callback) => clock.after(delayMs, guarded(callback)),
    every: (periodMs, callback) => clock.every(periodMs, guarded(callback))
  }
}

function guardedEvents(events: Events, failed: (name: string, error: unknown) => void): ServerEvents {
  return {
    on: (name, listener) =>
      events.on(name, event =>
        runSafely(
          () => listener(event),
          error => failed(name, error)
        )
      )
  }
}

/** Calls something of a plugin; what it throws, or the promise that it returns rejects with, is told. */
function runSafely(callback: () => unknown, failed: (error: unknown) => void): void {
  try {
    const result = callback()
    if (result instanceof Promise) result.catch(failed)
  } catch (error) {
    failed(error)
  }
}
