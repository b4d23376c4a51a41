import type { QoS } from 'mqtt-packet'
import type { ClusterBroker } from './cluster.ts'
import { type ClientOptions, ClusterClient } from './cluster-client.ts'
import { WORDS } from './cluster-publisher.ts'
import type { History } from './history.ts'
import type { Random } from './tools-random.ts'

/** How a subscriber works. */
export interface SubscriberOptions extends ClientOptions {
  /** Subscribed to from the first connection on. */
  readonly filters: readonly string[]
  readonly qos: QoS
  /** How often it goes to another broker, per step. */
  readonly moves: number
  /** How often it makes or ends a subscription, per step; left out: never. */
  readonly changes?: number
  /** How often it acks nothing, per step; left out: never. */
  readonly holds?: number
}

/** How long SUBACK may take before the subscriber tries again elsewhere. */
const PATIENCE_MS = 4_000

/** A persistent session that moves between brokers, acks in any order, and changes its subscriptions. */
export class ClusterSubscriber extends ClusterClient {
  /** Moves, holds and changes while it is true; afterwards it takes what is left. */
  isRestless = true
  readonly #options: SubscriberOptions
  readonly #random: Random
  readonly #publishers: readonly string[]
  /** Subscribed to, as far as it knows; those that were asked for in vain are asked for again. */
  readonly #filters = new Map<string, 'asked' | 'made'>()
  /** Called right after a SUBACK. */
  readonly #subscribed: (filter: string) => void

  constructor(history: History, random: Random, options: SubscriberOptions, parts: SubscriberParts) {
    super(history, options)
    this.#options = options
    this.#random = random
    this.#publishers = parts.publishers
    this.#subscribed = parts.subscribed
    for (const filter of options.filters) this.#filters.set(filter, 'asked')
  }

  /** Does what is to be done at this moment, at whichever of these brokers. */
  async step(brokers: readonly ClusterBroker[]): Promise<void> {
    this.exact.collect()
    if (!this.isConnected || (this.isRestless && this.#random.chance(this.#options.moves))) {
      await this.move(brokers)
    }
    if (!this.isConnected) return
    if (!this.isRestless || !this.#random.chance(this.#options.holds ?? 0)) {
      const window = this.#options.window ?? 20
      this.exact.answer(this.#random.below(window), this.isRestless ? this.#random.below(window) : window)
    }
    for (const [filter, state] of this.#filters) if (state === 'asked') await this.#subscribe(filter)
    if (this.isRestless && this.#random.chance(this.#options.changes ?? 0)) await this.#change()
  }

  /** Goes to another broker, or comes back to the same one: politely, without a word, or with its old connection open. */
  async move(brokers: readonly ClusterBroker[]): Promise<void> {
    if (this.#random.chance(0.6)) this.leave(this.#random.chance(0.4))
    await this.connect(brokers[this.#random.below(brokers.length)]!)
  }

  /** Whether all that it asked for is there, and all that came is acked. */
  get isDone(): boolean {
    return this.isConnected && this.exact.isDone && ![...this.#filters.values()].includes('asked')
  }

  async #change(): Promise<void> {
    const own = [...this.#filters.keys()].filter(filter => !this.#options.filters.includes(filter))
    if (own.length > 0 && this.#random.chance(0.4)) {
      await this.#unsubscribe(own[this.#random.below(own.length)]!)
      return
    }
    const [names, word] = [['+', ...this.#publishers], WORDS[this.#random.below(WORDS.length)]!]
    await this.#subscribe(`load/${names[this.#random.below(names.length)]}/${word}`)
  }

  async #subscribe(filter: string): Promise<void> {
    const raw = this.exact.raw
    if (!raw || raw.isClosed) return
    const messageId = raw.nextId()
    this.#filters.set(filter, 'asked')
    this.history.record({ kind: 'subscribe', session: this.name, filter })
    raw.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos: this.#options.qos }] })
    const suback = await raw
      .next('suback', ack => ack.messageId === messageId, PATIENCE_MS)
      .catch(() => undefined)
    // refused while the database is away: asked for again
    const isMade = suback && Number(suback.granted[0]) < 0x80
    if (!isMade) return
    this.#filters.set(filter, 'made')
    this.history.record({ kind: 'subscribed', session: this.name, filter })
    this.#subscribed(filter)
  }

  async #unsubscribe(filter: string): Promise<void> {
    const raw = this.exact.raw!
    const messageId = raw.nextId()
    this.#filters.delete(filter)
    this.history.record({ kind: 'unsubscribe', session: this.name, filter })
    raw.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [filter] })
    const isAcked = await raw
      .next('unsuback', ack => ack.messageId === messageId, PATIENCE_MS)
      .then(({ granted }) => Number(granted?.[0] ?? 0) < 0x80)
      .catch(() => false)
    if (isAcked) this.history.record({ kind: 'unsubscribed', session: this.name, filter })
  }
}

/** What a subscriber knows of the others. */
export interface SubscriberParts {
  /** Their names are levels of topics. */
  readonly publishers: readonly string[]
  subscribed(filter: string): void
}
