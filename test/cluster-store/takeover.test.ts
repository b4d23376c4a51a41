import test from 'ava'
import { range } from '../helpers/batches.ts'
import { clusterTests, type TestBroker, until } from './scene.ts'

const cluster = clusterTests(test)
const QUICK = { brokerTimeoutMs: 1_000 }

/** Sessions 1..count of clients c1.., with a cursor, a note and a will. */
async function fill(broker: TestBroker, count: number): Promise<void> {
  for (const n of range(1, count)) {
    await broker.cluster.claim(`c${n}`)
    await broker.writeSession(`c${n}`, n, `cursor ${n}`)
  }
  await broker.store.notes.append(Buffer.from('note'), { sync: true })
  await broker.write({ table: 'will', key: 1, row: Buffer.from('will') })
}

const names = (broker: TestBroker) =>
  broker.listener.adopted.flatMap(({ sessions }) => sessions.map(({ clientId }) => clientId)).sort()

cluster(
  'a broker that is stopped and woken is closed by another, and nothing that it writes late counts',
  async (t, scene) => {
    const [zombie, b] = await scene.brokers(['zombie', 'b'], QUICK)
    await fill(zombie, 3)
    const last = await zombie.commit(5)
    zombie.clock.stop()
    await until(
      () => b.cluster.brokers().find(({ name }) => name === 'zombie')?.state === 'dead',
      'it is closed'
    )
    await until(() => names(b).length === 3, 'its sessions are taken over')
    await until(() => b.listener.heads.get(zombie.lane) === last + 1, 'its lane was read to the seal')
    const [parts] = b.listener.adopted
    t.deepEqual(parts?.notes, [Buffer.from('note')])
    t.deepEqual([...(parts?.wills ?? [])], [[1, Buffer.from('will')]])
    t.deepEqual(parts?.cursors.get(2), Buffer.from('cursor 2'))
    await t.throwsAsync(() => zombie.commit(1), { code: 'QUEUE_BROKER_FENCED' })
    await t.throwsAsync(() => zombie.store.notes.append(Buffer.from('late'), { sync: true }), {
      code: 'QUEUE_BROKER_FENCED'
    })
    await zombie.write({ table: 'cursor', key: 1, row: Buffer.from('late') }).catch(() => {})
    await zombie.writeSession('c2', 2, 'late').catch(() => {})
    await zombie.write({ table: 'will', key: 1, row: null }).catch(() => {})
    zombie.clock.wake()
    await t.throwsAsync(() => zombie.cluster.claim('other'), { code: 'QUEUE_BROKER_FENCED' })
    t.is(zombie.listener.fences.length, 1)
    t.is((zombie.listener.fences[0] as { code?: string }).code, 'QUEUE_BROKER_FENCED')
    const c = await scene.broker('c', QUICK)
    for (const n of range(1, 3)) {
      const moved = await c.cluster.claim(`c${n}`)
      t.deepEqual(moved?.cursors.get(n), Buffer.from(`cursor ${n}`))
    }
    t.deepEqual(b.listener.fences, [])
  }
)

cluster('a heartbeat after being closed tells the core once that it is fenced', async (t, scene) => {
  const [zombie, b] = await scene.brokers(['zombie', 'b'], QUICK)
  zombie.clock.stop()
  await until(
    () => b.cluster.brokers().find(({ name }) => name === 'zombie')?.state === 'dead',
    'it is closed'
  )
  zombie.clock.wake()
  await until(() => zombie.listener.fences.length > 0, 'it is fenced')
  await t.throwsAsync(() => zombie.cluster.newStreams(), { code: 'QUEUE_BROKER_FENCED' })
  t.is(zombie.listener.fences.length, 1)
  t.regex(zombie.listener.fences[0]!.message, /taken for dead by b/)
})

cluster('what a broker leaves at a clean stop is taken over by one of those that live', async (t, scene) => {
  const a = await scene.broker('a')
  const others = [await scene.broker('b'), await scene.broker('c')]
  await fill(a, 4)
  await a.end()
  const adopted = () => others.flatMap(names).sort()
  await until(() => adopted().length >= 4, 'all are taken over')
  t.deepEqual(adopted(), ['c1', 'c2', 'c3', 'c4'])
  const again = await scene.broker('a')
  t.deepEqual(again.contents.sessions, [])
  await again.commit(3)
  const parts = await again.cluster.claim('c1')
  t.deepEqual(parts?.cursors.get(1), Buffer.from('cursor 1'))
})

cluster(
  'a claim of a session whose broker is dead and not yet closed waits until it is taken over',
  async (t, scene) => {
    const [a, b] = await scene.brokers(['a', 'b'], QUICK)
    await fill(a, 1)
    a.kill()
    await a.cluster.stop() // a round that was under way may still have answered
    t.is(await b.cluster.claim('c1'), null)
    t.deepEqual(names(b), ['c1'])
  }
)

cluster(
  'when the one who takes over dies half way, a third begins again with the same sessions and notes',
  async (t, scene) => {
    const [a, b] = await scene.brokers(['a', 'b'], QUICK)
    let isBegun = false
    b.listener.onAdopt = () => {
      isBegun = true
      return new Promise(() => {})
    }
    await fill(a, 3)
    a.kill()
    await until(() => isBegun, 'b has begun')
    const c = await scene.broker('c', QUICK)
    b.kill()
    await until(() => names(c).length >= 3, 'c has taken over')
    t.deepEqual(names(c), ['c1', 'c2', 'c3'])
    const parts = c.listener.adopted.find(({ sessions }) => sessions.length > 0)
    t.deepEqual(parts?.notes, [Buffer.from('note')])
    t.deepEqual([...(parts?.wills ?? [])], [[1, Buffer.from('will')]])
    await b.write({ table: 'cursor', key: 1, row: Buffer.from('late') }).catch(() => {})
    const d = await scene.broker('d', QUICK)
    const moved = await d.cluster.claim('c1')
    t.deepEqual(moved?.cursors.get(1), Buffer.from('cursor 1'))
  }
)

cluster(
  'a name that starts again while its sessions are being taken over goes on without them',
  async (t, scene) => {
    const [before, b] = await scene.brokers(['a', 'b'], QUICK)
    let finish = () => {}
    b.listener.onAdopt = () => new Promise(resolve => (finish = resolve))
    await fill(before, 2)
    before.kill()
    await until(() => b.listener.adopted.length === 1, 'b has begun')
    const after = await scene.broker('a', QUICK)
    t.deepEqual(after.contents.sessions, [])
    t.deepEqual(after.contents.notes, [])
    await after.store.notes.append(Buffer.from('new'), { sync: true })
    await after.store.notes.checkpoint(() => [])
    const last = await after.commit(3)
    finish()
    await until(() => b.listener.heads.get(after.lane) === last, 'b follows')
    const parts = await after.cluster.claim('c1')
    t.deepEqual(parts?.cursors.get(1), Buffer.from('cursor 1'))
    t.deepEqual([...before.listener.fences, ...after.listener.fences, ...b.listener.fences], [])
  }
)
