import { setTimeout as wait } from 'node:timers/promises'
import type { ClusterBroker } from './cluster.ts'
import { ClusterPublisher } from './cluster-publisher.ts'
import { ClusterSubscriber } from './cluster-subscriber.ts'
import { History } from './history.ts'
import { checkHistory, missing } from './history-check.ts'
import { Signal } from './signal.ts'
import type { Random } from './tools-random.ts'

/** How often clients look at what has come; there is nothing to wait for that is more exact. */
const STEP_MS = 4
/** How often it is counted what is still missing. */
const LOOK_MS = 200
/** Nobody publishes while so many deliveries are missing: the database of a test is slow when it has much to keep. */
const MOST_MISSING = 200
/** Chance of a publisher to publish in a step, see {@link PublisherOptions.publishes}: some 30 messages a second for each. */
const PUBLISHES = 0.06

/** Publishers and persistent subscribers around several brokers, and the history of all of them. */
export class ClusterLoad {
  readonly history = new History()
  readonly publishers: readonly ClusterPublisher[]
  readonly subscribers: readonly ClusterSubscriber[]
  readonly #brokers: readonly ClusterBroker[]
  readonly #signal = new Signal()
  readonly #loops: Promise<void>[] = []
  #isOver = false
  #isDraining = false
  #accepted = 0

  /** @param publishes chance of a publisher to publish in a step: the database of a test has its limits. */
  constructor(random: Random, brokers: readonly ClusterBroker[], publishes = PUBLISHES) {
    const { history } = this
    this.#brokers = brokers
    this.publishers = [
      { name: 'p1', isClean: true, window: 10, isV5: true },
      { name: 'p2', isClean: true, window: 20, isV5: false },
      { name: 'p3', window: 10 }
    ].map(options => new ClusterPublisher(history, random, { ...options, publishes }))
    const parts = {
      publishers: this.publishers.map(({ name }) => name),
      subscribed: (filter: string) => {
        for (const publisher of this.publishers) publisher.react(filter)
      }
    }
    this.subscribers = [
      { name: 'all', filters: ['load/#'], qos: 2 as const, moves: 0.004, window: 50 },
      {
        name: 'slow',
        filters: ['load/p1/+', 'load/p3/#'],
        qos: 1 as const,
        moves: 0.002,
        holds: 0.7,
        isV5: false
      },
      { name: 'fickle', filters: ['load/+/w1'], qos: 2 as const, moves: 0.01, changes: 0.03, window: 10 },
      { name: 'eager', filters: [], qos: 1 as const, moves: 0.002, changes: 0.06 }
    ].map(options => new ClusterSubscriber(history, random, options, parts))
    history.watch(event => {
      if (event.kind === 'accept') this.#accepted++
      this.#signal.notify()
    })
  }

  /** Messages that were acked to their publishers. */
  get accepted(): number {
    return this.#accepted
  }

  /** Lets everybody come and go until {@link end}. */
  run(): void {
    for (const client of [...this.subscribers, ...this.publishers]) this.#loops.push(this.#loop(client))
    this.#loops.push(this.#pace())
  }

  /** A broker may be gone with what it knew of its sessions. */
  brokerLost(): void {
    for (const { exact } of this.subscribers) exact.outlivedPowerCut()
  }

  /** Waits for so many more acked messages; gives up quietly after a while, since brokers may be away. */
  async more(messages: number, patienceMs: number): Promise<void> {
    const target = this.#accepted + messages
    const isThere = () => this.#accepted >= target
    await this.#signal.until(isThere, { deadlineMs: patienceMs, describe: () => '' }).catch(() => {})
  }

  /**
   * Stops publishing and moving, and waits until all is acked and delivered; gives up when nothing has come for a while.
   * Brokers are well.
   */
  async drain(patienceMs: number): Promise<void> {
    this.#isDraining = true
    for (const publisher of this.publishers) publisher.isPublishing = false
    for (const subscriber of this.subscribers) {
      subscriber.isRestless = false
      subscriber.leave(false) // a last time: what a lost connection had in flight comes again
    }
    let [seen, until] = [0, performance.now() + patienceMs]
    while (!this.#isDrained && performance.now() < until) {
      const { length } = this.history.events
      if (length > seen) [seen, until] = [length, performance.now() + patienceMs]
      await wait(LOOK_MS)
    }
  }

  /** Closes all connections. */
  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#loops)
    for (const client of [...this.subscribers, ...this.publishers]) client.leave(false)
  }

  /** What was broken; to be asked after {@link drain}. */
  problems(): string[] {
    const open = this.publishers.filter(({ isDone }) => !isDone).map(({ name }) => `${name} waits for acks`)
    const violations = checkHistory(this.history)
    const clients = [...this.subscribers, ...this.publishers].flatMap(({ problems }) => problems)
    return [...open, ...clients, ...violations.map(({ rule, text }) => `${rule}: ${text}`)]
  }

  /** What happened to the messages and sessions of the first violations. */
  stories(): string {
    const seen = checkHistory(this.history).slice(0, 3)
    return seen
      .map(({ rule, session, message, text }) => `${rule}: ${text}\n${this.#story(session, message)}`)
      .join('\n\n')
  }

  /** All about the message, and where the session was. */
  #story(session: string, message: string): string {
    const [whereabouts, words] = [/ (connect|subscribed?|unsubscribed?) /, new RegExp(`=${message}( |$)`)]
    const lines = this.history.story(message, session).split('\n')
    return lines.filter(line => / ---- /.test(line) || whereabouts.test(line) || words.test(line)).join('\n')
  }

  get #isDrained(): boolean {
    const clients = [...this.publishers, ...this.subscribers]
    return clients.every(({ isDone }) => isDone) && missing(this.history).length === 0
  }

  async #pace(): Promise<void> {
    while (!this.#isOver && !this.#isDraining) {
      const isBehind = missing(this.history).length > MOST_MISSING
      for (const publisher of this.publishers) publisher.isPublishing = !isBehind
      await wait(LOOK_MS)
    }
  }

  async #loop(client: ClusterPublisher | ClusterSubscriber): Promise<void> {
    while (!this.#isOver) {
      await client.step(this.#brokers)
      await wait(STEP_MS)
    }
  }
}
