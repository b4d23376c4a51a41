import type {
  ClientView,
  Clock,
  Control,
  DirectoryReader,
  Logger,
  MessagePart,
  MessageReader,
  OwedMessage,
  Peers,
  ServerView,
  SessionView,
  StoredMessage,
  SubscriptionView,
  TopicView
} from '../../src/plugin.ts'

/** A view of which whoever tells it may not know everything: null is told then. */
type Partly<View, Known extends keyof View> = {
  readonly [Key in keyof View]: Key extends Known ? View[Key] : View[Key] | null
}

/** A connected client, as far as it is known. */
export type ClientEntry = Partly<ClientView, 'clientId' | 'transport' | 'isPersistent'>

/** A session, as far as it is known. */
export interface SessionEntry
  extends Partly<
    Omit<SessionView, 'subscriptions' | 'backlog' | 'inflight' | 'oldestAt'>,
    'clientId' | 'isConnected' | 'isPersistent'
  > {
  subscriptions(): Iterable<SubscriptionEntry>
  backlog(queue?: string): Promise<number | null>
  inflight(): number | null | Promise<number | null>
  oldestAt(): Promise<number | null>
}

/** A subscription, as far as it is known. */
export type SubscriptionEntry = Partly<SubscriptionView, 'clientId' | 'filter' | 'qos'>

/** The server as a whole, as far as it is known. */
export type ServerEntry = Partly<ServerView, 'startedAt' | 'isAccepting'>

/** What is shown: the directory of this server, or what can be known of another broker. */
export interface Source {
  clients(): Iterable<ClientEntry> | AsyncIterable<ClientEntry>
  client(clientId: string): ClientEntry | undefined | Promise<ClientEntry | undefined>
  sessions(): Iterable<SessionEntry> | AsyncIterable<SessionEntry>
  session(clientId: string): SessionEntry | undefined | Promise<SessionEntry | undefined>
  topics(): Iterable<TopicView>
  server(): ServerEntry | Promise<ServerEntry>
}

/** A message, as far as it is known. */
export type MessageEntry = Partly<Omit<StoredMessage, 'sequence'>, 'topic' | 'qos' | 'isRetained' | 'payload'>

/** A message that a session has still to ack. */
export interface OwedEntry extends Pick<OwedMessage, 'status'> {
  readonly sequence: number | null
  readonly message: MessageEntry | null
}

/** Messages, as far as they can be found. */
export interface Messages extends Partial<Pick<MessageReader, 'byId' | 'newest'>> {
  owed(clientId: string, after: string | null, limit: number): Promise<MessagePart<OwedEntry>>
}

/** What the routes work with. */
export interface Introspected {
  readonly directory: Source | DirectoryReader
  readonly messages: Messages
  /** Null: nothing can be done from here. */
  readonly control: Control | null
  readonly clock: Clock
  readonly log: Logger
  /** The other brokers on the store; null: there are none. */
  readonly peers: Peers | null
  /** Whether the source may answer null where a server of ours always knows. */
  readonly isPartial: boolean
}
