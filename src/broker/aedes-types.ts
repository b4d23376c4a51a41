import type { Readable } from 'node:stream'
import type { Aedes, AedesPublishPacket, Client } from 'aedes'

/** A connected client as Aedes and its users know it. */
export type AedesClient = Client

/** A message as the process itself sees it: subscribers of `aedes.subscribe`, hooks, events. */
export type InsidePacket = AedesPublishPacket

/** A subscription as hooks and events see it. */
export interface HookSubscription {
  topic: string
  qos: 0 | 1 | 2
  /** MQTT 5: No Local, Retain As Published, Retain Handling. @see MQTT 5.0 section 3.8.3.1 */
  nl?: boolean | undefined
  rap?: boolean | undefined
  rh?: number | undefined
}

/** A subscriber in the process; it calls `done` when it is ready for the next message. */
export type InsideListener = (packet: InsidePacket, done: () => void) => void

/** What Aedes hands messages around with in the process, or between processes (mqemitter). */
export interface Emitter {
  on(topic: string, listener: InsideListener, done?: () => void): unknown
  removeListener(topic: string, listener: InsideListener, done?: () => void): unknown
}

/** What Aedes, and who knows it, asks of a persistence. */
export interface Persistence {
  setup(broker: unknown): Promise<void>
  storeRetained(packet: InsidePacket): Promise<void>
  createRetainedStream(filter: string): Readable
  createRetainedStreamCombi(filters: readonly string[]): Readable
  addSubscriptions(client: { id: string }, subscriptions: unknown): Promise<void>
  removeSubscriptions(client: { id: string }, filters: unknown): Promise<void>
  cleanSubscriptions(client: { id: string }): Promise<void>
  subscriptionsByClient(client: { id: string }): Promise<HookSubscription[]>
  subscriptionsByTopic(topic: string): Promise<unknown[]>
  countOffline(): Promise<{ subsCount: number; clientsCount: number }>
  getClientList(filter: string): Readable
  outgoingEnqueue(subscription: { clientId: string }, packet: InsidePacket): Promise<void>
  outgoingEnqueueCombi(subscriptions: unknown, packet: InsidePacket): Promise<void>
  outgoingUpdate(client: { id: string }, packet: unknown): Promise<void>
  outgoingClearMessageId(client: { id: string }, packet: unknown): Promise<unknown>
  outgoingStream(client: { id: string }): Readable
  incomingStorePacket(client: { id: string }, packet: unknown): Promise<void>
  incomingGetPacket(client: { id: string }, packet: unknown): Promise<unknown>
  incomingDelPacket(client: { id: string }, packet: unknown): Promise<void>
  putWill(client: { id: string }, packet: unknown): Promise<unknown>
  getWill(client: { id: string }): Promise<unknown>
  delWill(client: { id: string }): Promise<unknown>
  streamWill(brokers?: object): Readable
  destroy(...rest: unknown[]): unknown
}

/** Members of Aedes that its declarations leave out. */
export interface AedesMembers {
  closed: boolean
  readonly version: string
  /** Number of the last message that was given one. */
  counter: number
  mq: Emitter
  persistence: Persistence
  clients: Record<string, Client>
  brokers: Record<string, unknown>
  opts: object
  connectTimeout: number
  keepaliveLimit: number
  maxTopicLevels: number
  maximumPacketSize: number
  receiveMaximum: number
  topicAliasMaximum: number
  sessionExpiryIntervalLimit: number
  /** Called when a client is gone; keeps its session in the memory of Aedes for a while. */
  scheduleSessionExpiry(client: Client): void
}

/** Aedes with what its declarations leave out. */
export function membersOf(aedes: Aedes): AedesMembers {
  return aedes as unknown as AedesMembers
}
