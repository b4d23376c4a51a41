import type { ClusterBroker } from './cluster.ts'
import { type ClientOptions, ClusterClient } from './cluster-client.ts'
import type { ExactPublish } from './exact-client.ts'
import type { History } from './history.ts'
import type { Random } from './tools-random.ts'

/** How a publisher works. */
export interface PublisherOptions extends ClientOptions {
  /** Most messages that it sends in one step. */
  readonly burst?: number
  /** Chance that a step sends any; default 1: as much as its window and the brokers take. */
  readonly publishes?: number
}

/** Words of the topics `load/<publisher>/<word>`. */
export const WORDS: readonly string[] = Array.from({ length: 64 }, (_, i) => `w${i}`)

/** How long a publisher waits for any ack before it looks for another broker. */
const STUCK_MS = 1_500

/**
 * Publishes without an end, at QoS 1 and 2, and sends again what was not acked when a connection is over: with a clean
 * session as a new message (its payload says the attempt), otherwise as the specification wants, under its packet id.
 */
export class ClusterPublisher extends ClusterClient {
  /** Publishes while it is true. */
  isPublishing = true
  readonly #random: Random
  readonly #burst: number
  readonly #publishes: number
  readonly #window: number
  readonly #isClean: boolean
  #next = 1
  /** What was refused, or was not acked on a connection of a clean session. */
  #again: ExactPublish[] = []
  #progressAt = performance.now()

  constructor(history: History, random: Random, options: PublisherOptions) {
    super(history, options)
    this.#random = random
    this.#burst = options.burst ?? 4
    this.#publishes = options.publishes ?? 1
    this.#window = options.window ?? 20
    this.#isClean = options.isClean ?? false
  }

  /** Whether all that it sent is acked. */
  get isDone(): boolean {
    return this.exact.isDone && this.#again.length === 0
  }

  /** Does what is to be done at this moment, at whichever of these brokers. */
  async step(brokers: readonly ClusterBroker[]): Promise<void> {
    this.exact.collect()
    const isStuck = !this.exact.isDone && performance.now() - this.#progressAt > STUCK_MS
    if (!this.isConnected || isStuck || (this.isPublishing && this.#random.chance(0.001))) {
      await this.#move(brokers)
    }
    if (!this.isConnected) return
    while (this.#again.length > 0 && this.#hasRoom) this.#repeat(this.#again.shift()!)
    if (!this.isPublishing || !this.#random.chance(this.#publishes)) return
    for (let i = this.#random.below(this.#burst + 1); i > 0 && this.#hasRoom; i--) {
      this.#publishTo(WORDS[this.#random.below(WORDS.length)]!)
    }
  }

  /** Publishes at this very moment, as an answer to a subscription: on a topic that the filter takes. */
  react(filter: string): void {
    const [, name, word] = filter.split('/')
    if (!this.isPublishing || !this.isConnected || !this.#hasRoom) return
    if (word && WORDS.includes(word) && (name === '+' || name === this.name)) this.#publishTo(word)
  }

  protected override accepted(message: string): void {
    this.#progressAt = performance.now()
    super.accepted(message)
  }

  protected override refused(publish: ExactPublish): void {
    this.#progressAt = performance.now()
    super.refused(publish)
    this.#again.push(publish)
  }

  async #move(brokers: readonly ClusterBroker[]): Promise<void> {
    const left = this.#isClean ? this.exact.unresolved : []
    if (!(await this.connect(brokers[this.#random.below(brokers.length)]!))) return
    this.#progressAt = performance.now()
    this.#again = [...left, ...this.#again]
  }

  get #hasRoom(): boolean {
    return this.exact.unresolved.length < this.#window
  }

  #publishTo(word: string): void {
    const qos = this.#random.chance(this.#isClean ? 0.4 : 1) ? 2 : 1
    this.publish(`load/${this.name}/${word}`, `${this.name}-${this.#next++}`, qos)
  }

  /** `p1-17` becomes `p1-17.2`, and that `p1-17.3`. */
  #repeat({ topic, payload, qos }: ExactPublish): void {
    const [name, attempt = '1'] = payload.split('.')
    this.publish(topic, `${name}.${Number(attempt) + 1}`, qos)
  }
}
