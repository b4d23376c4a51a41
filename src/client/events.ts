import type { ClientError } from './errors.ts'

/** What a client tells of itself. */
export interface ClientEvents {
  /** A connection is there; also after each reconnect. */
  connected: {
    /** The server knew the session: its subscriptions and what was waiting are there. */
    readonly isSessionResumed: boolean
    /** MQTT version: 5, or 4 for 3.1.1. */
    readonly protocol: 4 | 5
    /** The client itself had ended the one before, to be given rejected messages again. */
    readonly isPlanned: boolean
  }
  /** The connection is gone, or an attempt has failed; another attempt follows. */
  disconnected: {
    readonly reason: string
    readonly retryInMs: number
    /** The client itself has ended it, to be given rejected messages again. */
    readonly isPlanned: boolean
  }
  /** Something went wrong: a handler was rejected, a payload does not fit, a subscription was refused. */
  error: ClientError
  /** The client is closed: by `close`, or for good by the server; then with the reason. */
  closed: { readonly error?: ClientError }
}

/** Is told of one kind of event. */
export type ClientListener<K extends keyof ClientEvents> = (event: ClientEvents[K]) => void

/** Listeners by event. What a listener throws is the program's own failure and reaches nobody else. */
export class Listeners {
  readonly #all: { [K in keyof ClientEvents]: Set<ClientListener<K>> } = {
    connected: new Set(),
    disconnected: new Set(),
    error: new Set(),
    closed: new Set()
  }

  /** @returns a function that takes the listener away. */
  add<K extends keyof ClientEvents>(name: K, listener: ClientListener<K>): () => void {
    this.#all[name].add(listener)
    return () => this.#all[name].delete(listener)
  }

  /** Tells all listeners. An error that nobody listens to goes to the console: it must not vanish. */
  tell<K extends keyof ClientEvents>(name: K, event: ClientEvents[K]): void {
    const listeners = this.#all[name]
    // biome-ignore lint/suspicious/noConsole: the last resort, and no listener was given
    if (name === 'error' && listeners.size === 0) console.error(String(event))
    for (const listener of listeners) {
      try {
        listener(event)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
