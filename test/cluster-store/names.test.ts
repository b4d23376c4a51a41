import test from 'ava'
import { laneStart } from '../../src/lane.ts'
import { range } from '../helpers/batches.ts'
import { mongodbOfFile } from '../helpers/mongodb.ts'
import { startBroker, until } from './scene.ts'

const mongodb = mongodbOfFile(test)

test('brokers get a lane each, in the order of their first start', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const a = await startBroker(t, url, 'a')
  const b = await startBroker(t, url, 'b')
  t.deepEqual([a.lane, b.lane], [0, 1])
  t.is(b.contents.lastStop, 'new')
  t.is(b.contents.nextSequence, laneStart(1) + 1)
  t.deepEqual(
    b.contents.lanes?.map(({ name }) => name),
    ['a', 'b']
  )
})

test('five names that start at the same moment get five lanes', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const brokers = await Promise.all(range(1, 5).map(n => startBroker(t, url, `broker-${n}`)))
  t.deepEqual(brokers.map(({ lane }) => lane).sort(), [0, 1, 2, 3, 4])
})

test('a second broker with a name in use is refused while the first one lives', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const first = await startBroker(t, url, 'a', { brokerTimeoutMs: 1_000 })
  await t.throwsAsync(() => startBroker(t, url, 'a', { brokerTimeoutMs: 1_000 }), {
    code: 'QUEUE_BROKER_NAME_IN_USE'
  })
  await first.commit(3)
  t.deepEqual(first.listener.fences, [])
})

test('a broker that stopped cleanly goes on in its lane', async t => {
  const url = mongodb.database(t)
  if (!url) return
  await startBroker(t, url, 'other')
  const before = await startBroker(t, url, 'a')
  const last = await before.commit(5)
  await before.end()
  const after = await startBroker(t, url, 'a')
  t.is(after.lane, 1)
  t.is(after.contents.lastStop, 'clean')
  t.true(after.contents.nextSequence > last)
  await after.commit(2)
})

test('a broker that was killed goes on in its lane with its sessions and notes, and the one before can write nothing more', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const before = await startBroker(t, url, 'a', { brokerTimeoutMs: 1_000 })
  const last = await before.commit(5)
  await before.cluster.claim('client')
  await before.writeSession('client', 7)
  await before.store.notes.append(Buffer.from('note 1'), { sync: true })
  before.kill()
  const after = await startBroker(t, url, 'a', { brokerTimeoutMs: 1_000 })
  t.is(after.contents.lastStop, 'process')
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
  const again = await startBroker(t, url, 'a', { brokerTimeoutMs: 1_000 })
  t.deepEqual(again.contents.cursors.get(7), Buffer.from('cursor'))
})

test('ids of sessions and wills are given out once', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const a = await startBroker(t, url, 'a')
  const b = await startBroker(t, url, 'b')
  const firsts = await Promise.all(range(1, 10).map(n => (n % 2 ? a : b).cluster.reserveIds('session', 10)))
  t.deepEqual(
    firsts.sort((x, y) => x - y),
    range(0, 9).map(n => 1 + 10 * n)
  )
  t.is(await a.cluster.reserveIds('will', 1), 1)
})

test('brokers see each other live, stop and start', async t => {
  const url = mongodb.database(t)
  if (!url) return
  const a = await startBroker(t, url, 'a', { brokerTimeoutMs: 1_000 })
  const b = await startBroker(t, url, 'b', { brokerTimeoutMs: 1_000 })
  const stateOf = (name: string) => a.cluster.brokers().find(row => row.name === name)?.state
  await until(() => stateOf('b') === 'live', 'b lives')
  await b.end()
  await until(() => stateOf('b') === 'stopped', 'b has stopped')
  await startBroker(t, url, 'b', { brokerTimeoutMs: 1_000 })
  await until(() => stateOf('b') === 'live', 'b lives again')
  t.false(a.cluster.brokers().find(row => row.name === 'a')?.state !== 'live')
})
