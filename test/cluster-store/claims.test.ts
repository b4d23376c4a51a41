import test from 'ava'
import { range } from '../helpers/batches.ts'
import { clusterTests, type TestBroker } from './scene.ts'

const cluster = clusterTests(test)

/** Two brokers that keep the counter of a session in memory while they own it, and write it when they give it up. */
async function adds(broker: TestBroker, counters: Map<TestBroker, number>): Promise<void> {
  const parts = await broker.cluster.claim('client')
  if (parts) counters.set(broker, Number(parts.cursors.get(1)))
  counters.set(broker, counters.get(broker)! + 1)
}

cluster('a session that moves back and forth 50 times loses no write', async (t, scene) => {
  const brokers = [await scene.broker('a'), await scene.broker('b')]
  const counters = new Map<TestBroker, number>()
  for (const broker of brokers) {
    broker.listener.onRelease = async () => {
      await broker.write({ table: 'cursor', key: 1, row: Buffer.from(`${counters.get(broker)}`) })
      counters.delete(broker)
    }
  }
  t.is(await brokers[0]!.cluster.claim('client'), null)
  await brokers[0]!.writeSession('client', 1, '0')
  counters.set(brokers[0]!, 0)
  for (const n of range(1, 50)) await adds(brokers[n % 2]!, counters)
  t.is(counters.get(brokers[0]!), 50)
  t.is(counters.size, 1)
})

cluster('a client id that is owned here, or new, brings nothing', async (t, scene) => {
  const a = await scene.broker('a')
  t.is(await a.cluster.claim('new'), null)
  t.is(await a.cluster.claim('new'), null)
  t.deepEqual(a.listener.released, [])
})

cluster(
  'of many brokers that claim one client id at once each gets it in its turn, and one has it at a time',
  async (t, scene) => {
    const brokers = await Promise.all(['a', 'b', 'c'].map(name => scene.broker(name)))
    const holders = new Set<TestBroker>()
    let most = 0
    for (const broker of brokers) {
      broker.listener.onRelease = async () => {
        await new Promise(resolve => setImmediate(resolve))
        holders.delete(broker)
      }
    }
    await brokers[0]!.cluster.claim('client')
    await brokers[0]!.writeSession('client', 1)
    holders.add(brokers[0]!)
    const claims = range(0, 8).map(async n => {
      const broker = brokers[n % 3]!
      await broker.cluster.claim('client')
      holders.add(broker)
      most = Math.max(most, holders.size)
    })
    await Promise.all(claims)
    t.is(most, 1)
    t.is(holders.size, 1)
  }
)

cluster(
  'a client id without a session moves too, and its old broker is asked to let go of the connection',
  async (t, scene) => {
    const [a, b] = await scene.brokers(['a', 'b'])
    await a.cluster.claim('client')
    t.is(await b.cluster.claim('client'), null)
    t.deepEqual(a.listener.released, ['client'])
  }
)

cluster('a client id that was disowned is asked of nobody', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  await a.cluster.claim('client')
  await a.cluster.disown('client')
  t.is(await b.cluster.claim('client'), null)
  t.deepEqual(a.listener.released, [])
})

cluster(
  'a claim brings subscriptions and cursor, and the old broker writes to them no more',
  async (t, scene) => {
    const [a, b] = await scene.brokers(['a', 'b'])
    await a.cluster.claim('client')
    await a.writeSession('client', 3, 'before')
    const row = { sessionId: 3, filter: 'DB/#', streamId: 1, qos: 1, fromSequence: 0, createdAt: 1 }
    await a.write({ table: 'subscription', key: { sessionId: 3, filter: 'DB/#' }, row })
    const parts = await b.cluster.claim('client')
    t.deepEqual(
      parts?.sessions.map(({ sessionId, clientId }) => ({ sessionId, clientId })),
      [{ sessionId: 3, clientId: 'client' }]
    )
    t.like(parts?.subscriptions[0], row)
    t.deepEqual(parts?.cursors.get(3), Buffer.from('before'))
    await a.write({ table: 'cursor', key: 3, row: Buffer.from('late') }).catch(() => {})
    const again = await a.cluster.claim('client')
    t.deepEqual(again?.cursors.get(3), Buffer.from('before'))
  }
)

cluster('what another broker answers, and what it throws, comes back as it was', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  await t.throwsAsync(() => a.cluster.call('nobody', 'x', {}), { code: 'QUEUE_BROKER_AWAY' })
  const { QueueError } = await import('../../src/errors.ts')
  b.listener.onAnswer = async (method, params) => {
    if (method === 'fail') throw new QueueError('QUEUE_NOT_FOUND', { detail: { kind: 'session', name: 'x' } })
    if (method === 'break') throw new Error('broken')
    return { method, params, $odd: { 'a.b': undefined } }
  }
  const call = async (method: string) => await a.cluster.call('b', method, { n: 1 })
  const { cluster } = a
  await new Promise(resolve => setTimeout(resolve, 700)) // a has seen b
  t.deepEqual(await call('get'), { method: 'get', params: { n: 1 }, $odd: {} })
  await t.throwsAsync(() => call('fail'), { code: 'QUEUE_NOT_FOUND', message: 'there is no session x' })
  await t.throwsAsync(() => cluster.call('b', 'break', null), {
    code: 'QUEUE_BROKER_AWAY',
    message: /broken/
  })
})

cluster('the wills of a client come with it, also without a session', async (t, scene) => {
  const [a, b] = await scene.brokers(['a', 'b'])
  await a.cluster.claim('client')
  await a.write({ table: 'will', key: 4, row: Buffer.from('will'), clientId: 'client' })
  await a.write({ table: 'will', key: 5, row: Buffer.from('another'), clientId: 'other' })
  const parts = await b.cluster.claim('client')
  t.deepEqual([...(parts?.wills ?? [])], [[4, Buffer.from('will')]])
  t.deepEqual(parts?.sessions, [])
  await b.write({ table: 'will', key: 4, row: null, clientId: 'client' })
  t.deepEqual((await a.cluster.claim('client'))?.wills.size ?? 0, 0)
})
