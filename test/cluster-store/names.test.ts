import test from 'ava'
import { laneStart } from '../../src/lane.ts'
import { range } from '../helpers/batches.ts'
import { Gate } from '../helpers/gate.ts'
import { clusterTests, gatedDatabase, until } from './scene.ts'

const cluster = clusterTests(test)

cluster('brokers get a lane each, in the order of their first start', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  t.deepEqual([a.lane, b.lane], [0, 1])
  t.is(b.contents.lastStop, 'new')
  t.is(b.contents.nextSequence, laneStart(1) + 1)
  t.deepEqual(
    b.contents.lanes?.map(({ name }) => name),
    ['a', 'b']
  )
})

cluster('five names that start at the same moment get five lanes', async (t, scene) => {
  const brokers = await Promise.all(range(1, 5).map(n => scene.broker(`broker-${n}`)))
  t.deepEqual(brokers.map(({ lane }) => lane).sort(), [0, 1, 2, 3, 4])
})

cluster('a second broker with a name in use is refused while the first one lives', async (t, scene) => {
  const first = await scene.broker('a', { brokerTimeoutMs: 1_000 })
  await t.throwsAsync(() => scene.broker('a', { brokerTimeoutMs: 1_000 }), {
    code: 'QUEUE_BROKER_NAME_IN_USE'
  })
  await first.commit(3)
  t.deepEqual(first.listener.fences, [])
})

cluster('a broker that stopped cleanly goes on in its lane', async (t, scene) => {
  await scene.broker('other')
  const before = await scene.broker('a')
  const last = await before.commit(5)
  await before.end()
  const after = await scene.broker('a')
  t.is(after.lane, 1)
  t.is(after.contents.lastStop, 'clean')
  t.true(after.contents.nextSequence > last)
  await after.commit(2)
})

cluster(
  'a broker that was killed goes on in its lane with its sessions and notes, and the one before can write nothing more',
  async (t, scene) => {
    const before = await scene.broker('a', { brokerTimeoutMs: 1_000 })
    const last = await before.commit(5)
    await before.cluster.claim('client')
    await before.writeSession('client', 7)
    await before.store.notes.append(Buffer.from('note 1'), { sync: true })
    before.kill()
    const after = await scene.broker('a', { brokerTimeoutMs: 1_000 })
    t.is(after.contents.lastStop, 'machine')
    t.is(after.lane, before.lane)
    t.true(after.contents.nextSequence > last)
    t.deepEqual(
      after.contents.sessions.map(({ clientId }) => clientId),
      ['client']
    )
    t.deepEqual(after.contents.cursors.get(7), Buffer.from('cursor'))
    t.deepEqual(after.contents.notes, [Buffer.from('note 1')])
    await after.commit(2)
    await t.throwsAsync(() => before.commit(1), { code: 'QUEUE_BROKER_FENCED' })
    await before.store.state
      .write([{ table: 'cursor', key: 7, row: Buffer.from('late') }], { sync: true })
      .catch(() => {})
    after.kill()
    const again = await scene.broker('a', { brokerTimeoutMs: 1_000 })
    t.deepEqual(again.contents.cursors.get(7), Buffer.from('cursor'))
  }
)

cluster('a broker that takes long to start is not taken for dead meanwhile', async (t, scene) => {
  const timeout = { brokerTimeoutMs: 1_000 }
  const watcher = await scene.broker('watcher', timeout)
  const before = await scene.broker('slow', timeout)
  await before.end()
  const gate = new Gate()
  gate.close()
  const starting = scene.broker('slow', {
    ...timeout,
    openDatabase: gatedDatabase(gate, 'sessions', 'distinct')
  })
  await gate.until(1)
  const { ticks } = watcher.clock
  await until(() => watcher.clock.ticks > ticks + 10, 'ten rounds of the others')
  gate.open()
  const slow = await starting
  await slow.commit(1)
  t.is(watcher.cluster.brokers().find(({ name }) => name === 'slow')?.state, 'live')
  t.deepEqual(watcher.log.texts('warn'), [])
})

cluster('ids of sessions and wills are given out once', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  const firsts = await Promise.all(range(1, 10).map(n => (n % 2 ? a : b).cluster.reserveIds('session', 10)))
  t.deepEqual(
    firsts.sort((x, y) => x - y),
    range(0, 9).map(n => 1 + 10 * n)
  )
  t.is(await a.cluster.reserveIds('will', 1), 1)
})

cluster('brokers see each other live, stop and start', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'], { brokerTimeoutMs: 1_000 })
  const stateOf = (name: string) => a.cluster.brokers().find(row => row.name === name)?.state
  await until(() => stateOf('b') === 'live', 'b lives')
  await b.end()
  await until(() => stateOf('b') === 'stopped', 'b has stopped')
  await scene.broker('b', { brokerTimeoutMs: 1_000 })
  await until(() => stateOf('b') === 'live', 'b lives again')
  t.false(a.cluster.brokers().find(row => row.name === 'a')?.state !== 'live')
})
