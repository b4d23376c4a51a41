import test from 'ava'
import { arrived, kept, subscriber } from '../helpers/conformance.ts'
import { startTimed } from '../helpers/conformance-clock.ts'
import { cut } from '../helpers/conformance-core.ts'

// MQTT 5.0 section 3.3.2.3.3: Message Expiry Interval

const expiring = (messageExpiryInterval: number) => ({ properties: { messageExpiryInterval } })

// [MQTT-3.3.2-6]
test('a message brings what is left of its expiry', async t => {
  const core = await startTimed(t)
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  const live = await subscriber(core, 'a', { clientId: 'live', protocolVersion: 5, qos: 2 })
  const away = await subscriber(core, 'a', { ...kept(5, 'away'), qos: 2 })
  await away.disconnect()
  for (const qos of [0, 1, 2] as const) {
    await publisher.publish({ topic: 'a', payload: 'x', qos, retain: qos === 1, ...expiring(100) })
    t.is((await live.next('publish')).properties?.messageExpiryInterval, 100)
  }
  await core.clock.pass(40)
  const back = await core.connect(kept(5, 'away'))
  for (const message of await back.messages(2)) t.is(message.properties?.messageExpiryInterval, 60)
  const late = await subscriber(core, 'a', { clientId: 'late', protocolVersion: 5 })
  t.is((await late.next('publish')).properties?.messageExpiryInterval, 60)
})

// [MQTT-3.3.2-6]
test('an expiry among other properties is counted down in its place', async t => {
  const core = await startTimed(t)
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  const away = await subscriber(core, 'a', kept(5))
  await away.disconnect()
  const others = { contentType: 'text/plain', correlationData: Buffer.of(2, 0, 0, 0, 100) }
  await publisher.publish({
    topic: 'a',
    payload: 'x',
    qos: 1,
    properties: { ...others, messageExpiryInterval: 100 }
  })
  await core.clock.pass(99)
  const message = await (await core.connect(kept(5))).next('publish')
  t.deepEqual({ ...message.properties }, { ...others, messageExpiryInterval: 1 })
  t.is(message.payload.toString(), 'x')
})

// [MQTT-3.3.2-5]
test('a message that expired before its delivery began is not sent, also not to 3.1.1, and counted', async t => {
  const core = await startTimed(t)
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  for (const version of [4, 5] as const) {
    const away = await subscriber(core, 'a', { ...kept(version, `away-${version}`), qos: 2 })
    await away.disconnect()
  }
  for (const qos of [1, 2] as const)
    await publisher.publish({ topic: 'a', payload: 'expired', qos, ...expiring(30) })
  await publisher.publish({ topic: 'a', payload: 'longer', qos: 1, ...expiring(300) })
  await publisher.publish({ topic: 'a', payload: 'forever', qos: 1 })
  await core.clock.pass(31)
  for (const version of [4, 5] as const) {
    const back = await core.connect(kept(version, `away-${version}`))
    t.deepEqual(await back.payloads(2), ['longer', 'forever'])
    t.deepEqual(await arrived(back), [])
  }
  t.is(core.core.directory.server().expiredMessages, 4)
})

// [MQTT-3.3.2-5]
test('a message that expires while the window is full is not sent', async t => {
  const core = await startTimed(t)
  const reader = await subscriber(core, 'a', { ...kept(5), receiveMaximum: 1, isAcking: false })
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  for (const payload of ['1', '2']) await publisher.publish({ topic: 'a', payload, qos: 1, ...expiring(30) })
  await publisher.publish({ topic: 'a', payload: '3', qos: 1 })
  const first = await reader.next('publish')
  await core.clock.pass(31)
  reader.ack(first)
  t.deepEqual(await reader.payloads(1), ['3'])
})

// [MQTT-3.3.2-5]
test('a retained message that expired is not sent to who subscribes, also after a restart', async t => {
  const before = await startTimed(t)
  const publisher = await before.connect({ clientId: 'publisher', protocolVersion: 5 })
  await publisher.publish({ topic: 'a', payload: 'short', qos: 1, retain: true, ...expiring(30) })
  await publisher.publish({ topic: 'b', payload: 'long', qos: 1, retain: true, ...expiring(300) })
  await before.clock.pass(31)
  const reader = await subscriber(before, '+', { clientId: 'reader' })
  t.deepEqual(await arrived(reader), ['long'])
  const after = await before.restart()
  const late = await subscriber(after, '+', { clientId: 'late', protocolVersion: 5 })
  const message = await late.next('publish')
  t.is(message.properties?.messageExpiryInterval, 269)
  t.deepEqual(await arrived(late), [])
})

test('an expiry of 0 reaches who is connected, and nobody later', async t => {
  const core = await startTimed(t)
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  const away = await subscriber(core, 'a', kept(5))
  await away.disconnect()
  await publisher.publish({ topic: 'a', payload: 'x', qos: 1, ...expiring(0) })
  await core.clock.pass(2)
  const back = await core.connect(kept(5))
  t.deepEqual(await arrived(back), [])
})

// section 4.4: it was sent, and whether it has arrived is not known
test('an unacknowledged QoS 1 message that has expired is not sent again, and counted', async t => {
  const core = await startTimed(t)
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  const first = await subscriber(core, 'a', { ...kept(5), isAcking: false })
  await publisher.publish({ topic: 'a', payload: 'old', qos: 1, ...expiring(10) })
  await publisher.publish({ topic: 'a', payload: 'good', qos: 1 })
  await first.messages(2)
  await cut(first)
  await core.clock.pass(20)
  const back = await core.connect(kept(5))
  t.deepEqual(await back.payloads(1), ['good'])
  t.is(core.core.directory.server().expiredMessages, 1)
})
