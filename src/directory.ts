import type { DropReason } from './events.ts'

/**
 * The read side of the server: who is connected, which session is attached to what, how far it is. Everything is
 * computed when it is read; nothing is counted per session while messages are accepted.
 */
export interface Directory {
  /** Connected clients, in the order in which they came. */
  clients(): Iterable<ClientView>
  client(clientId: string): ClientView | undefined
  /** Sessions, connected or not, in the order in which they were made. */
  sessions(): Iterable<SessionView>
  session(clientId: string): SessionView | undefined
  /** Messages accepted by topic, restarts included, for the 10,000 topics that came up last. */
  topics(): Iterable<TopicView>
  /** The server as a whole. */
  server(): ServerView
}

/**
 * What is asked of a directory by whoever shows it: one that has to ask others before it can tell will do as well.
 * {@link Directory} is one.
 */
export interface DirectoryReader {
  clients(): Iterable<ClientView> | AsyncIterable<ClientView>
  client(clientId: string): ClientView | undefined | Promise<ClientView | undefined>
  sessions(): Iterable<SessionView> | AsyncIterable<SessionView>
  session(clientId: string): SessionView | undefined | Promise<SessionView | undefined>
  topics(): Iterable<TopicView>
  server(): ServerView
}

/** A connected client. */
export interface ClientView {
  readonly clientId: string
  /** User name of its CONNECT; null without one. */
  readonly username: string | null
  /** Remote address and port; null when the connection has none. */
  readonly address: string | null
  readonly transport: 'tcp' | 'websocket' | 'stream'
  /** 3 (MQTT 3.1), 4 (3.1.1) or 5. */
  readonly protocolVersion: number
  readonly connectedAt: number
  readonly keepAliveSeconds: number
  /** Whether its session outlives the connection. */
  readonly isPersistent: boolean
  /** When something of it was last read, milliseconds since 1970. */
  readonly lastActivityAt: number
  readonly receivedBytes: number
  readonly sentBytes: number
  /** PUBLISH packets that came from it, and that were sent to it. */
  readonly receivedMessages: number
  readonly sentMessages: number
  /** Messages that were dropped for this connection: its socket was full, or they are larger than it takes. */
  readonly droppedMessages: number
}

/** A session; its methods compute when they are called. */
export interface SessionView {
  readonly clientId: string
  readonly isConnected: boolean
  readonly isPersistent: boolean
  readonly createdAt: number
  /** Start of the present connection; null while disconnected. */
  readonly connectedAt: number | null
  /** End of the last connection; null while connected, and when the server was killed during it. */
  readonly disconnectedAt: number | null
  /** When something of its client was last read; the end of its last connection while that is away; null: not known. */
  readonly lastActivityAt: number | null
  /** Seconds that it is kept after a disconnect; 0: not at all; null: for ever. */
  readonly expirySeconds: number | null
  /** When it will end, milliseconds since 1970; null while connected, and when it is kept for ever. */
  readonly expiresAt: number | null
  /** Why it gets nothing at this moment. */
  readonly state: 'ready' | 'caught-up' | 'inflight-full' | 'socket-full' | 'offline'
  subscriptions(): Iterable<SubscriptionView>
  /**
   * Messages it has still to receive, those inflight and those that have expired not included. Counted now; a count
   * over filters that overlap may take several turns.
   * @param queue counts those of this queue only.
   */
  backlog(queue?: string): Promise<number>
  /** Messages sent and not yet acked. */
  inflight(): number
  /** When the oldest message it has not acked was accepted, milliseconds since 1970; null when there is none. */
  oldestAt(): Promise<number | null>
}

/** A subscription of a session. */
export interface SubscriptionView {
  readonly clientId: string
  readonly filter: string
  readonly qos: number
  readonly createdAt: number
}

/** A topic that was published to. */
export interface TopicView {
  readonly topic: string
  readonly acceptedMessages: number
  /** Those of the last {@link RATE_SECONDS} seconds. */
  readonly recentMessages: number
  /** When the last one was accepted, milliseconds since 1970. */
  readonly lastAcceptedAt: number
}

/** Over so many seconds rates are told. */
export const RATE_SECONDS = 60

/** The server as a whole; counts are since its start. */
export interface ServerView {
  readonly lane: string
  readonly startedAt: number
  /** Sequence of the last message on stable storage. */
  readonly headSequence: number
  readonly storedBytes: number
  readonly acceptedMessages: number
  /** PUBLISH packets sent, redeliveries included. */
  readonly deliveredMessages: number
  readonly refusedMessages: number
  /** Deliveries that were not made; those whose message expired are not included. */
  readonly droppedMessages: number
  /** Deliveries whose message expired before it could be sent. */
  readonly expiredMessages: number
  /** Deliveries that were not made, by reason. */
  readonly drops: Readonly<Record<DropReason, number>>
  /** PUBLISH packets that came from clients and that were sent to them, by QoS (index 0 to 2). */
  readonly receivedByQos: readonly number[]
  readonly sentByQos: readonly number[]
  /** Bytes read from and written to all connections. */
  readonly receivedBytes: number
  readonly sentBytes: number
  /** Clients that were let in since the start. */
  readonly connections: number
  readonly connectedClients: number
  /** Sessions, connected or not, and those of them that outlive their connection. */
  readonly sessions: number
  readonly persistentSessions: number
  readonly subscriptions: number
  /** Messages accepted in the last {@link RATE_SECONDS} seconds. */
  readonly recentMessages: number
  /** Messages sent to sessions and not acked yet. */
  readonly inflightMessages: number
  /** Topics with a retained message, those under `$SYS` included. */
  readonly retainedMessages: number
  /** Whether publishes are accepted; false after the store has failed. */
  readonly isAccepting: boolean
}
