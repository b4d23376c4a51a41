import test from 'ava'
import { QueueError } from '../src/errors.ts'
import { startCore } from './helpers/core.ts'

const logger = { clientId: 'logger', clean: false }
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

test('a session that was away gets what it missed, in order, then live messages', async t => {
  const { connect } = await startCore(t)
  const first = await connect(logger)
  await first.subscribe('DB/CREATE')
  await first.disconnect()
  const publisher = await connect()
  for (const n of numbers(1, 50)) await publisher.publish({ topic: 'DB/CREATE', payload: n, qos: 1 })
  const second = await connect(logger)
  t.true(second.connack?.sessionPresent)
  for (const n of numbers(51, 60)) await publisher.publish({ topic: 'DB/CREATE', payload: n, qos: 1 })
  t.deepEqual(await second.payloads(60), numbers(1, 60))
})

test('a clean session gets nothing that was published while it was away', async t => {
  const { connect } = await startCore(t)
  const first = await connect({ clientId: 'c' })
  await first.subscribe('a')
  await first.disconnect()
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: 'missed', qos: 1 })
  const second = await connect({ clientId: 'c' })
  t.false(second.connack?.sessionPresent)
  await second.subscribe('a')
  await publisher.publish({ topic: 'a', payload: 'live', qos: 1 })
  t.deepEqual(await second.payloads(1), ['live'])
})

test('unacked messages come again first, with DUP and the same packet ids, then new ones without DUP', async t => {
  const { connect } = await startCore(t, { settings: { maxInflight: 3 } })
  const first = await connect({ ...logger, isAcking: false })
  await first.subscribe('a')
  const publisher = await connect()
  for (const n of numbers(1, 6)) await publisher.publish({ topic: 'a', payload: n, qos: 1 })
  const sent = await first.messages(3)
  first.ack(sent[1]!)
  const fourth = await first.next('publish')
  t.is(fourth.payload.toString(), '4')
  first.destroy()
  const second = await connect({ ...logger, isAcking: false })
  const again = await second.messages(3)
  t.deepEqual(
    again.map(m => [m.payload.toString(), m.dup, m.messageId]),
    [
      ['1', true, sent[0]!.messageId],
      ['3', true, sent[2]!.messageId],
      ['4', true, fourth.messageId]
    ]
  )
  for (const message of again) second.ack(message)
  const rest = await second.messages(2)
  t.deepEqual(
    rest.map(m => [m.payload.toString(), m.dup]),
    [
      ['5', false],
      ['6', false]
    ]
  )
})

test('no more than maxInflight messages are unacked for a 3.1.1 client', async t => {
  const { connect } = await startCore(t, { settings: { maxInflight: 4 } })
  const subscriber = await connect({ ...logger, isAcking: false })
  await subscriber.subscribe('a')
  const publisher = await connect()
  for (const n of numbers(1, 20)) await publisher.publish({ topic: 'a', payload: n, qos: 1 })
  const sent = await subscriber.messages(4)
  await subscriber.ping()
  t.is(subscriber.unreadMessages().length, 0)
  for (const message of sent) subscriber.ack(message)
  t.deepEqual(await subscriber.payloads(4), numbers(5, 8))
})

test('no more than Receive Maximum messages are unacked for a client of MQTT 5', async t => {
  const { connect } = await startCore(t)
  const five = {
    clientId: 'five',
    protocolVersion: 5,
    expirySeconds: 100,
    receiveMaximum: 2,
    isAcking: false
  } as const
  const subscriber = await connect(five)
  await subscriber.subscribe('a')
  const publisher = await connect()
  for (const n of numbers(1, 9)) await publisher.publish({ topic: 'a', payload: n, qos: 1 })
  await subscriber.messages(2)
  await subscriber.ping()
  t.is(subscriber.unreadMessages().length, 0)
})

test('a client that comes back with a smaller window is sent what was inflight within that window', async t => {
  const { connect } = await startCore(t)
  const five = {
    clientId: 'five',
    protocolVersion: 5,
    clean: false,
    expirySeconds: 100,
    isAcking: false
  } as const
  const first = await connect({ ...five, receiveMaximum: 10 })
  await first.subscribe('a')
  const publisher = await connect()
  for (const n of numbers(1, 12)) await publisher.publish({ topic: 'a', payload: n, qos: 1 })
  await first.messages(10)
  first.destroy()
  const second = await connect({ ...five, receiveMaximum: 3 })
  const again = await second.messages(3)
  await second.ping()
  t.is(second.unreadMessages().length, 0)
  for (const message of again) second.ack(message)
  t.deepEqual(await second.payloads(3), numbers(4, 6))
})

