import test from 'ava'
import { arrived, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { startTimed } from '../helpers/conformance-clock.ts'
import { cut } from '../helpers/conformance-core.ts'
import { startCore } from '../helpers/core.ts'

// MQTT sections 3.1.2.4, 3.1.2.11.2, 4.1, 4.5

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-4.1.0-1], [MQTT-4.5.0-1] of 3.1.1,
  // [MQTT-3.1.2-5], [MQTT-3.1.2-6], [MQTT-3.1.2-23], [MQTT-4.5.0-1] of 5
  test(`a session of MQTT ${name} keeps its subscriptions and gets what came while it was away`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', { ...kept(protocolVersion), qos: 2 })
    t.false(reader.connack?.sessionPresent)
    const publisher = await core.connect({ clientId: 'publisher' })
    for (const isPolite of [true, false]) {
      const client = isPolite ? reader : await core.connect(kept(protocolVersion))
      if (isPolite) await client.disconnect()
      else await cut(client)
      for (const qos of [1, 2] as const)
        await publisher.publish({ topic: 'a', payload: `missed ${qos}`, qos })
      const back = await core.connect(kept(protocolVersion))
      t.true(back.connack?.sessionPresent)
      t.deepEqual(await back.payloads(2), ['missed 1', 'missed 2'])
      await publisher.publish({ topic: 'a', payload: 'live', qos: 1 })
      t.deepEqual(await back.payloads(1), ['live'])
      await back.disconnect()
    }
  })

  // [MQTT-3.1.2-6], [MQTT-3.1.4-3] of 3.1.1, [MQTT-3.1.2-4], [MQTT-3.1.4-4] of 5
  test(`Clean Start of MQTT ${name} discards subscriptions, backlog and what was inflight both ways`, async t => {
    const core = await startCore(t)
    const first = await subscriber(core, 'a', { ...kept(protocolVersion), isAcking: false, qos: 2 })
    const publisher = await core.connect({ clientId: 'publisher' })
    await publisher.publish({ topic: 'a', payload: 'inflight 1', qos: 1 })
    await publisher.publish({ topic: 'a', payload: 'inflight 2', qos: 2 })
    const [, two] = await first.messages(2)
    first.ack(two!)
    await first.next('pubrel')
    await cut(first)
    await publisher.publish({ topic: 'a', payload: 'queued', qos: 1 })
    const clean = await core.connect({ ...kept(protocolVersion), clean: true })
    t.false(clean.connack?.sessionPresent)
    await publisher.publish({ topic: 'a', payload: 'unsubscribed', qos: 1 })
    await clean.ping()
    t.deepEqual(
      clean.received.map(({ cmd }) => cmd),
      ['connack', 'pingresp']
    )
    await clean.subscribe('a')
    await publisher.publish({ topic: 'a', payload: 'new', qos: 1 })
    t.deepEqual(await clean.payloads(1), ['new'])
  })

  // [MQTT-4.1.0-1], [MQTT-4.1.0-2] of 3.1.1, [MQTT-4.1.0-1] of 5
  test(`a session of MQTT ${name} that was left and is connected again is not ended by the time`, async t => {
    const core = await startTimed(t, { settings: { sessionExpirySeconds: 60 } })
    const options = { ...kept(protocolVersion), ...(protocolVersion === 5 ? { expirySeconds: 60 } : {}) }
    const first = await subscriber(core, 'a', options)
    await first.disconnect()
    await core.clock.pass(50)
    const back = await core.connect(options)
    await core.clock.pass(1_000)
    const publisher = await core.connect({ clientId: 'publisher' })
    await publisher.publish({ topic: 'a', payload: 'x', qos: 1 })
    t.deepEqual(await back.payloads(1), ['x'])
  })

  // [MQTT-3.1.2-6] of 3.1.1, [MQTT-4.1.0-2] of 5
  test(`a session of MQTT ${name} that is not to be kept ends with its connection`, async t => {
    const core = await startCore(t)
    const options = { clientId: 'short', protocolVersion, clean: true }
    const reader = await subscriber(core, 'a', options)
    await reader.disconnect()
    const publisher = await core.connect({ clientId: 'publisher' })
    await publisher.publish({ topic: 'a', payload: 'missed', qos: 1 })
    const back = await core.connect({ ...options, clean: false })
    t.false(back.connack?.sessionPresent)
    t.deepEqual(await arrived(back), [])
  })
}

