import assert from 'node:assert/strict'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import type { IPublishPacket } from 'mqtt-packet'
import { startCore, type TestCore } from '../helpers/core.ts'
import { ModelStore } from '../helpers/model-store.ts'
import type { RawClient } from '../helpers/raw-client.ts'

const FILTERS = ['a', 'b', '#', '+', 'a/#'] as const
const TOPICS = ['a', 'b', 'a/b', 'c'] as const
const SESSIONS = 3
const WINDOW = 4

type Step =
  | { readonly do: 'publish'; readonly topic: string; readonly count: number }
  | { readonly do: 'connect' | 'disconnect' | 'cut' | 'takeover' | 'cleanStart'; readonly session: number }
  | { readonly do: 'subscribe' | 'unsubscribe'; readonly session: number; readonly filter: string }
  | { readonly do: 'ack'; readonly session: number; readonly pick: number; readonly count: number }
  | { readonly do: 'settle' }
  | { readonly do: 'kill' }
  | { readonly do: 'powerCut'; readonly keptNotes: number }

const session = fc.nat(SESSIONS - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      topic: fc.constantFrom(...TOPICS),
      count: fc.integer({ min: 1, max: 8 })
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('connect' as const, 'disconnect' as const, 'cut' as const, 'takeover' as const),
      session
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cleanStart' as const), session }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('subscribe' as const, 'subscribe' as const, 'unsubscribe' as const),
      session,
      filter: fc.constantFrom(...FILTERS)
    })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('ack' as const),
      session,
      pick: fc.nat(WINDOW),
      count: fc.integer({ min: 1, max: 6 })
    })
  },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'settle' as const }, { do: 'kill' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('powerCut' as const), keptNotes: fc.nat(12) }) }
)

/** What a client knows, and what the server owes it: one row for each message, nothing clever. */
class ModelSession {
  client: RawClient | null = null
  readonly filters = new Set<string>()
  /** Messages it is owed, and the filters that claim them; a message leaves when it is acked. */
  readonly owed = new Map<string, Set<string>>()
  /** Messages that may come and need not: acked, but a crash may have taken the ack; or given up by unsubscribing. */
  readonly optional = new Set<string>()
  /** Acked since the last checkpoint. */
  readonly recentAcks = new Set<string>()
  /** Received and not acked, by packet id: what the client holds, over connections and crashes. */
  readonly held = new Map<number, string>()
  readonly seen = new Set<string>()
  /** The last first delivery. */
  lastFirst = -1
  /** What came on this connection and is not acked. */
  unacked: IPublishPacket[] = []
  /** Cut off without a word: the server goes on sending to it until it comes back. */
  isCut = false
  /** Sent to a connection that was cut: they come with DUP although nobody has seen them. */
  readonly sentToNobody = new Set<string>()
  /** A power cut has been: first deliveries may carry DUP. */
  hadPowerCut = false
}

class World {
  readonly sessions = Array.from({ length: SESSIONS }, () => new ModelSession())
  readonly #t: ExecutionContext
  #core!: TestCore<ModelStore>
  #publisher!: RawClient
  #published = 0

  constructor(t: ExecutionContext) {
    this.#t = t
  }

  async start(store: ModelStore): Promise<void> {
    this.#core = await startCore(this.#t, { store, settings: { maxInflight: WINDOW } })
    this.#publisher = await this.#core.connect({ clientId: 'publisher' })
  }

