import test from 'ava'
import { systemClock } from '../../src/clock.ts'
import { CLEARED_KEPT_MS, type StateChange } from '../../src/store/store.ts'
import { range } from '../helpers/batches.ts'
import { clusterTests, until } from './scene.ts'

const cluster = clusterTests(test)

function retained(topic: string, payload: string | null, acceptedAt: number): StateChange {
  const row = payload === null ? null : Buffer.from(payload)
  return { table: 'retained', key: topic, row, order: { acceptedAt, sequence: 1 } }
}

cluster('what one broker has cleared is handed to one that starts, with its order', async (t, scene) => {
  const a = await scene.broker('a', { isIdle: true })
  await a.write(retained('kept', 'x', 1), retained('cleared', 'x', 2))
  await a.write(retained('cleared', null, 3))
  const { contents } = await scene.broker('b', { isIdle: true })
  t.deepEqual([...contents.retained], [['kept', Buffer.from('x')]])
  t.deepEqual([...(contents.cleared ?? [])], [['cleared', { acceptedAt: 3, sequence: 1 }]])
})

cluster(
  'a broker that starts later takes no message that is older than what was cleared',
  async (t, scene) => {
    const a = await scene.broker('a', { isIdle: true })
    await a.write(retained('cleared', null, systemClock.now() + 60_000)) // by a clock that goes ahead
    const { connect } = await scene.core('b')
    const publisher = await connect({ clientId: 'publisher' })
    for (const topic of ['cleared', 'new'])
      await publisher.publish({ topic, payload: topic, qos: 1, retain: true })
    const subscriber = await connect({ clientId: 'subscriber' })
    await subscriber.subscribe('+')
    t.deepEqual(await subscriber.payloads(1), ['new'])
    await subscriber.ping()
    t.deepEqual(subscriber.unreadMessages(), [])
  }
)

cluster('a message that has expired leaves its row', async (t, scene) => {
  const a = await scene.broker('a', { isIdle: true })
  await a.write(retained('mortal', 'x', 5))
  await a.write(retained('mortal', null, 5))
  const { contents } = await scene.broker('b', { isIdle: true })
  t.deepEqual([...contents.retained.keys()], [])
})

cluster(
  'what was cleared an hour ago is forgotten by a broker that has lived for as long',
  async (t, scene) => {
    const { retained: documents, brokers } = scene.database()
    const old = systemClock.now() - CLEARED_KEPT_MS // also for a broker that has just begun
    const a = await scene.broker('a', { brokerTimeoutMs: 100 })
    const cleared = range(1, 1_200).map(n => retained(`old/${n}`, null, old))
    await a.write(...cleared, retained('kept', 'x', old), retained('new', null, systemClock.now() + 60_000))
    a.clock.pass(CLEARED_KEPT_MS - 60_000)
    const beats = async () => (await brokers.findOne({ _id: 'a' }))!.heartbeat
    const before = await beats()
    await until(async () => (await beats()) > before + 25, 'it has looked at what is rare')
    t.is(await documents.countDocuments({ row: null }), 1_201)
    a.clock.pass(60_000)
    await until(async () => (await documents.countDocuments({ row: null })) === 1, 'the old ones are gone')
    const left = await documents.find({}).sort({ _id: 1 }).toArray()
    t.deepEqual(
      left.map(({ _id }) => _id),
      ['kept', 'new']
    )
  }
)
