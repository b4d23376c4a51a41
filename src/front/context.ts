import type { Broker } from '../broker/broker.ts'
import type { Clock } from '../clock.ts'
import type { Counters } from '../delivery/counters.ts'
import type { Drops } from '../delivery/drops.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import type { NoteBook } from '../delivery/notes.ts'
import type { Publisher } from '../delivery/publisher.ts'
import type { Retained } from '../delivery/retained.ts'
import type { Flushable, Scheduler } from '../delivery/scheduler.ts'
import type { Sessions } from '../delivery/sessions.ts'
import type { Subscription } from '../delivery/subscription.ts'
import type { Wills } from '../delivery/wills.ts'
import type { Events } from '../events.ts'
import type { Journal } from '../journal/journal.ts'
import type { Logger } from '../log.ts'
import type { Router } from '../routing/router.ts'
import type { Connection } from './connection.ts'
import type { Pacing } from './pacing.ts'

/** Limits of a connection. */
export interface FrontLimits {
  readonly maxInflight: number
  /** Most publishes of a client that it has not been answered. @see MQTT 5.0 section 3.2.2.3.3 */
  readonly receiveMaximum: number
  /** Topic aliases a client may use, and those used towards it at most. */
  readonly topicAliasMaximum: number
  readonly maxTopicAliases: number
  /** Of a client of MQTT 5; 0: no limit. */
  readonly maxSessionExpirySeconds: number
  /** Of a client of MQTT 3.1 or 3.1.1; 0: for ever. */
  readonly sessionExpirySeconds: number
  /** 0: as long as the client likes. */
  readonly maxKeepAliveSeconds: number
  /** Whether a payload that is said to be UTF-8 is looked at. */
  readonly checkPayloadFormat: boolean
  /** What a client is told that asks for Response Information; '': nothing. */
  readonly responseInformation: string
  readonly maxPacketBytes: number
  /** Before CONNECT is accepted. */
  readonly maxConnectPacketBytes: number
  /** A connection whose session is not open by then is closed. */
  readonly connectTimeoutMs: number
  /** Above it QoS 0 messages are dropped for the connection. */
  readonly maxSocketBytes: number
}

/** What every connection works with. */
export interface FrontContext {
  readonly broker: Broker
  readonly clock: Clock
  readonly counters: Counters
  readonly drops: Drops
  readonly events: Events
  readonly fanOut: FanOut
  readonly journal: Journal
  readonly limits: FrontLimits
  readonly log: Logger
  readonly notes: NoteBook
  readonly pacing: Pacing
  readonly publisher: Publisher
  readonly retained: Retained
  readonly router: Router<Subscription>
  readonly scheduler: Scheduler
  readonly sessions: Sessions
  readonly wills: Wills
  /** Seconds since the start; a connection notes it when it hears something. */
  readonly tick: number
  /** Reads no more of this connection until the journal has room. */
  holdForJournal(connection: Connection): void
  /** The connection must not write before a note is written; it is flushed then. */
  holdForNote(connection: Flushable): void
  /** The connection is over. */
  forget(connection: Connection): void
}
