import test from 'ava'
import { LANE_SPAN, laneStart } from '../../src/lane.ts'
import { range } from '../helpers/batches.ts'
import { clusterTests, type TestBroker, until } from './scene.ts'

const cluster = clusterTests(test)

/** Where a broker stands in the lane of another. */
function headOf(broker: TestBroker, lane: number): number {
  return broker.listener.heads.get(lane) ?? laneStart(lane)
}

cluster('two brokers that commit at once follow each other completely and in order', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  const commitAll = async (broker: TestBroker) => {
    let last = 0
    for (let n = 0; n < 30; n++) last = await broker.commit(1 + (n % 7) * 5)
    return last
  }
  const [lastA, lastB] = await Promise.all([commitAll(a), commitAll(b)])
  await until(() => headOf(a, b.lane) === lastB && headOf(b, a.lane) === lastA, 'both have followed')
  t.deepEqual(b.listener.sequences.get(a.lane), range(1, lastA))
  t.deepEqual(a.listener.sequences.get(b.lane), range(LANE_SPAN + 1, lastB))
})

cluster('a broker that opens later follows from where its open has read', async (t, scene) => {
  const a = await scene.broker('a')
  await a.commit(10)
  const b = await scene.broker('b', { isIdle: true })
  t.is(b.contents.lanes?.[0]?.headSequence, 10)
  const last = await a.commit(1_200)
  await b.cluster.start(b.listener, null)
  await until(() => headOf(b, a.lane) === last, 'b has followed')
  t.deepEqual(b.listener.sequences.get(a.lane), range(11, last))
  t.deepEqual(b.listener.lanes, [])
})

cluster('a lane that is new is told before anything of it', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  const last = await b.commit(3)
  await until(() => headOf(a, b.lane) === last, 'a has followed')
  t.deepEqual(a.listener.lanes, [{ lane: 1, name: 'b', headSequence: LANE_SPAN }])
})

cluster('a lane is followed over a seal', async (t, scene) => {
  const watcher = await scene.broker('watcher')
  const before = await scene.broker('a', { brokerTimeoutMs: 1_000 })
  const last = await before.commit(4)
  before.kill()
  const after = await scene.broker('a', { brokerTimeoutMs: 1_000 })
  const end = await after.commit(4)
  t.is(end, last + 5)
  await until(() => headOf(watcher, after.lane) === end, 'the watcher has followed')
  const seen = watcher.listener.sequences.get(after.lane)
  t.deepEqual(
    seen,
    range(laneStart(1) + 1, end).filter(sequence => sequence !== last + 1)
  )
})

cluster('heads are those of all other lanes at the moment of asking', async (t, scene) => {
  const [a, b, c] = await scene.brokers(['a', 'b', 'c'], { isIdle: true })
  const lastB = await b.commit(7)
  t.deepEqual(await a.cluster.heads(), [lastB, laneStart(2)])
  const lastC = await c.commit(2)
  t.deepEqual(await a.cluster.heads(), [lastB, lastC])
})

cluster(
  'entries are the kept messages of streams in their range, with all their streams',
  async (t, scene) => {
    const [a, b] = await scene.brokers(['a', 'b'])
    await a.commit(5, [1])
    await a.commit(5, [1, 2])
    await a.commit(5, [3])
    const found: number[] = []
    for await (const part of b.cluster.entries([{ streamIds: [2, 3], after: 7, through: 12 }])) {
      for (const { sequence, streamIds, expiresAt } of part) {
        found.push(sequence)
        t.deepEqual(streamIds, sequence <= 10 ? [1, 2] : [3])
        t.is(expiresAt, 0)
      }
    }
    t.deepEqual(found, range(8, 12))
  }
)

cluster('a bus that carries hints makes brokers follow at once', async (t, scene) => {
  const heard: (() => void)[] = []
  const bus = () => ({
    isConnected: true,
    tell: () =>
      heard.forEach(hear => {
        hear()
      }),
    listen: (channel: string, hear: (bytes: Buffer) => void) => {
      if (channel === 'head') heard.push(() => hear(Buffer.of(0)))
    },
    close: async () => {}
  })
  const [a, b] = await scene.brokers(['a', 'b'], { bus: bus() })
  b.clock.stop() // only the bus can wake it
  const last = await a.commit(3)
  for (const hear of heard) hear()
  await until(() => headOf(b, a.lane) === last, 'b has followed')
  t.deepEqual(b.listener.sequences.get(a.lane), range(1, 3))
})

cluster('at a gap a broker waits for the insert that is under way', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  await a.commit(5)
  await until(() => headOf(b, a.lane) === 5, 'b has followed')
  const database = scene.database()
  const late = (await database.messages.findOne({ _id: 5 }))!
  await database.messages.insertOne({ _id: 8, skip: 7 }) // numbers 7 and 8 are there, 6 is not
  const rounds = () => b.cluster.brokers().find(({ name }) => name === 'a')
  const before = rounds()
  await until(() => rounds() !== before, 'b has looked')
  await new Promise(resolve => setTimeout(resolve, 700))
  t.is(headOf(b, a.lane), 5)
  await database.messages.insertOne({ ...late, _id: 6 })
  await until(() => headOf(b, a.lane) === 8, 'b has followed')
})
