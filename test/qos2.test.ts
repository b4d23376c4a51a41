import test from 'ava'
import { QueueError } from '../src/errors.ts'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'

const logger = { clientId: 'logger', clean: false }
const sender = { clientId: 'sender', clean: false }
const silent = { ...logger, isAcking: false }

test('a QoS 2 message goes through all four steps on both sides and arrives once', async t => {
  const { connect } = await startCore(t)
  const subscriber = await connect(silent)
  await subscriber.subscribe('a', 2)
  const publisher = await connect(sender)
  await publisher.publish({ topic: 'a', payload: '1', qos: 2 })
  const message = await subscriber.next('publish')
  t.is(message.qos, 2)
  subscriber.ack(message)
  const release = await subscriber.next('pubrel')
  t.is(release.messageId, message.messageId)
  subscriber.send({ cmd: 'pubcomp', messageId: message.messageId! })
  await subscriber.ping()
  t.deepEqual(subscriber.unreadMessages(), [])
})

test('the QoS of a delivery is the lower of publish and subscription', async t => {
  const { connect } = await startCore(t)
  const subscriber = await connect(logger)
  for (const qos of [0, 1, 2] as const) await subscriber.subscribe(`${qos}`, qos)
  const publisher = await connect()
  for (const topic of ['0', '1', '2']) {
    for (const qos of [0, 1, 2] as const) await publisher.publish({ topic, payload: `${qos}`, qos })
  }
  const seen = (await subscriber.messages(9)).map(({ topic, payload, qos }) => `${topic} ${payload} ${qos}`)
  const expected = ['0 0 0', '0 1 0', '0 2 0', '1 0 0', '1 1 1', '1 2 1', '2 0 0', '2 1 1', '2 2 2']
  t.deepEqual(seen.sort(), expected)
})

test('a publish whose PUBREC was lost is not accepted a second time, over a reconnect, a kill and a power cut', async t => {
  let { store } = await startCore(t).then(async first => {
    const publisher = await first.connect(sender)
    publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7 })
    await publisher.next('pubrec')
    publisher.destroy()
    return first
  })
  for (const stop of ['process', 'machine', 'process'] as const) {
    store = store.crash(stop, 0)
    const { connect, core } = await startCore(t, { store })
    const head = core.directory.server().headSequence
    const publisher = await connect(sender)
    publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7, dup: true })
    await publisher.next('pubrec')
    t.is(core.directory.server().headSequence, head, stop)
    if (stop === 'machine') await core.settle()
    publisher.destroy()
  }
  const { connect, core } = await startCore(t, { store: store.crash('process') })
  const publisher = await connect(sender)
  publisher.send({ cmd: 'pubrel', messageId: 7 })
  await publisher.next('pubcomp')
  publisher.publishOnly({ topic: 'a', payload: '2', qos: 2, messageId: 7 })
  await publisher.next('pubrec')
  t.is(core.directory.server().headSequence, 2)
})

test('PUBCOMP goes out when the freed packet id is synced, and after a power cut the id takes a new message', async t => {
  const { connect, store } = await startCore(t)
  const publisher = await connect(sender)
  publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7 })
  await publisher.next('pubrec')
  publisher.send({ cmd: 'pubrel', messageId: 7 })
  await publisher.next('pubcomp')
  const after = await startCore(t, { store: store.crash('machine', 0) })
  const again = await after.connect(sender)
  again.publishOnly({ topic: 'a', payload: '2', qos: 2, messageId: 7 })
  await again.next('pubrec')
  t.is(after.core.directory.server().headSequence, 2)
})

test('Clean Start forgets the packet ids of inbound messages', async t => {
  const { connect, core } = await startCore(t)
  const publisher = await connect(sender)
  publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7 })
  await publisher.next('pubrec')
  publisher.destroy()
  await (await connect({ clientId: 'sender', clean: true })).disconnect()
  const again = await connect(sender)
  again.publishOnly({ topic: 'a', payload: '2', qos: 2, messageId: 7, dup: true })
  await again.next('pubrec')
  t.is(core.directory.server().headSequence, 2)
})

test('a publish repeated while the first is on its way to the store is answered on the new connection, once stored', async t => {
  const { connect, store, core } = await startCore(t)
  const gate = new Gate()
  const commit = store.lane.commit
  store.lane.commit = async batch => {
    await gate.pass()
    await commit(batch)
  }
  gate.close()
  const first = await connect(sender)
  first.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7 })
  await gate.until(1)
  const second = await connect(sender)
  second.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7, dup: true })
  await second.ping()
  t.is(second.unread.filter(({ cmd }) => cmd === 'pubrec').length, 0)
  gate.open()
  await second.next('pubrec')
  t.is(core.directory.server().headSequence, 1)
})

