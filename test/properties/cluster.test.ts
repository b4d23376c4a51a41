import test, { type ExecutionContext } from 'ava'
import { startCore, type TestCore } from '../helpers/core.ts'
import { type ModelBroker, ModelDatabase } from '../helpers/model-cluster.ts'
import type { RawClient } from '../helpers/raw-client.ts'
import { type Random, testRandom, testRuns } from '../helpers/tools-random.ts'

const RUNS = testRuns(12)
const STEPS = Number(process.env.RESTANTE_TEST_STEPS ?? 60)
const FILTERS = ['q/#', 'q/a', 'q/+', '+/b', 'r/#']
const TOPICS = ['q/a', 'q/b', 'r/a', 'r/b', 'q/a/x']

interface Sent {
  readonly payload: string
  readonly topic: string
  readonly publisher: string
}

/** One session as a client of it knows it. */
class Client {
  readonly clientId: string
  connection: RawClient | null = null
  core: TestCore<ModelBroker> | null = null
  /** Filters that are acknowledged. */
  readonly filters = new Set<string>()
  /** What was published while there was a filter for it, and which of these are still there. */
  readonly entitled = new Map<string, Set<string>>()
  /** Everything that could have come: what was published while a filter was on its way, or on its way out, too. */
  readonly possible = new Set<string>()
  readonly firsts: string[] = []
  readonly acked = new Set<string>()

  constructor(clientId: string) {
    this.clientId = clientId
  }

  /** Takes what has come; acks some of it. */
  take(random: Random, share: number): void {
    for (const message of this.connection?.unread.splice(0) ?? []) {
      if (message.cmd !== 'publish') continue
      const payload = message.payload.toString()
      if (!this.firsts.includes(payload)) this.firsts.push(payload)
      if (message.dup === false && this.acked.has(payload))
        throw new Error(`${payload} came again without DUP`)
      if (!random.chance(share)) continue
      this.connection!.ack(message)
      this.acked.add(payload)
    }
  }
}

/** Three brokers, four sessions, and what ought to happen. */
class World {
  readonly db = new ModelDatabase()
  readonly cores: TestCore<ModelBroker>[] = []
  readonly clients = ['s0', 's1', 's2', 's3'].map(id => new Client(id))
  readonly sent: Sent[] = []
  readonly t: ExecutionContext
  readonly random: Random
  #publishers = new Map<TestCore<ModelBroker>, Promise<RawClient>>()

  constructor(t: ExecutionContext, random: Random) {
    this.t = t
    this.random = random
  }

  async start(): Promise<void> {
    for (let i = 0; i < 3; i++) this.cores.push(await startCore(this.t, { store: this.db.broker() }))
  }

  async step(): Promise<void> {
    const { random } = this
    const client = pick(random, this.clients)
    const kind = random.below(24)
    if (kind < 4) await this.connect(client)
    else if (kind < 6) await this.disconnect(client)
    else if (kind < 9) await this.subscribe(client)
    else if (kind < 10) await this.unsubscribe(client)
    else if (kind < 15) await this.publish()
    else if (kind < 16) client.take(random, 0.5)
    else if (kind < 17) await pick(random, this.cores).core.settle()
    else if (kind < 18) this.db.isAutomatic = random.chance(0.5)
    else if (kind < 19) this.db.poll()
    else if (kind < 22) await this.rush()
    else if (kind < 23) await this.race(client)
    else if (random.chance(0.3)) await this.kill()
  }

  async connect(client: Client): Promise<void> {
    const core = pick(this.random, this.cores)
    client.take(this.random, 0.3)
    const { connection } = client
    client.core = core
    client.connection = await core.connect({ clientId: client.clientId, clean: false, isAcking: false })
    connection?.destroy()
  }

  /** Clients move while publishers publish. */
  async rush(): Promise<void> {
    const movers = this.clients.filter(() => this.random.chance(0.5))
    await Promise.all([
      ...[1, 2, 3].map(() => this.publish()),
      ...movers.map(mover => this.connect(mover)),
      ...this.cores.map(({ core }) => (this.random.chance(0.3) ? core.settle() : undefined))
    ])
  }

  /** A client connects to two brokers at once; one of the connections is the later one. */
  async race(client: Client): Promise<void> {
    client.take(this.random, 0.3)
    client.connection?.destroy()
    const options = { clientId: client.clientId, clean: false, isAcking: false }
    const [first, second] = [pick(this.random, this.cores), pick(this.random, this.cores)]
    const connections = await Promise.allSettled([first, second].map(({ connect }) => connect(options)))
    const open = connections.map(one =>
      one.status === 'fulfilled' && !one.value.isClosed ? one.value : null
    )
    const at = open[1] ? 1 : 0
    for (const one of open) {
      client.connection = one
      client.take(this.random, 0.3)
    }
    client.connection = open[at] ?? null
    client.core = [first, second][at]!
  }

