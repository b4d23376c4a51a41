import type { Message } from '../wire/message.ts'
import type { SessionRow, StreamRow, SubscriptionRow } from './store.ts'

/**
 * What a store does beyond the contract when several servers (brokers) share it. Each broker has a lane of its own,
 * reads the lanes of all others, and keeps the sessions that it owns in memory, exactly as a server that is alone. A
 * session is owned by one broker at a time: by the one that its client was last connected to.
 */
export interface ClusterStore {
  readonly brokerName: string
  /** Lanes known so far, the own one included. */
  readonly lanes: readonly LaneRow[]
  /**
   * Begins to live among the others: heartbeats, following their lanes, taking over what dead ones have left. Called
   * once, when what {@link Store.open} handed over is in memory.
   */
  start(listener: ClusterListener, bus: Bus | null): Promise<void>
  /**
   * The server is about to stop: nothing is claimed or taken over any more, and claims that wait are given up with
   * QUEUE_SERVER_STOPPING. Heartbeats go on, others are answered.
   */
  retire(): void
  /** Ends what {@link start} has begun; nothing is told to the listener afterwards. `Store.close` comes later. */
  stop(): Promise<void>

  // ---- routing
  /**
   * The streams of these filters, made when they are missing. When it resolves, they are on stable storage, and every
   * commit of any broker that begins later knows them.
   */
  streamsOf(filters: readonly string[]): Promise<readonly StreamRow[]>
  /** Streams made by any broker that this one has not been told of yet, found by a read that starts now. */
  newStreams(): Promise<readonly StreamRow[]>
  /** The last durable sequence of every lane but the own one, found by reads that start now. */
  heads(): Promise<readonly number[]>

  // ---- sessions
  /**
   * Makes this broker the owner of a client id: whoever owned it has closed the connection, written all and forgotten it
   * when this resolves, or is dead and can write nothing more. Nobody else gets it while `arrive` is under way; afterwards
   * it may be released again at any moment, so whoever claims asks {@link holds} before he goes on.
   * @param arrive takes what is stored of its session into memory; not called when there is nothing.
   * @returns what is stored of its session; null when it was owned here already (its session is in memory), or is new.
   * @throws QueueError QUEUE_STORE_AWAY
   */
  claim(clientId: string, arrive?: (parts: SessionParts) => Promise<unknown>): Promise<SessionParts | null>
  /** Whether a client id is owned here, and neither released nor disowned at this moment. */
  holds(clientId: string): boolean
  /** The client is gone and no session of it is kept: its id belongs to nobody. Never rejects. */
  disown(clientId: string): Promise<void>
  /** Kept messages of streams, in ascending order in each lane, in parts. */
  entries(ranges: readonly EntryRange[]): AsyncIterable<readonly KeptEntry[]>
  /** Ids never used before, by anybody. @returns the first of `count`. */
  reserveIds(kind: 'session' | 'will', count: number): Promise<number>

  // ---- others
  /** All brokers, as of the last poll. */
  brokers(): readonly BrokerRow[]
  /**
   * Has another live broker do something (see {@link ClusterListener.answer}); works without a bus, then more slowly.
   * @param params and the answer: what JSON can say.
   * @throws QueueError as the other broker threw it; QUEUE_BROKER_AWAY when it does not answer in time.
   */
  call(brokerName: string, method: string, params: unknown): Promise<unknown>
}

/** What the core does for a store that is shared. */
export interface ClusterListener {
  /** A lane that was not known before; told before anything of it. */
  laneFound(lane: LaneRow): void
  /**
   * Messages of another lane: in sequence, each once, none left out since the last call (or since open).
   * @param headSequence everything up to it is told now.
   */
  followed(lane: number, headSequence: number, messages: readonly FollowedMessage[]): void
  /** Nobody uses these streams any more. */
  streamsGone(streamIds: readonly number[]): void
  /**
   * Another broker wants this session: resolves when its connection is closed, all of it written and forgotten here.
   * @param left to be called in the turn in which it is forgotten: from then on it is not held here.
   */
  release(clientId: string, left: () => void): Promise<void>
  /** What a dead or stopped broker has left is ours now. Resolves when it is in memory, and its cursors are written. */
  adopt(parts: SessionParts): Promise<void>
  /** What another broker asks by {@link ClusterStore.call}. */
  answer(method: string, params: unknown): Promise<unknown>
  /** This broker was taken for dead: its lane is closed, its sessions are elsewhere, nothing it writes counts any more. */
  fenced(error: Error): void
}

/** A lane and how far it is. */
export interface LaneRow {
  readonly lane: number
  /** Half of the ids of its messages. */
  readonly name: string
  /** Everything up to it was handed over, or told. */
  readonly headSequence: number
}

/** A message of another lane. */
export interface FollowedMessage {
  readonly message: Message
  readonly streamIds: readonly number[]
}

/** Sessions that come from another broker. */
export interface SessionParts {
  readonly sessions: readonly SessionRow[]
  readonly subscriptions: readonly SubscriptionRow[]
  /** By session id, as in `StoreContents`. */
  readonly cursors: ReadonlyMap<number, Buffer>
  readonly wills: ReadonlyMap<number, Buffer>
  /** Notes that may be about these sessions and are not in their cursors, oldest first. */
  readonly notes: readonly Buffer[]
  /**
   * Their last broker did not stop cleanly: it may have sent messages of which no note has reached the store, as before a
   * power cut.
   */
  readonly mayHaveLost: boolean
  /** Of a broker that did not stop cleanly: the messages of its replay stream that its last checkpoint does not know. */
  readonly replayed: readonly Message[]
}

/** Some streams of a lane between two sequences. */
export interface EntryRange {
  readonly streamIds: readonly number[]
  /** Above this one, up to and including that one; both of one lane. */
  readonly after: number
  readonly through: number
}

/** Where a kept message stands. */
export interface KeptEntry {
  readonly sequence: number
  readonly streamIds: readonly number[]
  /** Milliseconds since 1970; 0: never. */
  readonly expiresAt: number
}

/** A broker, as the others see it. */
export interface BrokerRow {
  readonly name: string
  readonly lane: number
  /** `live`; `silent`: no heartbeat for longer than usual; `stopped`: said goodbye; `dead`: its lane was closed by another. */
  readonly state: 'live' | 'silent' | 'stopped' | 'dead'
  /** It does not live, and all that it has left was taken over. */
  readonly isEmptied?: boolean
  readonly isSelf: boolean
  /** Milliseconds since its last heartbeat was seen. */
  readonly heartbeatAgeMs: number
  readonly startedAt: number
  /** Its newest message, as it says; and the newest that this broker has read. */
  readonly headSequence: number
  readonly followedSequence: number
  /** Where it listens, as far as it says. */
  readonly host: string
  readonly version: string
}

/** Carries what may be lost between brokers: wake-ups, and messages of QoS 0. */
export interface Bus {
  readonly isConnected: boolean
  /** To all other brokers. Never throws; what cannot be sent is dropped. */
  tell(channel: string, bytes: Buffer): void
  /** Called for what others tell, not for what this broker tells. */
  listen(channel: string, heard: (bytes: Buffer) => void): void
  close(): Promise<void>
}
