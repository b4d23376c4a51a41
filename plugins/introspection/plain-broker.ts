import type { Aedes, Client } from 'aedes'
import type { MessageProperties } from '../../src/plugin.ts'

/** A subscription as a persistence of Aedes keeps it. */
export interface PlainSubscription {
  readonly topic: string
  readonly qos: number
}

/** A packet in the queue of a client. */
export interface PlainPacket {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly payload: Buffer | string
  /** Set when it was sent. */
  readonly messageId?: number | null
  readonly properties?: MessageProperties | null
  /** Milliseconds since 1970. */
  readonly messageExpiry?: number
}

/** What is used of a persistence: public methods of every one. */
export interface PlainPersistence {
  subscriptionsByClient(client: { readonly id: string }): Promise<readonly PlainSubscription[] | null>
  outgoingStream(client: { readonly id: string }): AsyncIterable<PlainPacket>
  countOffline(): Promise<{ readonly subsCount: number; readonly clientsCount: number }>
}

/** What is used of an Aedes besides what its types tell. */
export type PlainAedes = Aedes & {
  readonly persistence: PlainPersistence
  readonly clients: Readonly<Record<string, PlainClient>>
}

/** What is used of a client besides what its types tell. */
export type PlainClient = Client & {
  readonly subscriptions?: Readonly<Record<string, { readonly qos: number }>>
}

/** What is used of a collection of MongoDB. */
export interface PlainCollection {
  find(filter: object, options?: object): AsyncIterable<object>
  countDocuments(filter: object, options?: object): Promise<number>
}

/** What is used of a database of MongoDB; a `Db` of any version of the driver `mongodb` has it. */
export interface PlainDatabase {
  collection(name: string): PlainCollection
}

/** The collections of aedes-persistence-mongodb. */
export interface PlainCollections {
  readonly subscriptions: PlainCollection
  readonly outgoing: PlainCollection
  readonly retained: PlainCollection
}

/** The collections of a database. @param prefix the persistence's `collectionPrefix`. */
export function plainCollections(db: PlainDatabase, prefix: string): PlainCollections {
  return {
    subscriptions: db.collection(`${prefix}subscriptions`),
    outgoing: db.collection(`${prefix}outgoing`),
    retained: db.collection(`${prefix}retained`)
  }
}

/** The connected client of an id, whatever the id. */
export function plainClient({ clients }: PlainAedes, clientId: string): PlainClient | undefined {
  return Object.hasOwn(clients, clientId) ? clients[clientId] : undefined
}
