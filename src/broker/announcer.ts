import type { Aedes } from 'aedes'
import type { Events } from '../events.ts'
import type { Message } from '../wire/message.ts'
import type { AedesClient, HookSubscription } from './aedes-types.ts'
import { insidePacket, packetOf } from './packets.ts'

/** Tells listeners, and subscribers of `$SYS`, what Aedes itself does not see any more. */
export class Announcer {
  readonly #aedes: Aedes
  readonly #events: Events

  /** @param aedes whose listeners are guarded: what they throw comes not from here. @param events told as well. */
  constructor(aedes: Aedes, events: Events) {
    this.#aedes = aedes
    this.#events = events
  }

  /** Whether anybody wants to hear of acks. */
  get wantsAcks(): boolean {
    return this.#aedes.listenerCount('ack') > 0
  }

  /**
   * A client has acked a delivery.
   * @param messageId its packet id. @param isExact it was one of QoS 2: the PUBREL is told, as Aedes does.
   */
  acked(client: AedesClient, message: Message, messageId: number, isExact: boolean): void {
    const packet = isExact
      ? { cmd: 'pubrel', messageId }
      : insidePacket(this.#aedes, packetOf(message), '', messageId)
    this.#emit('ack', packet, client)
  }

  /** A client has sent PINGREQ. */
  pinged(client: AedesClient): void {
    const packet = { retain: false, qos: 0, dup: false, length: 0, topic: null, payload: null }
    this.#emit('ping', { cmd: 'pingreq', ...packet }, client)
  }

  /** A client was silent for too long. */
  keepAliveOver(client: AedesClient): void {
    this.#emit('keepaliveTimeout', client)
  }

  /** Filters were subscribed to. @param subscriptions with the granted QoS; 128: refused. */
  subscribed(client: AedesClient, subscriptions: readonly HookSubscription[]): void {
    this.#emit('subscribe', subscriptions, client)
    this.#publish('new/subscribes', client, subscriptions)
    if (!this.#events.has('subscribed')) return
    const granted = subscriptions.filter(({ qos }) => qos <= 2)
    const told = granted.map(({ topic, qos }) => ({ filter: topic, qos }))
    if (told.length > 0) this.#events.tell('subscribed', { clientId: client.id, subscriptions: told })
  }

  /** Filters were unsubscribed from, whether they were known or not. */
  unsubscribed(client: AedesClient, filters: readonly string[]): void {
    this.#emit('unsubscribe', filters, client)
    this.#publish('new/unsubscribes', client, filters)
    this.#events.tell('unsubscribed', { clientId: client.id, filters })
  }

  /** The session of a client that was away has ended: its time was over. */
  sessionExpired(clientId: string): void {
    this.#emit('sessionExpired', { id: clientId, clean: false, connected: false, closed: true })
  }

  /** Something went wrong with a client that stays connected; an error that ends its connection Aedes tells itself. */
  clientError(client: AedesClient, error: Error): void {
    this.#emit('clientError', client, error)
  }

  #emit(event: string, ...args: unknown[]): void {
    if (this.#aedes.listenerCount(event as 'ack') > 0) this.#aedes.emit(event as string, ...args)
  }

  #publish(topic: string, { id }: AedesClient, subs: unknown): void {
    const payload = JSON.stringify({ clientId: id, subs })
    const packet = { cmd: 'publish', topic: `$SYS/${this.#aedes.id}/${topic}`, payload } as const
    this.#aedes.publish({ ...packet, qos: 0, dup: false, retain: false }, () => {})
  }
}