// [MQTT-4.1.0-2], [MQTT-3.1.2-23] of 5
test('a session is there until its expiry, and gone after it', async t => {
  const core = await startTimed(t)
  const publisher = await core.connect({ clientId: 'publisher' })
  const first = await subscriber(core, 'a', { ...kept(5), expirySeconds: 60 })
  await first.disconnect()
  await publisher.publish({ topic: 'a', payload: 'x', qos: 1 })
  await core.clock.pass(57)
  const second = await core.connect({ ...kept(5), expirySeconds: 60 })
  t.true(second.connack?.sessionPresent)
  t.deepEqual(await second.payloads(1), ['x'])
  await second.disconnect()
  await publisher.publish({ topic: 'a', payload: 'y', qos: 1 })
  await core.clock.pass(63)
  t.is(core.core.directory.session('kept'), undefined)
  const third = await core.connect({ ...kept(5), expirySeconds: 60 })
  t.false(third.connack?.sessionPresent)
  t.deepEqual(await arrived(third), [])
})

// [MQTT-4.1.0-2] of 5
test('the expiry of a session goes on over a restart, and 0xFFFFFFFF is never over', async t => {
  const before = await startTimed(t)
  for (const [clientId, expirySeconds] of [
    ['short', 60],
    ['long', 300],
    ['ever', 0xffffffff]
  ] as const) {
    const client = await subscriber(before, 'a', { ...kept(5, clientId), expirySeconds })
    await client.disconnect()
  }
  await before.clock.pass(30)
  const after = await before.restart()
  await after.clock.pass(40)
  t.is(after.core.directory.session('short'), undefined)
  await after.clock.pass(100)
  t.truthy(after.core.directory.session('long'))
  await after.clock.pass(200)
  t.is(after.core.directory.session('long'), undefined)
  t.truthy(after.core.directory.session('ever'))
})

// MQTT 5.0 sections 3.1.2.11.2 and 3.14.2.2.2
test('DISCONNECT may change the expiry of a session', async t => {
  const core = await startTimed(t)
  const visit = async (clientId: string, expirySeconds: number, sessionExpiryInterval: number) => {
    const client = await subscriber(core, 'a', { ...kept(5, clientId), expirySeconds })
    await client.disconnect({ properties: { sessionExpiryInterval } })
  }
  await visit('shortened', 3_600, 10)
  await visit('lengthened', 10, 3_600)
  await visit('ended', 3_600, 0)
  const back = await core.connect(kept(5, 'ended'))
  t.false(back.connack?.sessionPresent)
  await core.clock.pass(20)
  t.is(core.core.directory.session('shortened'), undefined)
  t.truthy(core.core.directory.session('lengthened'))
})

// [MQTT-3.1.2-5] of 5
test('a session is resumed with its backlog whatever the new connection says of its expiry', async t => {
  const core = await startTimed(t)
  const first = await subscriber(core, 'a', kept(5))
  await first.disconnect()
  const publisher = await core.connect({ clientId: 'publisher' })
  await publisher.publish({ topic: 'a', payload: 'x', qos: 1 })
  const second = await core.connect({ clientId: 'kept', protocolVersion: 5, clean: false })
  t.true(second.connack?.sessionPresent)
  t.deepEqual(await second.payloads(1), ['x'])
  await second.disconnect()
  const third = await core.connect(kept(5))
  t.false(third.connack?.sessionPresent)
})
