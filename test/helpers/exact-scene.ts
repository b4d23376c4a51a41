import type { IPublishPacket } from 'mqtt-packet'
import { ExactClient, type ExactListener, type ExactPublish } from './exact-client.ts'
import { RawClient } from './raw-client.ts'
import type { Random } from './tools-random.ts'

const WINDOW = 20
const PER_TURN = 5
const TOPICS = 6
const DEADLINE_MS = 30_000

/** Publishers and a durable subscriber that keep to QoS 2 over whatever happens to the server, and what came of it. */
export class ExactScene {
  /** Taken over by the server, each once however often it was sent. */
  readonly accepted = new Set<string>()
  /** How often the subscriber's application got each message. */
  readonly arrivals = new Map<string, number>()
  readonly problems: string[] = []
  /** The last value published to each retained topic, and the last that was taken over. */
  readonly retained = new Map<string, string>()
  readonly #sure = new Map<string, string>()
  readonly #publishers: ExactClient<ExactPublish>[]
  readonly #subscriber: ExactClient<ExactPublish>
  readonly #random: Random
  #port = 0
  #next = 1

  constructor(random: Random) {
    this.#random = random
    this.#publishers = ['one', 'two', 'three'].map((name, i) => this.#client(name, i === 1))
    this.#subscriber = this.#client('subscriber', true)
  }

  /** Connects everybody to a server, as for the first time or again. */
  async connect(port: number, isFirst = false): Promise<void> {
    this.#port = port
    if (!isFirst) await this.#checkRetained()
    // never clean: what a clean session of 3.1.1 had on its way is forgotten with its connection
    for (const client of this.#all) await client.connect(RawClient.open(port), false)
    if (isFirst) await this.#subscriber.raw!.subscribe('exact/#', 2)
  }

  /** Publishes, answers and looks until the server has taken over so many more messages. */
  async run(more: number): Promise<void> {
    const target = this.accepted.size + more
    await this.#until(() => this.accepted.size >= target, true)
  }

  /** Brings everything that was begun to its end. */
  async settle(): Promise<void> {
    await this.#until(
      () => this.#all.every(({ isDone }) => isDone) && this.arrivals.size >= this.accepted.size,
      false
    )
  }

  /** All connections are gone with the server. */
  async closed(): Promise<void> {
    for (const client of this.#all) {
      await client.raw?.closed()
      client.left()
    }
  }

  /** What a new subscriber finds retained, by topic. */
  async found(): Promise<Map<string, string>> {
    const client = await RawClient.connect(this.#port, { clientId: 'looker' })
    await client.subscribe('exact/state/#', 0)
    await client.subscribe('looker/#', 1)
    // what is retained goes out before what comes next
    await client.publish({ topic: 'looker/now', payload: '', qos: 1 })
    const messages: IPublishPacket[] = []
    for (;;) {
      const [message] = await client.messages(1)
      if (message!.topic === 'looker/now') break
      messages.push(message!)
    }
    await client.disconnect()
    return new Map(messages.map(({ topic, payload }) => [topic, payload.toString()]))
  }

  /** Nothing older is retained than what was taken over last, and nothing that was never published. */
  async #checkRetained(): Promise<void> {
    const found = await this.found()
    for (const [topic, last] of this.retained) {
      const [value, sure] = [found.get(topic), this.#sure.get(topic)]
      if (numberOf(value) < numberOf(sure) || numberOf(value) > numberOf(last)) {
        this.problems.push(`${value} is retained for ${topic}, not ${sure} to ${last}`)
      }
    }
  }

  #arrived(packet: IPublishPacket, isNew: boolean): void {
    const payload = packet.payload.toString()
    if (isNew) this.arrivals.set(payload, (this.arrivals.get(payload) ?? 0) + 1)
    if (packet.qos !== 2) this.problems.push(`${payload} came with QoS ${packet.qos}`)
  }

  get #all(): ExactClient<ExactPublish>[] {
    return [...this.#publishers, this.#subscriber]
  }

  #client(name: string, isV5: boolean): ExactClient<ExactPublish> {
    const listener: ExactListener<ExactPublish> = {
      arrived: (packet, isNew) => this.#arrived(packet, isNew),
      accepted: ({ topic, payload, isRetained }) => {
        this.accepted.add(payload)
        if (isRetained) this.#sure.set(topic, payload)
      },
      refused: ({ payload }) => this.problems.push(`${payload} was refused`),
      repeated() {},
      done() {},
      broken: text => this.problems.push(text)
    }
    return new ExactClient({ name, isV5, window: isV5 ? WINDOW : 100 }, listener)
  }

  async #until(isOver: () => boolean, isPublishing: boolean): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS
    while (!isOver()) {
      if (performance.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${this.#story()}`)
      if (isPublishing) for (const publisher of this.#publishers) this.#publish(publisher)
      for (const client of this.#all) {
        client.collect()
        // in any order, and some of it later
        client.answer(this.#random.below(WINDOW), isPublishing ? this.#random.below(WINDOW) : WINDOW)
      }
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  #publish(publisher: ExactClient<ExactPublish>): void {
    for (let i = 0; i < PER_TURN && publisher.unresolved.length < WINDOW; i++) {
      const isRetained = this.#random.chance(0.1)
      const payload = `${publisher.name} ${this.#next++}`
      // one publisher for each retained topic: otherwise nobody could say which value is the last
      const place = this.#random.below(TOPICS)
      const topic = isRetained ? `exact/state/${publisher.name}/${place}` : `exact/${place}`
      if (isRetained) this.retained.set(topic, payload)
      publisher.publish({ topic, payload, qos: 2, isRetained })
    }
  }

  #story(): string {
    const states = this.#all.map(
      ({ name, isDone, answers }) => `${name} ${isDone ? 'done' : `${answers} answers`}`
    )
    return `${states.join(', ')}; ${this.arrivals.size} of ${this.accepted.size} arrived`
  }
}

/** The number in a payload; 0 for none. */
function numberOf(payload = ''): number {
  return Number(payload.split(' ')[1] ?? 0)
}