  async disconnect(client: Client): Promise<void> {
    client.take(this.random, 0.3)
    const { connection } = client
    client.connection = null
    if (connection && !connection.isClosed) await connection.disconnect()
  }

  async subscribe(client: Client): Promise<void> {
    const filter = pick(this.random, FILTERS)
    if (!client.connection || client.connection.isClosed) return
    await client.connection.subscribe(filter)
    client.filters.add(filter)
  }

  async unsubscribe(client: Client): Promise<void> {
    const filter = pick(this.random, [...client.filters, FILTERS[0]!])
    if (!client.connection || client.connection.isClosed || !client.filters.has(filter)) return
    client.filters.delete(filter)
    // what of it waits still is not owed any more
    for (const [payload, filters] of [...client.entitled]) {
      filters.delete(filter)
      if (filters.size === 0) client.entitled.delete(payload)
    }
    await client.connection.unsubscribe(filter)
  }

  async publish(): Promise<void> {
    const core = pick(this.random, this.cores)
    const connecting = this.#publishers.get(core) ?? core.connect({ clientId: `p${core.store.laneIndex}` })
    this.#publishers.set(core, connecting)
    const publisherId = `p${core.store.laneIndex}`
    const burst = Array.from({ length: this.random.below(4) + 1 }, (_, i) => ({
      payload: `${this.sent.length + i}`,
      topic: pick(this.random, TOPICS),
      publisher: publisherId
    }))
    this.sent.push(...burst)
    for (const client of this.clients) {
      for (const { payload, topic } of burst) {
        const filters = [...client.filters].filter(filter => matches(filter, topic))
        if (filters.length === 0) continue
        client.entitled.set(payload, new Set(filters))
        client.possible.add(payload)
      }
    }
    const publisher = await connecting
    await Promise.all(burst.map(({ payload, topic }) => publisher.publish({ topic, payload, qos: 1 })))
  }

  /** A broker dies; another takes over, and a new one comes. */
  async kill(): Promise<void> {
    const at = this.random.below(this.cores.length)
    const dead = this.cores[at]!
    const others = this.cores.filter(core => core !== dead)
    this.#publishers.delete(dead)
    this.db.poll()
    for (const client of this.clients) {
      if (client.core !== dead) continue
      client.take(this.random, 0.3)
      client.connection?.destroy()
      client.connection = null
    }
    dead.store.isDead = true
    await this.db.takeOver(dead.store, pick(this.random, others).store)
    this.cores[at] = await startCore(this.t, { store: this.db.broker() })
  }

  /** Everybody comes once more and takes all there is. */
  async drain(): Promise<void> {
    this.db.isAutomatic = true
    this.db.poll()
    for (const client of this.clients) {
      await this.connect(client)
      for (let quiet = 0; quiet < (this.#hasAll(client) ? 3 : 50); ) {
        const before = client.firsts.length
        await client.connection!.ping()
        client.take(this.random, 1)
        await new Promise(resolve => setImmediate(resolve))
        quiet = client.firsts.length === before ? quiet + 1 : 0
      }
    }
  }

  #hasAll({ entitled, firsts }: Client): boolean {
    return [...entitled.keys()].every(payload => firsts.includes(payload))
  }

  check(): string[] {
    const problems: string[] = []
    for (const { clientId, entitled, possible, firsts } of this.clients) {
      for (const payload of entitled.keys())
        if (!firsts.includes(payload)) problems.push(`${clientId} never got ${payload}`)
      for (const payload of firsts)
        if (!possible.has(payload)) problems.push(`${clientId} got ${payload}, which is not its own`)
      const last = new Map<string, number>()
      for (const payload of firsts) {
        const { publisher } = this.sent[Number(payload)]!
        if (Number(payload) < (last.get(publisher) ?? -1))
          problems.push(`${clientId} got ${payload} too late`)
        last.set(publisher, Number(payload))
      }
    }
    return problems
  }
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[random.below(items.length)]!
}

function matches(filter: string, topic: string): boolean {
  const parts = filter.split('/')
  const levels = topic.split('/')
  for (const [i, part] of parts.entries()) {
    if (part === '#') return true
    if (i >= levels.length || (part !== '+' && part !== levels[i])) return false
  }
  return parts.length === levels.length
}

test('sessions that move between brokers get all they are entitled to, in the order of each publisher', async t => {
  t.timeout(120_000 + RUNS * 2_000)
  const random = testRandom(t)
  for (let run = 0; run < RUNS; run++) {
    const world = new World(t, random)
    await world.start()
    for (let step = 0; step < STEPS; step++) await world.step()
    await world.drain()
    t.deepEqual(world.check(), [], `run ${run}`)
  }
})
