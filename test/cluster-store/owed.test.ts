import test from 'ava'
import { LaneMarks, laneOf, laneStart } from '../../src/lane.ts'
import type { Owed } from '../../src/store/store.ts'
import { range } from '../helpers/batches.ts'
import { randomOf } from '../helpers/tools-random.ts'
import { clusterTests, type TestBroker, until } from './scene.ts'

const cluster = clusterTests(test)
const SEED = Number(process.env.OWED_SEED ?? Math.floor(Math.random() * 2 ** 31))
const STEPS = Number(process.env.OWED_STEPS ?? 150)

/** A session, as the test knows it: everything of its stream above its marks is owed to it. */
interface ModelSession {
  readonly clientId: string
  readonly sessionId: number
  readonly streamId: number
  readonly marks: LaneMarks
}

/** A broker with the sessions in its memory, as a core would say what they are owed. */
class ModelBroker {
  readonly broker: TestBroker
  readonly memory = new Set<ModelSession>()
  /** Claimed, and not yet in memory. */
  readonly entering = new Set<ModelSession>()

  constructor(broker: TestBroker) {
    this.broker = broker
  }

  enter(): void {
    for (const session of this.entering) this.memory.add(session)
    this.entering.clear()
  }

  heads(): LaneMarks {
    return new LaneMarks([...this.broker.listener.heads.values(), this.broker.store.lane.head])
  }

  owed(): Owed {
    const heads = this.heads()
    const streams = new Map<number, Map<number, number>>()
    for (const { streamId, marks } of this.memory) {
      const lows = streams.get(streamId) ?? new Map<number, number>()
      streams.set(streamId, lows)
      for (const head of heads.all()) {
        const lane = laneOf(head)
        const low = Math.min(marks.at(lane), head)
        if (low < head) lows.set(lane, Math.min(low, lows.get(lane) ?? head))
      }
    }
    const above = (streamId: number, lane = this.broker.lane) =>
      streams.get(streamId)?.get(lane) ?? heads.at(lane)
    return { above, heads: [...heads.all()], streams, pending: [] }
  }
}

cluster(
  `nothing that a session is owed is freed while it moves (seed ${SEED}, ${STEPS} steps)`,
  async (t, scene) => {
    const random = randomOf(SEED).fraction
    const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)]!
    const brokers: ModelBroker[] = []
    for (const name of ['a', 'b', 'c']) brokers.push(new ModelBroker(await scene.broker(name)))
    const rows = await brokers[0]!.broker.cluster.streamsOf(['x', 'y', 'z'])
    const sessions: ModelSession[] = []
    const messages: { sequence: number; streamIds: number[] }[] = []
    const home = new Map<ModelSession, ModelBroker>()
    for (const one of brokers) {
      one.broker.listener.onRelease = async clientId => {
        one.enter()
        for (const session of one.memory) if (session.clientId === clientId) one.memory.delete(session)
      }
    }
    const make = async (one: ModelBroker) => {
      const n = sessions.length + 1
      const { streamId, filter } = pick(rows)
      await one.broker.cluster.claim(`c${n}`)
      const marks = new LaneMarks([...(await one.broker.cluster.heads()), one.broker.store.lane.head])
      const session = { clientId: `c${n}`, sessionId: n, streamId, marks }
      await one.broker.writeSession(`c${n}`, n)
      const row = { sessionId: n, filter, streamId, qos: 1, fromSequence: 0, createdAt: 1 }
      await one.broker.write({ table: 'subscription', key: { sessionId: n, filter }, row })
      one.memory.add(session)
      sessions.push(session)
      home.set(session, one)
    }
    const commit = async (one: ModelBroker) => {
      const streamIds = rows.map(({ streamId }) => streamId).filter(() => random() < 0.5)
      const count = 1 + Math.floor(random() * 5)
      const last = await one.broker.commit(count, streamIds)
      for (const sequence of range(last - count + 1, last)) messages.push({ sequence, streamIds })
    }
    const move = async () => {
      const session = pick(sessions)
      const to = pick(brokers)
      if (home.get(session) === to) return
      await to.broker.cluster.claim(session.clientId)
      home.set(session, to)
      to.entering.add(session)
      if (random() < 0.5) to.enter()
    }
    const ack = () => {
      const session = pick(sessions)
      const one = home.get(session)!
      if (!one.memory.has(session)) return
      for (const head of one.heads().all()) if (random() < 0.7) session.marks.raise(head)
    }
    const check = async () => {
      for (const { clientId, streamId, marks } of sessions) {
        for (const lane of [0, 1, 2]) {
          const owed = messages.filter(
            ({ sequence, streamIds }) =>
              laneOf(sequence) === lane && streamIds.includes(streamId) && sequence > marks.at(lane)
          )
          const found = new Set<number>()
          const range = { streamIds: [streamId], after: marks.at(lane), through: laneStart(lane + 1) - 1 }
          for await (const part of brokers[0]!.broker.cluster.entries([range])) {
            for (const { sequence } of part) found.add(sequence)
          }
          const lost = owed.filter(({ sequence }) => !found.has(sequence))
          t.deepEqual(lost, [], `${clientId} lost messages of lane ${lane}`)
        }
      }
    }
    const free = async (one: ModelBroker) => {
      const owed = one.owed()
      one.enter() // what was claimed before is in the next one
      await one.broker.store.lane.release(owed)
    }
    await make(brokers[0]!)
    for (let step = 0; step < STEPS; step++) {
      const dice = random()
      if (dice < 0.1 && sessions.length < 8) await make(pick(brokers))
      else if (dice < 0.35) await commit(pick(brokers))
      else if (dice < 0.5) await move()
      else if (dice < 0.7) ack()
      else {
        const one = pick(brokers)
        await Promise.all([free(one), random() < 0.5 ? move() : commit(pick(brokers))])
        await check()
      }
    }
    // in the end all is acked, and space follows
    for (const one of brokers) await commit(one)
    const lasts = brokers.map(({ broker }) => broker.store.lane.head)
    await until(
      () => brokers.every(one => lasts.every(last => one.heads().covers(last))),
      'all have followed'
    )
    for (const one of brokers) one.enter()
    for (const { marks } of sessions) for (const last of lasts) marks.raise(last)
    for (let n = 0; n < 4; n++) for (const one of brokers) await free(one)
    let left = 0
    for (const one of brokers) {
      const range = { streamIds: rows.map(({ streamId }) => streamId), after: laneStart(one.broker.lane) }
      const through = laneStart(one.broker.lane + 1) - 1
      for await (const part of one.broker.cluster.entries([{ ...range, through }])) left += part.length
    }
    t.true(left <= brokers.length, `${left} messages are left`)
  }
)
