import test from 'ava'
import { QueueError } from '../src/errors.ts'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'

const logger = { clientId: 'logger', clean: false }
const other = { clientId: 'other', clean: false }
const full = () => new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })

test('a subscription raised from QoS 0 to QoS 1 claims nothing from before', async t => {
  const { connect } = await startCore(t)
  const keeper = await connect(other)
  await keeper.subscribe('a', 1)
  await keeper.disconnect()
  const subscriber = await connect(logger)
  await subscriber.subscribe('a', 0)
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: '1', qos: 1 })
  t.is((await subscriber.next('publish')).qos, 0)
  await subscriber.subscribe('a', 1)
  await publisher.publish({ topic: 'a', payload: '2', qos: 1 })
  t.deepEqual(await subscriber.payloads(1), ['2'])
})

test('a subscription made while a commit fails gets all that is accepted afterwards', async t => {
  const { connect, store } = await startCore(t)
  const publisher = await connect({ clientId: 'five', protocolVersion: 5 })
  const gate = new Gate()
  const commit = store.lane.commit
  store.lane.commit = async batch => {
    await gate.pass()
    await commit(batch)
  }
  gate.close()
  const refused = ['1', '2', '3'].map(payload => publisher.publish({ topic: 'a', payload, qos: 1 }))
  await gate.until(1)
  const subscriber = await connect(logger)
  const stored = new Promise<void>(resolve => {
    const { write } = store.state
    store.state.write = async (changes, options) => {
      await write.call(store.state, changes, options)
      if (changes.some(({ table }) => table === 'subscription')) resolve()
    }
  })
  const subscribed = subscriber.subscribe('a')
  await stored
  store.faults.commit = full()
  gate.open()
  await Promise.all([...refused, subscribed])
  delete store.faults.commit
  await subscriber.disconnect()
  for (const payload of ['4', '5']) await publisher.publish({ topic: 'a', payload, qos: 1 })
  t.deepEqual(await (await connect(logger)).payloads(2), ['4', '5'])
})

for (const qos of [0, 1] as const) {
  test(`a subscribe with QoS ${qos} is answered when what was on its way is accepted, and brings what of it is retained`, async t => {
    const { connect, store } = await startCore(t)
    const publisher = await connect()
    await publisher.publish({ topic: 'a/old', payload: 'old', qos: 1, retain: true })
    const gate = new Gate()
    const commit = store.lane.commit
    store.lane.commit = async batch => {
      await gate.pass()
      await commit(batch)
    }
    gate.close()
    const published = publisher.publish({ topic: 'a/old', payload: 'new', qos: 1, retain: true })
    await gate.until(1)
    const subscriber = await connect({ clientId: 'subscriber' })
    const order: string[] = []
    const subscribed = subscriber.subscribe('a/#', qos).then(() => order.push('SUBACK'))
    const other = await connect({ clientId: 'other' })
    await other.ping()
    gate.open()
    await Promise.all([published.then(() => order.push('PUBACK')), subscribed])
    t.deepEqual(order, ['PUBACK', 'SUBACK'])
    t.deepEqual(await subscriber.payloads(1), ['new'])
  })
}

test('a filter whose last two subscribers leave together can be subscribed to again and keeps its messages over a restart', async t => {
  const first = await startCore(t)
  const clean = await first.connect({ clientId: 'clean' })
  await clean.subscribe('a')
  const subscriber = await first.connect(logger)
  await subscriber.subscribe('a')
  await subscriber.unsubscribe('a')
  await clean.unsubscribe('a')
  await subscriber.subscribe('a')
  await subscriber.disconnect()
  const publisher = await first.connect()
  await publisher.publish({ topic: 'a', payload: 'kept', qos: 1 })
  const second = await startCore(t, { store: first.store.crash('process') })
  t.deepEqual(await (await second.connect(logger)).payloads(1), ['kept'])
})

test('rows of streams that nobody reads any more are taken out', async t => {
  const { connect, core, store } = await startCore(t)
  const clients = [await connect(logger), await connect(other)]
  for (const client of clients) await client.subscribe(['a', 'b'])
  await clients[0]!.unsubscribe('a')
  await Promise.all(clients.map(client => client.unsubscribe('a', 'b')))
  await clients[0]!.subscribe('c')
  await core.close()
  const found = await store.crash('process').open()
  t.deepEqual(
    found.streams.map(({ filter }) => filter),
    ['c']
  )
})

test('a QoS 0 message that matches overlapping filters comes once', async t => {
  const { connect } = await startCore(t)
  const subscriber = await connect(logger)
  await subscriber.subscribe(['a', '+'], 0)
  await subscriber.subscribe('#', 1)
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: '1' })
  await publisher.ping()
  await subscriber.next('publish')
  await subscriber.ping()
  t.deepEqual(subscriber.unreadMessages(), [])
})

test('a message accepted while a subscription is being stored belongs to it, and the janitor leaves it', async t => {
  const { connect, store, core, log } = await startCore(t)
  const keeper = await connect(other)
  await keeper.subscribe('a')
  const subscriber = await connect(logger)
  const publisher = await connect()
  const gate = new Gate()
  const write = store.state.write
  store.state.write = async (changes, options) => {
    await gate.pass()
    await write(changes, options)
  }
  gate.close()
  const subscribed = subscriber.subscribe('a')
  await gate.until(1)
  await publisher.publish({ topic: 'a', payload: 'before', qos: 1 })
  await keeper.payloads(1)
  await keeper.ping()
  await core.settle()
  gate.open()
  await subscribed
  await publisher.publish({ topic: 'a', payload: 'after', qos: 1 })
  t.deepEqual(await subscriber.payloads(2), ['before', 'after'])
  t.deepEqual(log.texts('error'), [])
})

test('a subscription that could not be stored gives up what it had taken, and leaves the one before it', async t => {
  const { connect, store, core } = await startCore(t)
  const subscriber = await connect({ ...logger, isAcking: false })
  await subscriber.subscribe('b', 0)
  const publisher = await connect()
  store.faults.write = full()
  t.deepEqual([...(await subscriber.subscribe(['a', 'b'])).granted], [0x80, 0x80])
  delete store.faults.write
  const views = [...core.directory.session('logger')!.subscriptions()]
  t.deepEqual(
    views.map(({ filter, qos }) => [filter, qos]),
    [['b', 0]]
  )
  for (const topic of ['a', 'b']) await publisher.publish({ topic, payload: topic, qos: 1 })
  t.is((await subscriber.next('publish')).qos, 0)
  await subscriber.ping()
  t.deepEqual(subscriber.unreadMessages(), [])
  await core.settle()
  t.is(store.size, 0)
})

test('subscribing again to what is subscribed asks nothing of the store', async t => {
  const { connect, store } = await startCore(t)
  const subscriber = await connect(logger)
  await subscriber.subscribe(['a', 'b'])
  const before = store.calls.writes
  t.deepEqual([...(await subscriber.subscribe(['b', 'a'])).granted], [1, 1])
  t.is(store.calls.writes, before)
})