for (const stop of ['reconnect', 'process', 'machine'] as const) {
  test(`after PUBREC only PUBREL comes again, never the message: ${stop}`, async t => {
    const first = await startCore(t)
    const subscriber = await first.connect(silent)
    await subscriber.subscribe('a', 2)
    const publisher = await first.connect()
    for (const payload of ['1', '2']) await publisher.publish({ topic: 'a', payload, qos: 2 })
    const [one, two] = await subscriber.messages(2)
    subscriber.ack(one!)
    await subscriber.next('pubrel')
    subscriber.destroy()
    await subscriber.closed()
    const server = stop === 'reconnect' ? first : await startCore(t, { store: first.store.crash(stop, 0) })
    const again = await server.connect(silent)
    t.is((await again.next('pubrel')).messageId, one!.messageId)
    const repeated = await again.next('publish')
    t.deepEqual([repeated.payload.toString(), repeated.messageId, repeated.dup], ['2', two!.messageId, true])
    again.send({ cmd: 'pubcomp', messageId: one!.messageId! })
    again.ack(repeated)
    await again.next('pubrel')
    again.send({ cmd: 'pubcomp', messageId: repeated.messageId! })
    await again.ping()
    t.is(server.core.directory.session('logger')!.inflight(), 0)
  })
}

test('what was sent with QoS 2 before a power cut comes again under its packet id, and nothing else twice', async t => {
  const first = await startCore(t)
  const subscriber = await first.connect(silent)
  await subscriber.subscribe('a', 2)
  const publisher = await first.connect()
  for (let i = 1; i <= 5; i++) await publisher.publish({ topic: 'a', payload: `${i}`, qos: 2 })
  const sent = await subscriber.messages(5)
  const server = await startCore(t, { store: first.store.crash('machine', 0) })
  const again = await server.connect(silent)
  const resent = await again.messages(5)
  t.deepEqual(
    resent.map(({ messageId, payload, dup }) => [messageId, String(payload), dup]),
    sent.map(({ messageId, payload }) => [messageId, String(payload), true])
  )
})

test('a PUBREC that refuses ends the delivery', async t => {
  const { connect, core } = await startCore(t)
  const subscriber = await connect({ ...silent, protocolVersion: 5, expirySeconds: 100 })
  await subscriber.subscribe('a', 2)
  await (await connect()).publish({ topic: 'a', payload: '1', qos: 2 })
  subscriber.ack(await subscriber.next('publish'), 0x80)
  await subscriber.ping()
  t.is(core.directory.session('logger')!.inflight(), 0)
  t.false(subscriber.received.some(({ cmd }) => cmd === 'pubrel'))
})

test('a QoS 2 publish that the store refuses gets PUBREC with the reason, and its packet id is free', async t => {
  const { connect, store } = await startCore(t)
  const publisher = await connect({ ...sender, protocolVersion: 5, expirySeconds: 100 })
  store.faults.commit = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7 })
  t.is((await publisher.next('pubrec')).reasonCode, 0x97)
  delete store.faults.commit
  publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7 })
  t.is((await publisher.next('pubrec')).reasonCode ?? 0, 0)
})

test('more publishes than Receive Maximum without an answer end the connection with 0x93', async t => {
  const { connect } = await startCore(t, { settings: { receiveMaximum: 3 } })
  const publisher = await connect({ ...sender, protocolVersion: 5, expirySeconds: 100 })
  t.is(publisher.connack?.properties?.receiveMaximum, 3)
  for (let messageId = 1; messageId <= 4; messageId++) {
    publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId })
  }
  t.is((await publisher.next('disconnect')).reasonCode, 0x93)
  const again = await connect({ ...sender, protocolVersion: 5, expirySeconds: 100 })
  for (const messageId of [1, 2, 3]) {
    again.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId, dup: true })
    await again.next('pubrec')
    again.send({ cmd: 'pubrel', messageId })
    await again.next('pubcomp')
  }
  await again.publish({ topic: 'a', payload: '1', qos: 2 })
  t.pass()
})

test('without the sync of a note nothing of QoS 2 is answered, and with it everything is', async t => {
  const { connect, store } = await startCore(t)
  const publisher = await connect(sender)
  publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7 })
  await publisher.next('pubrec')
  store.faults.append = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  const other = await connect({ clientId: 'other' })
  publisher.send({ cmd: 'pubrel', messageId: 7 })
  publisher.send({ cmd: 'pingreq' })
  await other.ping()
  t.false(publisher.received.some(({ cmd }) => cmd === 'pubcomp'))
  delete store.faults.append
  await publisher.next('pubcomp')
  const after = await startCore(t, { store: store.crash('machine', 0) })
  const again = await after.connect(sender)
  again.publishOnly({ topic: 'a', payload: '2', qos: 2, messageId: 7 })
  await again.next('pubrec')
  t.is(after.core.directory.server().headSequence, 2)
})