test('a message that matches overlapping filters comes once, in order with the others', async t => {
  const { connect } = await startCore(t)
  const subscriber = await connect(logger)
  await subscriber.subscribe(['a/#', 'a/b', '+/b', 'c'])
  await subscriber.disconnect()
  const publisher = await connect()
  const topics = ['a/b', 'c', 'a/x', 'z/b', 'a/b', 'c']
  for (const topic of topics) await publisher.publish({ topic, payload: topic, qos: 1 })
  const again = await connect(logger)
  t.deepEqual(await again.payloads(6), topics)
  await again.ping()
  t.is(again.unreadMessages().length, 0)
})

test('a QoS 1 message reaches a subscription of QoS 0 once, and not at all when it is away', async t => {
  const { connect } = await startCore(t)
  const subscriber = await connect(logger)
  await subscriber.subscribe(['a', '+'], 0)
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: 'live', qos: 1 })
  const message = await subscriber.next('publish')
  t.is(message.qos, 0)
  await subscriber.ping()
  t.is(subscriber.unreadMessages().length, 0)
  await subscriber.disconnect()
  await publisher.publish({ topic: 'a', payload: 'missed', qos: 1 })
  const again = await connect(logger)
  await publisher.publish({ topic: 'a', payload: 'next', qos: 1 })
  t.deepEqual(await again.payloads(1), ['next'])
})

test('a session with QoS 0 and QoS 1 filters for one topic gets its messages once, with QoS 1', async t => {
  const { connect } = await startCore(t)
  const subscriber = await connect(logger)
  await subscriber.subscribe('a', 0)
  await subscriber.subscribe('#', 1)
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: '1', qos: 1 })
  t.is((await subscriber.next('publish')).qos, 1)
  await subscriber.ping()
  t.is(subscriber.unreadMessages().length, 0)
})

test('unsubscribing ends the claim on what is queued, and subscribing again leaves the gap', async t => {
  const { connect } = await startCore(t, { settings: { maxInflight: 1 } })
  const subscriber = await connect({ ...logger, isAcking: false })
  await subscriber.subscribe('a')
  const publisher = await connect()
  for (const n of numbers(1, 5)) await publisher.publish({ topic: 'a', payload: n, qos: 1 })
  const [one] = await subscriber.messages(1)
  await subscriber.unsubscribe('a')
  await publisher.publish({ topic: 'a', payload: '6', qos: 1 })
  await subscriber.subscribe('a')
  await publisher.publish({ topic: 'a', payload: '7', qos: 1 })
  subscriber.ack(one!)
  t.deepEqual(await subscriber.payloads(1), ['7'])
})

test('a Clean Session discards what the session before it had queued', async t => {
  const { connect } = await startCore(t)
  const first = await connect(logger)
  await first.subscribe('a')
  await first.disconnect()
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: 'old', qos: 1 })
  await (await connect({ ...logger, clean: true })).disconnect()
  const third = await connect(logger)
  t.false(third.connack?.sessionPresent)
  await publisher.publish({ topic: 'a', payload: 'unsubscribed', qos: 1 })
  await third.subscribe('a')
  await publisher.publish({ topic: 'a', payload: 'new', qos: 1 })
  t.deepEqual(await third.payloads(1), ['new'])
})

test('a second connection of a client takes the session over and the first is closed with 0x8E', async t => {
  const { connect } = await startCore(t)
  const five = {
    clientId: 'five',
    protocolVersion: 5,
    clean: false,
    expirySeconds: 100,
    isAcking: false
  } as const
  const first = await connect(five)
  await first.subscribe('a')
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: '1', qos: 1 })
  await first.next('publish')
  const second = await connect(five)
  t.is((await first.next('disconnect')).reasonCode, 0x8e)
  await first.closed()
  const again = await second.next('publish')
  t.true(again.dup)
})

test('of 300 connections in a burst with one client id exactly one remains', async t => {
  const { connect, core } = await startCore(t)
  const clients = await Promise.allSettled(Array.from({ length: 300 }, () => connect(logger)))
  const last = await connect(logger)
  await last.ping()
  for (const result of clients) if (result.status === 'fulfilled') await result.value.closed()
  t.is([...core.directory.clients()].length, 1)
  t.false(last.isClosed)
})

test('a publish that is not stored is not acked: MQTT 5 is told 0x97, 3.1.1 is disconnected', async t => {
  const { connect, store, log } = await startCore(t)
  const four = await connect()
  const five = await connect({ clientId: 'five', protocolVersion: 5 })
  store.faults.commit = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  const refusal = await five.publish({ topic: 'a', payload: '1', qos: 1 })
  t.is(refusal?.cmd === 'puback' && refusal.reasonCode, 0x97)
  t.regex(String(refusal?.cmd === 'puback' && refusal.properties?.reasonString), /full/)
  four.publishOnly({ topic: 'a', payload: '2', qos: 1 })
  await four.closed()
  t.is(four.received.filter(packet => packet.cmd === 'puback').length, 0)
  t.true(log.texts('error').some(text => text.includes('ENOSPC')))
  delete store.faults.commit
  const accepted = await five.publish({ topic: 'a', payload: '3', qos: 1 })
  t.is((accepted?.cmd === 'puback' && accepted.reasonCode) || 0, 0)
})

