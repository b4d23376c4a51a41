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
  /** Messages accepted since the start by topic, for as many topics as are kept in the route cache. */
  topics(): Iterable<TopicView>
  /** The server as a whole. */
  server(): ServerView
}

/** A connected client. */
export interface ClientView {
  readonly clientId: string
  /** Remote address and port; null when the connection has none. */
  readonly address: string | null
  readonly transport: 'tcp' | 'websocket' | 'stream'
  /** 3 (MQTT 3.1), 4 (3.1.1) or 5. */
  readonly protocolVersion: number
  readonly connectedAt: number
  readonly keepAliveSeconds: number
  /** Whether its session outlives the connection. */
  readonly isPersistent: boolean
  readonly receivedBytes: number
  readonly sentBytes: number
  /** QoS 0 messages that were dropped for this connection because its socket was full. */
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
  /** End of the last connection; null while connected, and when no connection is known since the server started. */
  readonly disconnectedAt: number | null
  /** Why it gets nothing at this moment. */
  readonly state: 'ready' | 'caught-up' | 'inflight-full' | 'socket-full' | 'offline'
  subscriptions(): Iterable<SubscriptionView>
  /** Messages it has still to receive, those inflight not included. */
  backlog(): number
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
}

/** The server as a whole; counts are since its start. */
export interface ServerView {
  readonly lane: string
  readonly startedAt: number
  /** Sequence of the last message on stable storage. */
  readonly headSequence: number
  readonly storedBytes: number
  readonly acceptedMessages: number
  readonly deliveredMessages: number
  readonly refusedMessages: number
  readonly droppedMessages: number
  /** Deliveries whose message expired before it could be sent. */
  readonly expiredMessages: number
  /** Topics with a retained message, those under `$SYS` included. */
  readonly retainedMessages: number
  /** Whether publishes are accepted; false after the store has failed. */
  readonly isAccepting: boolean
}
