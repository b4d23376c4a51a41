import test, { type ExecutionContext } from 'ava'
import { splitTopic } from '../../src/topic.ts'
import { kept } from '../helpers/conformance.ts'
import { startTimed, type TimedCore } from '../helpers/conformance-clock.ts'
import type { RawClient } from '../helpers/raw-client.ts'
import { type Random, testRandom, testRuns } from '../helpers/tools-random.ts'

const FILTERS = ['#', '+/#', 'DB/#', 'DB/CREATE', '+/CREATE', '+/+', 'LOG/#', 'LOG/x/+', 'plain', '+']
const TOPICS = ['DB/CREATE', 'DB/DELETE', 'LOG/CREATE', 'LOG/x/y', 'plain', 'DB', '$own/CREATE']
const QUEUES = ['DB', 'LOG', 'plain', '$own', 'nothing']
const SESSIONS = ['one', 'two', 'three']
const STEPS = 40

interface Published {
  readonly topic: string
  readonly payload: string
  readonly acceptedAt: number
  readonly expiresAt: number
}

/** What is true of a session: its filters with the number of messages that there were, and how many it has been through. */
interface Model {
  readonly filters: Map<string, number>
  done: number
}

/** Sessions that come and go one after the other, so that all of their figures are known at each moment. */
class Scene {
  core: TimedCore
  readonly #t: ExecutionContext
  readonly #random: Random
  readonly #published: Published[] = []
  readonly #models = new Map<string, Model>()
  #publisher: RawClient | null = null

  constructor(t: ExecutionContext, core: TimedCore, random: Random) {
    this.#t = t
    this.core = core
    this.#random = random
  }

  async step(): Promise<void> {
    const random = this.#random
    const name = pick(random, SESSIONS)
    if (random.chance(0.45)) await this.#publish()
    else if (random.chance(0.35)) await this.#visit(name, client => this.#subscribe(name, client))
    else if (random.chance(0.2)) await this.#visit(name, client => this.#unsubscribe(name, client))
    else if (random.chance(0.3)) await this.core.clock.pass(random.below(15))
    else if (random.chance(0.4)) await this.#visit(name, async () => {})
    else await this.#restart()
  }

  /** Compares what is told with what is true. */
  async check(): Promise<void> {
    const { directory, messages } = this.core.core
    for (const [name, model] of this.#models) {
      const owed = this.#owed(model)
      const session = directory.session(name)!
      this.#t.is(await session.backlog(), owed.length, `backlog of ${name}`)
      this.#t.is(await session.oldestAt(), owed[0]?.acceptedAt ?? null, `oldest of ${name}`)
      for (const queue of QUEUES) {
        const wanted = owed.filter(({ topic }) => splitTopic(topic).queue === queue).length
        this.#t.is(await session.backlog(queue), wanted, `backlog of ${name} in ${queue}`)
      }
      const { items } = await messages.owed(name, null, 1_000)
      const payloads = items.map(({ message }) => message!.payload.toString())
      this.#t.deepEqual(
        payloads,
        owed.map(({ payload }) => payload),
        `what is owed to ${name}`
      )
    }
  }

  #owed({ filters, done }: Model): Published[] {
    const now = this.core.clock.now()
    return this.#published.filter(({ topic, expiresAt }, place) => {
      const isClaimed = [...filters].some(([filter, from]) => place >= from && matches(filter, topic))
      return place >= done && isClaimed && expiresAt > now
    })
  }

  async #publish(): Promise<void> {
    this.#publisher ??= await this.core.connect({ clientId: 'publisher', protocolVersion: 5 })
    for (let i = this.#random.below(6); i >= 0; i--) {
      const topic = pick(this.#random, TOPICS)
      const seconds = this.#random.chance(0.4) ? this.#random.below(30) + 1 : null
      const acceptedAt = this.core.clock.now()
      const expiresAt = seconds === null ? Number.POSITIVE_INFINITY : acceptedAt + seconds * 1_000
      const payload = String(this.#published.length)
      const properties = seconds === null ? {} : { properties: { messageExpiryInterval: seconds } }
      // clients may not publish under $
      if (topic.startsWith('$')) continue
      await this.#publisher.publish({ topic, payload, qos: 1, ...properties })
      this.#published.push({ topic, payload, acceptedAt, expiresAt })
    }
  }

  /** A session comes, takes all that there is for it, does something, and goes. */
  async #visit(name: string, act: (client: RawClient) => Promise<void>): Promise<void> {
    const model = this.#models.get(name) ?? { filters: new Map(), done: 0 }
    const owed = this.#owed(model)
    const client = await this.core.connect(kept(5, name))
    this.#t.deepEqual(
      await client.payloads(owed.length),
      owed.map(({ payload }) => payload)
    )
    this.#models.set(name, model)
    model.done = this.#published.length
    await act(client)
    await client.disconnect()
    await client.closed()
  }

  async #subscribe(name: string, client: RawClient): Promise<void> {
    const filter = pick(this.#random, FILTERS)
    await client.subscribe(filter, 1)
    const { filters } = this.#models.get(name)!
    if (!filters.has(filter)) filters.set(filter, this.#published.length)
  }

  async #unsubscribe(name: string, client: RawClient): Promise<void> {
    const { filters } = this.#models.get(name)!
    if (filters.size === 0) return
    const filter = pick(this.#random, [...filters.keys()])
    await client.unsubscribe(filter)
    filters.delete(filter)
  }

  async #restart(): Promise<void> {
    // what was acked in the last moment may be forgotten by a kill
    await this.core.core.settle()
    this.#publisher = null
    this.core = await this.core.restart()
  }
}

/** MQTT section 4.7, as a regular expression. */
function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  if (filter === '#' || filter === '+/#') return true
  const levels = filter.split('/').map(level => (level === '+' ? '[^/]*' : level))
  const pattern = levels.at(-1) === '#' ? `${levels.slice(0, -1).join('/')}(/.*)?` : levels.join('/')
  return new RegExp(`^${pattern}$`).test(topic)
}

function pick<T>(random: Random, all: readonly T[]): T {
  return all[random.below(all.length)]!
}

test('what is told of sessions is true at each moment, over time, comings, goings and restarts', async t => {
  const random = testRandom(t)
  for (let run = testRuns(12); run > 0; run--) {
    const scene = new Scene(t, await startTimed(t), random)
    for (let i = 0; i < STEPS; i++) {
      await scene.step()
      if (random.chance(0.5)) await scene.check()
    }
    await scene.check()
  }
})