test('after the store has failed nothing is accepted and what was stored is still delivered', async t => {
  const { connect, store } = await startCore(t, { settings: { maxInflight: 1 } })
  const subscriber = await connect({ ...logger, isAcking: false })
  await subscriber.subscribe('a')
  const publisher = await connect({ clientId: 'five', protocolVersion: 5 })
  for (const n of numbers(1, 3)) await publisher.publish({ topic: 'a', payload: n, qos: 1 })
  store.faults.commit = new QueueError('QUEUE_STORE_FAILED', { detail: { problem: 'EIO' } })
  await publisher.publish({ topic: 'a', payload: '4', qos: 1 })
  delete store.faults.commit
  const refused = await publisher.publish({ topic: 'a', payload: '5', qos: 1 })
  t.is(refused?.cmd === 'puback' && refused.reasonCode, 0x97)
  for (const n of numbers(1, 3)) {
    const message = await subscriber.next('publish')
    t.is(message.payload.toString(), n)
    subscriber.ack(message)
  }
  await subscriber.ping()
  t.is(subscriber.unreadMessages().length, 0)
})

test('a subscription that cannot be stored is refused and changes nothing', async t => {
  const { connect, store } = await startCore(t)
  const subscriber = await connect(logger)
  store.faults.write = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  const refused = await subscriber.subscribe('a')
  t.deepEqual([...refused.granted], [0x80])
  delete store.faults.write
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: 'unsubscribed', qos: 1 })
  t.deepEqual([...(await subscriber.subscribe('a')).granted], [1])
  await publisher.publish({ topic: 'a', payload: 'subscribed', qos: 1 })
  t.deepEqual(await subscriber.payloads(1), ['subscribed'])
})

test('a persistent session that cannot be stored is refused with a reason', async t => {
  const { open, store } = await startCore(t)
  store.faults.write = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  t.is((await open().login(logger)).returnCode, 3)
  const five = { clientId: 'five', protocolVersion: 5, expirySeconds: 100 } as const
  t.is((await open().login(five)).reasonCode, 0x97)
  const clean = await open().login({ clientId: 'clean' })
  t.is(clean.returnCode, 0)
})

test('client ids and filters named like properties of Object are plain names', async t => {
  const { connect } = await startCore(t)
  const publisher = await connect()
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    const subscriber = await connect({ clientId: name, clean: false })
    await subscriber.subscribe([name, `${name}/${name}`])
    await publisher.publish({ topic: name, payload: name, qos: 1 })
    t.deepEqual(await subscriber.payloads(1), [name])
    const other = await connect({ clientId: name, clean: false })
    await subscriber.closed()
    await publisher.publish({ topic: `${name}/${name}`, payload: 'again', qos: 1 })
    t.deepEqual(await other.payloads(1), ['again'])
  }
})

test('a publish asks the store for the same with 1 and with 1,000 sessions on its filters', async t => {
  const asked: object[] = []
  for (const sessions of [1, 1_000]) {
    const { connect, store } = await startCore(t)
    for (let i = 0; i < sessions; i++) {
      const client = await connect({ clientId: `session-${i}`, clean: false })
      await client.subscribe(['DB/#', '+/CREATE'])
      await client.disconnect()
    }
    const publisher = await connect({ clientId: 'publisher', protocolVersion: 5 })
    const before = { ...store.calls }
    const properties = { messageExpiryInterval: 60 }
    for (const n of numbers(1, 20)) {
      await publisher.publish({ topic: 'DB/CREATE', payload: n, qos: 1, properties })
    }
    asked.push(
      Object.fromEntries(
        Object.entries(store.calls).map(([key, value]) => [key, value - before[key as keyof typeof before]])
      )
    )
  }
  t.deepEqual(asked[0], asked[1])
})

test('1,000,000 acks above one that never comes leave the cursor small and no packet id is used twice', async t => {
  const { connect, core } = await startCore(t, { settings: { maxInflight: 500 } })
  const total = Number(process.env.RESTANTE_TEST_STUCK_ACKS ?? 100_000)
  const subscriber = await connect({ ...logger, isAcking: false })
  await subscriber.subscribe('a')
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: 'stuck', qos: 1 })
  const stuck = await subscriber.next('publish')
  const seen = new Set<number>()
  for (let done = 0; done < total; done += 400) {
    for (let i = 0; i < 400; i++) publisher.publishOnly({ topic: 'a', payload: String(i), qos: 1 })
    for (const message of await subscriber.messages(400)) {
      if (message.messageId === stuck.messageId) t.fail('the packet id of the stuck message was used again')
      seen.add(message.messageId!)
      subscriber.ack(message)
    }
    publisher.received.length = publisher.unread.length = subscriber.received.length = 0
  }
  await subscriber.ping()
  const session = core.directory.session('logger')!
  t.is(session.inflight(), 1)
  t.is(await session.backlog(), 0)
  t.is(seen.size, Math.min(total, 65_534))
})
