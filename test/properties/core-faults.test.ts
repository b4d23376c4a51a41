import test, { type ExecutionContext } from 'ava'
import type { IPublishPacket } from 'mqtt-packet'
import { QueueError } from '../../src/errors.ts'
import { startCore, type TestCore } from '../helpers/core.ts'
import { type Faults, ModelStore } from '../helpers/model-store.ts'
import type { RawClient } from '../helpers/raw-client.ts'
import { type Random, testRandom, testRuns } from '../helpers/tools-random.ts'

const FILTERS = ['a', 'b', '#', '+', 'a/#'] as const
const TOPICS = ['a', 'b', 'a/b', 'c'] as const
const WINDOW = 5
const FAULTS: readonly (keyof Faults)[] = ['commit', 'write', 'append']

/** One publish: what became of it. */
interface Sent {
  readonly topic: string
  state: 'accepted' | 'refused' | 'unknown'
}

/** A persistent session and its client: what it asked for, what it was promised, what it got. */
class Subscriber {
  readonly clientId: string
  /** Filters with SUBACK, and how many publishes had been sent before it. */
  readonly promisedFrom = new Map<string, number>()
  /** First deliveries, by index of the publish. */
  readonly seen = new Set<number>()
  readonly problems: string[] = []
  #last = -1
  #client: RawClient | null = null
  #taken = 0

  constructor(clientId: string) {
    this.clientId = clientId
  }

