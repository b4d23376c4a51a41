import { Readable } from 'node:stream'
import type { Message } from '../wire/message.ts'
import type { HookSubscription, InsidePacket, Persistence } from './aedes-types.ts'
import { packetOf } from './packets.ts'

/** The retained messages of the server. */
export interface RetainedView {
  /** Those whose topic matches a legal filter; a null says nothing. @see MQTT 5.0 section 3.3.1.3 */
  match(filter: string): Iterable<Message | null>
}

/** The sessions of the server, as far as Aedes and who knows it may ask for them. */
export interface SessionsView {
  /** Subscriptions of a client id; empty when it has no session. */
  subscriptionsOf(clientId: string): Iterable<HookSubscription>
  /** Client ids of sessions that outlive their connections, with the number of their subscriptions. */
  persistent(): Iterable<{ readonly clientId: string; readonly subscriptions: number }>
  /** Client ids that have a subscription with exactly this filter. */
  subscribersOf(filter: string): Iterable<string>
}

/** What is kept, and where what the process publishes goes. */
export interface Kept {
  readonly retained: RetainedView
  readonly sessions: SessionsView
  /** A message of QoS 1 or 2, or one that is to be retained. */
  store(packet: InsidePacket): Promise<void>
}

/**
 * What Aedes, and the application through `aedes.persistence`, is told of what is kept: it is in our store. Nothing of
 * a client is left to Aedes, so what it would keep itself is always empty. Only wills that other brokers have left in
 * the application's own persistence stay there; Aedes sends them.
 */
export class Keeping implements Persistence {
  readonly #kept: Kept
  readonly #before: Persistence

  /** @param before the persistence that Aedes was made with. */
  constructor(kept: Kept, before: Persistence) {
    this.#kept = kept
    this.#before = before
  }

  async setup(): Promise<void> {}

  // ---- messages that the process publishes

  /** Asked first for each publish with the retain flag; those of QoS 1 and 2 come again, to be enqueued. */
  async storeRetained(packet: InsidePacket): Promise<void> {
    if (!(packet.qos > 0)) await this.#kept.store(packet)
  }

  async outgoingEnqueueCombi(_subscriptions: unknown, packet: InsidePacket): Promise<void> {
    await this.#kept.store(packet)
  }

  /** Not asked by Aedes: `client.publish` is ours. */
  async outgoingEnqueue({ clientId }: { clientId: string }): Promise<void> {
    throw new Error(`nothing is enqueued for ${clientId} here: use client.publish`)
  }

  // ---- retained messages

  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter])
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.#matching(filters))
  }

  *#matching(filters: readonly string[]): Iterable<object> {
    for (const filter of filters) {
      for (const message of this.#kept.retained.match(filter)) {
        if (message) yield { ...packetOf(message), retain: true }
      }
    }
  }

  // ---- subscriptions

  async subscriptionsByClient({ id }: { id: string }): Promise<HookSubscription[]> {
    return [...this.#kept.sessions.subscriptionsOf(id)]
  }

  /** Asked by Aedes for each publish of the process, and not used: who gets a message is not its business. */
  async subscriptionsByTopic(): Promise<unknown[]> {
    return []
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    let [subsCount, clientsCount] = [0, 0]
    for (const { subscriptions } of this.#kept.sessions.persistent()) {
      subsCount += subscriptions
      clientsCount++
    }
    return { subsCount, clientsCount }
  }

  getClientList(filter: string): Readable {
    return Readable.from(this.#kept.sessions.subscribersOf(filter))
  }

  async addSubscriptions(): Promise<void> {}

  async removeSubscriptions(): Promise<void> {}

  /** Asked by Aedes at each CONNECT, which it takes for the beginning of a clean session. */
  async cleanSubscriptions(): Promise<void> {}

  // ---- what Aedes would keep of deliveries, and does not see

  async outgoingUpdate(): Promise<void> {}

  async outgoingClearMessageId(): Promise<undefined> {}

  outgoingStream(): Readable {
    return Readable.from([])
  }

  async incomingStorePacket(): Promise<void> {}

  async incomingGetPacket(): Promise<never> {
    throw new Error('no such packet')
  }

  async incomingDelPacket(): Promise<void> {}

  // ---- wills of other brokers

  putWill(client: { id: string }, packet: unknown): Promise<unknown> {
    return this.#before.putWill(client, packet)
  }

  getWill(client: { id: string }): Promise<unknown> {
    return this.#before.getWill(client)
  }

  delWill(client: { id: string }): Promise<unknown> {
    return this.#before.delWill(client)
  }

  streamWill(brokers?: object): Readable {
    return this.#before.streamWill(brokers)
  }

  destroy(...rest: unknown[]): unknown {
    return this.#before.destroy(...rest)
  }
}
