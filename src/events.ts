import { errorText } from './errors.ts'
import type { Logger } from './log.ts'

/** Why a delivery was not made, or a message not forwarded; the list is closed, so that it can label metrics. */
export const DROP_REASONS = [
  /** QoS 0 for a socket that takes no more. */
  'socket-full',
  /** Larger than the Maximum Packet Size of the receiver, or kept back by the hook `authorizeForward`. */
  'not-taken',
  /** Its Message Expiry Interval was over. */
  'expired',
  /** The backlog was purged. */
  'purged',
  /** A retained message that was sent and not acked, and that a newer one has replaced. */
  'replaced',
  /** It is not in the store any more, or is damaged there. */
  'lost'
] as const

/** One of {@link DROP_REASONS}. */
export type DropReason = (typeof DROP_REASONS)[number]

/** Why a session has ended. */
export type EndReason =
  /** With its connection. */
  | 'disconnected'
  /** Its time was over. */
  | 'expired'
  /** By Clean Start. */
  | 'replaced'
  /** By whoever administers the server. */
  | 'ended'

/** A filter of a subscription and its granted QoS. */
export interface SubscribedFilter {
  readonly filter: string
  readonly qos: number
}

/** What happens in a server, by name. Times are milliseconds since 1970. */
export interface EventMap {
  /** A client was let in and its session is open. */
  clientConnected: {
    readonly clientId: string
    /** User name of its CONNECT; null without one. */
    readonly username: string | null
    readonly address: string | null
    readonly transport: 'tcp' | 'websocket' | 'stream'
    readonly protocolVersion: number
    readonly keepAliveSeconds: number
    /** Whether its session outlives the connection. */
    readonly isPersistent: boolean
    /** Whether it has resumed a session. */
    readonly isResumed: boolean
  }
  /** A connection of a client that was let in is over. */
  clientDisconnected: {
    readonly clientId: string
    readonly connectedAt: number
    /** `client`: it said DISCONNECT; `lost`: it did not; else the code of the error that ended it. */
    readonly reason: string
  }
  subscribed: { readonly clientId: string; readonly subscriptions: readonly SubscribedFilter[] }
  unsubscribed: { readonly clientId: string; readonly filters: readonly string[] }
  sessionEnded: { readonly clientId: string; readonly reason: EndReason }
  /** Deliveries to a session that were not made and will not be. Never told for topics that begin with `$`. */
  dropped: {
    readonly clientId: string
    /** Null when it is about several. */
    readonly topic: string | null
    readonly reason: DropReason
    readonly messages: number
  }
  /** A commit: messages are on stable storage. */
  committed: { readonly messages: number; readonly bytes: number; readonly durationMs: number }
}

/** A name of {@link EventMap}. */
export type EventName = keyof EventMap

/** Where plugins listen to what happens. */
export interface ServerEvents {
  /**
   * Calls back at each event of this name, in the turn in which it happens; what the listener throws is logged and
   * hurts nobody. @returns stops listening.
   */
  on<Name extends EventName>(name: Name, listener: (event: EventMap[Name]) => void): () => void
}

type Listener = (event: never) => void

/** The events of one server. Telling costs nothing where nobody listens. */
export class Events implements ServerEvents {
  readonly #log: Logger
  readonly #listeners = new Map<EventName, Set<Listener>>()

  constructor(log: Logger) {
    this.#log = log
  }

  on<Name extends EventName>(name: Name, listener: (event: EventMap[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    const own: Listener = event => listener(event) // the same function may listen twice
    listeners.add(own)
    return () => {
      listeners.delete(own)
    }
  }

  /** Whether anybody listens: what is costly to tell is made only then. */
  has(name: EventName): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0
  }

  /** Tells an event to whoever listens. */
  tell<Name extends EventName>(name: Name, event: EventMap[Name]): void {
    const listeners = this.#listeners.get(name)
    if (!listeners) return
    for (const listener of [...listeners]) {
      try {
        listener(event as never)
      } catch (error) {
        this.#log.error({ err: error }, `a listener of ${name} failed: ${errorText(error)}`)
      }
    }
  }
}