  get client(): RawClient | null {
    if (this.#client?.isClosed) this.leave()
    return this.#client
  }

  enter(client: RawClient): void {
    this.leave()
    this.#client = client
    this.#taken = 0
  }

  leave(): void {
    this.collect()
    this.#client = null
  }

  /** A new session: what the one before was owed is gone. */
  begin(): void {
    this.promisedFrom.clear()
    this.seen.clear()
    this.#last = -1
  }

  /** Looks at what has come since the last call. */
  collect(): void {
    const received = this.#client?.received ?? []
    for (; this.#taken < received.length; this.#taken++) {
      const packet = received[this.#taken]!
      if (packet.cmd === 'publish') this.#check(packet)
    }
  }

  #check({ payload, dup }: IPublishPacket): void {
    const index = Number(payload.toString())
    if (this.seen.has(index)) {
      if (!dup) this.problems.push(`${this.clientId}: ${index} came again without DUP`)
      return
    }
    if (index < this.#last) this.problems.push(`${this.clientId}: ${index} came after ${this.#last}`)
    this.#last = index
    this.seen.add(index)
  }
}

/** Actors that work at the same time on one server whose store fails and is slow at random. */
class World {
  readonly #t: ExecutionContext
  readonly #random: Random
  readonly sent: Sent[] = []
  readonly subscribers = ['x', 'y', 'z'].map(name => new Subscriber(name))
  #scene!: TestCore<ModelStore>
  #hadLostNotes = false
  #isOver = false

  constructor(t: ExecutionContext, random: Random) {
    this.#t = t
    this.#random = random
  }

  async start(store: ModelStore): Promise<void> {
    this.#isOver = false
    this.#hadLostNotes = false
    for (const [part, call] of [
      [store.lane, 'commit'],
      [store.lane, 'read'],
      [store.state, 'write'],
      [store.notes, 'append']
    ] as const) {
      const methods = part as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
      const original = methods[call]!
      methods[call] = async (...args) => {
        await this.#turns(this.#random.below(6))
        return await original(...args)
      }
    }
    const settings = { maxInflight: WINDOW, maxPendingBytes: 1_024, cacheBytes: 600 }
    this.#scene = await startCore(this.#t, { store, settings })
  }

  /** Everybody at once, for a while. */
  async live(steps: number): Promise<void> {
    const acting = this.subscribers.map(subscriber => this.#act(subscriber, steps))
    const disturbing = this.#disturb()
    await Promise.all([this.#publish(steps * 2), ...acting])
    this.#isOver = true
    await disturbing
  }

  async crash(): Promise<void> {
    for (const subscriber of this.subscribers) subscriber.leave()
    const isMachine = this.#hadLostNotes || this.#random.chance(0.3)
    const { store } = this.#scene
    const kept = this.#random.chance(0.5) ? Number.POSITIVE_INFINITY : this.#random.below(5)
    await this.start(isMachine ? store.crash('machine', kept) : store.crash('process'))
  }

  /** What was promised and accepted has come, what was refused has not. */
  async finish(): Promise<string[]> {
    const problems: string[] = []
    for (const subscriber of this.subscribers) {
      if (!subscriber.client) await this.#connect(subscriber, false)
      const { client } = subscriber
      if (!client) return [...problems, `${subscriber.clientId} cannot connect`]
      // a reservation that the store refused is asked for again after a second
      const deadline = performance.now() + 5_000
      for (let quiet = 0; quiet < 3; ) {
        const before = client.received.length
        await this.#turns(10)
        await client.ping()
        subscriber.collect()
        const isQuiet = client.received.length === before + 1
        const isDone = (await this.#backlog(subscriber)) === 0 || performance.now() > deadline
        quiet = isQuiet && isDone ? quiet + 1 : 0
      }
      problems.push(...subscriber.problems, ...this.#missing(subscriber))
    }
    // the first may be a round that had begun before
    for (let i = 0; i < 2; i++) await this.#scene.core.settle()
    if (this.#scene.store.size > 0) problems.push(`${this.#scene.store.size} acked messages were not freed`)
    return problems
  }

  async #backlog({ clientId }: Subscriber): Promise<number> {
    const session = this.#scene.core.directory.session(clientId)!
    return (await session.backlog()) + session.inflight()
  }

  #missing({ clientId, promisedFrom, seen }: Subscriber): string[] {
    const problems: string[] = []
    for (const [index, { topic, state }] of this.sent.entries()) {
      const isOwed = [...promisedFrom].some(([filter, from]) => from <= index && matches(filter, topic))
      if (state === 'accepted' && isOwed && !seen.has(index))
        problems.push(`${clientId} did not get ${index}`)
      if (state === 'refused' && seen.has(index)) problems.push(`${clientId} got ${index}, which was refused`)
    }
    return problems
  }

  async #publish(count: number): Promise<void> {
    let publisher: RawClient | null = null
    const answers: Promise<void>[] = []
    for (let i = 0; i < count; i++) {
      publisher ??= await this.#login('publisher', true)
      if (!publisher) continue
      const message: Sent = { topic: this.#pick(TOPICS), state: 'unknown' }
      const payload = `${this.sent.push(message) - 1}`
      const answer = publisher.publish({ topic: message.topic, payload, qos: 1 })
      answers.push(
        answer.then(
          ack => {
            const code = ack?.cmd === 'puback' ? (ack.reasonCode ?? 0) : 0
            message.state = code === 0 ? 'accepted' : 'refused'
          },
          () => {}
        )
      )
      if (this.#random.chance(0.3)) await this.#turns(this.#random.below(8))
    }
    await Promise.all(answers)
  }

  async #act(subscriber: Subscriber, steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      await this.#turns(this.#random.below(10))
      const what = this.#random.below(10)
      const filter = this.#pick(FILTERS)
      if (!subscriber.client || what === 0) await this.#connect(subscriber, false)
      else if (what === 1) await this.#connect(subscriber, true)
      else if (what === 2) {
        await subscriber.client.disconnect()
        subscriber.leave()
      } else if (what < 7) await this.#subscribe(subscriber, filter)
      else if (what < 9) await this.#unsubscribe(subscriber, filter)
      else subscriber.collect()
    }
  }

  async #connect(subscriber: Subscriber, isClean: boolean): Promise<void> {
    const client = await this.#login(subscriber.clientId, isClean)
    subscriber.leave()
    if (!client) return
    if (isClean) subscriber.begin()
    subscriber.enter(client)
  }

  async #login(clientId: string, clean: boolean): Promise<RawClient | null> {
    const client = this.#scene.open()
    const connack = await client
      .login({ clientId, clean, protocolVersion: 5, expirySeconds: 1_000 })
      .catch(() => null)
    return connack?.reasonCode === 0 ? client : null
  }

  async #subscribe(subscriber: Subscriber, filter: string): Promise<void> {
    const { client } = subscriber
    const { granted } = await client!.subscribe(filter).catch(() => ({ granted: [] }))
    // one that was promised before stays so, whatever became of this one
    if (granted[0] === 1 && !subscriber.promisedFrom.has(filter)) {
      subscriber.promisedFrom.set(filter, this.sent.length)
    }
  }

  async #unsubscribe(subscriber: Subscriber, filter: string): Promise<void> {
    subscriber.promisedFrom.delete(filter)
    await subscriber.client!.unsubscribe(filter).catch(() => {})
  }

  async #disturb(): Promise<void> {
    const { store, core } = this.#scene
    while (!this.#isOver) {
      await this.#turns(5 + this.#random.below(40))
      const fault = this.#pick(FAULTS)
      const what = this.#random.below(4)
      if (what === 0) void core.settle()
      else if (what === 1) {
        store.faults[fault] = new QueueError('QUEUE_STORE_FULL', { detail: { problem: `test: ${fault}` } })
        this.#hadLostNotes ||= fault === 'append'
      } else for (const each of FAULTS) delete store.faults[each]
    }
    for (const each of FAULTS) delete store.faults[each]
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.below(list.length)]!
  }

  async #turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve))
  }
}

function matches(filter: string, topic: string): boolean {
  if (filter === '#') return true
  if (filter === '+') return !topic.includes('/')
  if (filter.endsWith('/#')) return topic === filter.slice(0, -2) || topic.startsWith(filter.slice(0, -1))
  return filter === topic
}

test('what was acked comes, once and in order, to whom it was promised, however the store fails and who comes and goes', async t => {
  const random = testRandom(t)
  for (let run = 0; run < testRuns(15); run++) {
    const world = new World(t, random)
    await world.start(new ModelStore())
    for (let life = 0; life < 3; life++) {
      await world.live(20)
      if (life < 2) await world.crash()
    }
    t.deepEqual(await world.finish(), [], `run ${run}`)
  }
})