  async run(step: Step): Promise<void> {
    if (step.do === 'publish') return await this.#publish(step.topic, step.count)
    if (step.do === 'settle') return await this.#settle()
    if (step.do === 'kill') return await this.#crash(this.#core.store.crash('process'), false)
    if (step.do === 'powerCut')
      return await this.#crash(this.#core.store.crash('machine', step.keptNotes), true)
    const model = this.sessions[step.session]!
    switch (step.do) {
      case 'connect':
        if (!model.client) await this.#connect(step.session, false)
        break
      case 'takeover':
        if (model.client) await this.#connect(step.session, false)
        break
      case 'cleanStart':
        await this.#cleanStart(step.session)
        break
      case 'disconnect':
        await this.#leave(model, client => client.disconnect())
        break
      case 'cut':
        await this.#leave(model, async client => {
          client.destroy()
          await client.closed()
          model.isCut = true
        })
        break
      case 'ack':
        await this.#ack(model, step.pick, step.count)
        break
      default:
        await this.#changeFilters(model, step.do, step.filter)
    }
  }

  /** Everything owed comes when every client acks all it gets. */
  async finish(): Promise<void> {
    for (const [index, model] of this.sessions.entries()) {
      if (!model.client) await this.#connect(index, false)
      for (;;) {
        await this.#receive(model)
        if (model.unacked.length === 0) break
        await this.#ack(model, 0, model.unacked.length)
      }
      assert.deepEqual([...model.owed.keys()], [], `session ${index} did not get all it was owed`)
    }
    await this.#core.core.settle()
    assert.equal(this.#core.store.size, 0, 'what nobody waits for was not freed')
  }

  async #publish(topic: string, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const payload = `${this.#published++}`
      for (const model of this.sessions) {
        const claims = [...model.filters].filter(filter => matches(filter, topic))
        if (claims.length > 0) model.owed.set(payload, new Set(claims))
        if (model.isCut) model.sentToNobody.add(payload)
      }
      await this.#publisher.publish({ topic, payload, qos: 1 })
    }
    for (const model of this.sessions) await this.#receive(model)
  }

  async #connect(index: number, isClean: boolean): Promise<void> {
    const model = this.sessions[index]!
    const old = model.client
    const client = await this.#core.connect({ clientId: `s${index}`, clean: isClean, isAcking: false })
    if (old) await old.closed()
    model.client = client
    model.isCut = false
    model.unacked = []
    await this.#receive(model)
  }

  async #cleanStart(index: number): Promise<void> {
    const model = this.sessions[index]!
    await this.#connect(index, true)
    await this.#leave(model, client => client.disconnect())
    this.sessions[index] = new ModelSession()
    await this.#connect(index, false)
  }

  async #leave(model: ModelSession, how: (client: RawClient) => Promise<void>): Promise<void> {
    if (!model.client) return
    await how(model.client)
    model.client = null
    model.unacked = []
  }

  async #ack(model: ModelSession, pick: number, count: number): Promise<void> {
    if (!model.client) return
    for (let i = 0; i < count && model.unacked.length > 0; i++) {
      const [message] = model.unacked.splice(pick % model.unacked.length, 1)
      const payload = message!.payload.toString()
      model.client.ack(message!)
      model.held.delete(message!.messageId!)
      model.owed.delete(payload)
      model.optional.delete(payload)
      model.recentAcks.add(payload)
    }
    await this.#receive(model)
  }

  async #changeFilters(
    model: ModelSession,
    what: 'subscribe' | 'unsubscribe',
    filter: string
  ): Promise<void> {
    if (!model.client) return
    if (what === 'subscribe') {
      await model.client.subscribe(filter)
      model.filters.add(filter)
      return
    }
    await model.client.unsubscribe(filter)
    await this.#receive(model)
    model.filters.delete(filter)
    for (const [payload, claims] of model.owed) {
      claims.delete(filter)
      if (claims.size > 0) continue
      model.owed.delete(payload)
      if (model.seen.has(payload)) model.optional.add(payload)
    }
  }

  /** Takes what has arrived and checks it against the model. */
  async #receive(model: ModelSession): Promise<void> {
    if (!model.client) return
    for (let quiet = 0; quiet < 2; ) {
      await model.client.ping()
      const arrived = model.client.unreadMessages()
      quiet = arrived.length === 0 ? quiet + 1 : 0
      for (let i = 0; i < arrived.length; i++) this.#check(model, await model.client.next('publish'))
    }
    assert.ok(model.unacked.length <= WINDOW, 'more is unacked than the window allows')
  }

  #check(model: ModelSession, message: IPublishPacket): void {
    const payload = message.payload.toString()
    const holds = model.held.get(message.messageId!)
    assert.ok(model.owed.has(payload) || model.optional.has(payload), `${payload} is not owed`)
    assert.ok(
      holds === undefined || holds === payload,
      `packet id ${message.messageId} is in use for ${holds}`
    )
    if (model.seen.has(payload)) assert.ok(message.dup, `${payload} came again without DUP`)
    else {
      if (!model.hadPowerCut && !model.sentToNobody.has(payload))
        assert.ok(!message.dup, `${payload} came first with DUP`)
      assert.ok(Number(payload) > model.lastFirst, `${payload} came after ${model.lastFirst}`)
      model.lastFirst = Number(payload)
    }
    model.seen.add(payload)
    model.held.set(message.messageId!, payload)
    model.unacked.push(message)
  }

  async #settle(): Promise<void> {
    await this.#core.core.settle()
    for (const model of this.sessions) model.recentAcks.clear()
  }

  async #crash(store: ModelStore, isPowerCut: boolean): Promise<void> {
    for (const model of this.sessions) {
      model.client?.destroy()
      model.client = null
      model.isCut = false
      model.unacked = []
      model.hadPowerCut ||= isPowerCut
      for (const payload of model.recentAcks) model.optional.add(payload)
    }
    await this.start(store)
  }
}

const runs = Number(process.env.RESTANTE_TEST_RUNS ?? 40)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

test('every message owed comes, in order, within the window, whatever is acked, cut, killed or taken over', async t => {
  t.log(`RESTANTE_TEST_SEED=${seed} RESTANTE_TEST_RUNS=${runs}`)
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }),
    async steps => {
      const world = new World(t)
      await world.start(new ModelStore())
      for (const one of steps) await world.run(one)
      await world.finish()
    }
  )
  const result = await fc.check(property, { numRuns: runs, seed })
  t.false(
    result.failed,
    `${fc.defaultReportMessage(result)}\n${String((result as { errorInstance?: unknown }).errorInstance)}`
  )
})

function matches(filter: string, topic: string): boolean {
  if (filter === '#') return true
  if (filter === '+') return !topic.includes('/')
  if (filter.endsWith('/#')) return topic === filter.slice(0, -2) || topic.startsWith(filter.slice(0, -1))
  return filter === topic
}
