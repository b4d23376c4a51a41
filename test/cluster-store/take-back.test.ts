import test from 'ava'
import { RELEASE } from '../../plugins/store-mongodb/cluster/claims.ts'
import { clusterTests, passDurations, type TestBroker, until } from './scene.ts'

const cluster = clusterTests(test, true)
/** Longer than anybody waits for a session to be fetched. */
const LONG_MS = 60_000

/** Resolves when a broker has gone through so many rounds that all it has to see to is seen to. */
async function rounds(broker: TestBroker, count = 4): Promise<void> {
  const before = broker.clock.ticks
  await until(() => broker.clock.ticks >= before + count, 'rounds go on')
}

cluster('a session that was given up and never fetched is taken back with all it has', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  await a.cluster.claim('client')
  await a.writeSession('client', 3, 'cursor')
  await a.write({ table: 'will', key: 4, row: Buffer.from('will'), clientId: 'client' })
  await b.sees('a')
  await b.cluster.call('a', RELEASE, { clientId: 'client' })
  await rounds(a)
  t.deepEqual(a.listener.adopted, [], 'it may still be fetched')
  passDurations(t, LONG_MS)
  await until(() => a.listener.adopted.length > 0, 'it is taken back')
  const [parts] = a.listener.adopted
  t.deepEqual(
    parts?.sessions.map(({ clientId }) => clientId),
    ['client']
  )
  t.deepEqual(parts?.cursors.get(3), Buffer.from('cursor'))
  t.deepEqual([...(parts?.wills ?? [])], [[4, Buffer.from('will')]])
  t.is(await a.cluster.claim('client'), null)
  await a.write({ table: 'cursor', key: 3, row: Buffer.from('later') })
  t.deepEqual((await b.cluster.claim('client'))?.cursors.get(3), Buffer.from('later'))
})

cluster(
  'a client id without a session that was given up and never fetched is forgotten',
  async (t, scene) => {
    const [a, b] = await scene.brokers(['a', 'b'])
    const { sessions } = scene.database()
    await a.cluster.claim('client')
    await b.sees('a')
    await b.cluster.call('a', RELEASE, { clientId: 'client' })
    t.is(await sessions.countDocuments({}), 1)
    passDurations(t, LONG_MS)
    await until(async () => (await sessions.countDocuments({})) === 0, 'it is forgotten')
    t.deepEqual(a.listener.adopted, [])
  }
)

cluster('a session that was fetched is not taken back', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  await a.cluster.claim('client')
  await a.writeSession('client', 3)
  t.is((await b.cluster.claim('client'))?.sessions.length, 1)
  passDurations(t, LONG_MS)
  await rounds(a)
  t.deepEqual(a.listener.adopted, [])
  await b.write({ table: 'cursor', key: 3, row: Buffer.from('later') })
  t.deepEqual((await a.cluster.claim('client'))?.cursors.get(3), Buffer.from('later'))
})
