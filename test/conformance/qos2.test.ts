import test from 'ava'
import { arrived, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { startTimed } from '../helpers/conformance-clock.ts'
import { cut } from '../helpers/conformance-core.ts'
import { startCore } from '../helpers/core.ts'

// MQTT section 4.3.3, and 4.4 for QoS 2

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-4.3.3-2] of 3.1.1, [MQTT-4.3.3-8], [MQTT-4.3.3-10] of 5
  test(`a QoS 2 publish of MQTT ${name} that comes again before its PUBREL is answered again and delivered once`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', { qos: 2 })
    const session = kept(protocolVersion, 'publisher')
    const first = await core.connect(session)
    const publish = { topic: 'a', payload: 'once', qos: 2, messageId: 9 } as const
    for (const dup of [false, true, false]) {
      first.publishOnly({ ...publish, dup })
      t.is((await first.next('pubrec')).messageId, 9)
    }
    await cut(first)
    const second = await core.connect(session)
    second.publishOnly({ ...publish, dup: true })
    t.is((await second.next('pubrec')).messageId, 9)
    second.send({ cmd: 'pubrel', messageId: 9 })
    t.is((await second.next('pubcomp')).messageId, 9)
    t.deepEqual(await reader.payloads(1), ['once'])
    t.deepEqual(await arrived(reader), [])
  })

  // [MQTT-4.3.3-2] of 3.1.1, [MQTT-4.3.3-11], [MQTT-4.3.3-12] of 5
  test(`PUBREL of MQTT ${name} is answered with PUBCOMP, after which its packet id is free for a new message`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', { qos: 2 })
    const session = kept(protocolVersion, 'publisher')
    const publisher = await core.connect(session)
    for (const payload of ['1', '2', '3']) {
      await publisher.publish({ topic: 'a', payload, qos: 2, messageId: 9, dup: payload === '2' })
    }
    publisher.send({ cmd: 'pubrel', messageId: 9 })
    t.is((await publisher.next('pubcomp')).messageId, 9)
    await cut(publisher)
    const back = await core.connect(session)
    await back.publish({ topic: 'a', payload: '4', qos: 2, messageId: 9 })
    t.deepEqual(await reader.payloads(4), ['1', '2', '3', '4'])
    t.deepEqual(await arrived(reader), [])
  })

  // [MQTT-4.3.3-1] of 3.1.1, [MQTT-4.3.3-1] to [MQTT-4.3.3-3] of 5
  test(`a QoS 2 message to MQTT ${name} comes again with DUP until its PUBREC`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', { ...kept(protocolVersion), isAcking: false, qos: 2 })
    const publisher = await core.connect({ clientId: 'publisher' })
    await publisher.publish({ topic: 'a', payload: 'x', qos: 2 })
    const first = await reader.next('publish')
    t.deepEqual([first.qos, first.dup], [2, false])
    t.true(first.messageId! > 0)
    await cut(reader)
    for (let round = 0; round < 2; round++) {
      const back = await core.connect({ ...kept(protocolVersion), isAcking: false })
      const again = await back.next('publish')
      t.deepEqual([again.qos, again.dup, again.messageId], [2, true, first.messageId])
      t.deepEqual(await arrived(back), [])
      await cut(back)
    }
  })

  // [MQTT-4.3.3-1], [MQTT-4.4.0-1] of 3.1.1, [MQTT-4.3.3-4] to [MQTT-4.3.3-6], [MQTT-4.4.0-1] of 5
  test(`a QoS 2 message to MQTT ${name} is released by PUBREL after its PUBREC, again and again until PUBCOMP, and not published again`, async t => {
    const core = await startTimed(t)
    const reader = await subscriber(core, 'a', { ...kept(protocolVersion), isAcking: false, qos: 2 })
    const publisher = await core.connect({ clientId: 'publisher' })
    await publisher.publish({ topic: 'a', payload: 'x', qos: 2 })
    const { messageId } = await reader.next('publish')
    reader.send({ cmd: 'pubrec', messageId: messageId! })
    t.is((await reader.next('pubrel')).messageId, messageId)
    await cut(reader)
    const second = await core.connect({ ...kept(protocolVersion), isAcking: false })
    t.is((await second.next('pubrel')).messageId, messageId)
    t.deepEqual(await arrived(second), [])
    const restarted = await core.restart()
    const third = await restarted.connect({ ...kept(protocolVersion), isAcking: false })
    t.is((await third.next('pubrel')).messageId, messageId)
    t.deepEqual(await arrived(third), [])
    third.send({ cmd: 'pubcomp', messageId: messageId! })
    await third.ping()
    await cut(third)
    const last = await restarted.connect(kept(protocolVersion))
    await last.ping()
    t.deepEqual(
      last.received.map(({ cmd }) => cmd),
      ['connack', 'pingresp']
    )
  })

  test(`PUBREC of MQTT ${name} that comes again is answered with PUBREL again`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', { protocolVersion, isAcking: false, qos: 2 })
    const publisher = await core.connect()
    await publisher.publish({ topic: 'a', qos: 2 })
    const { messageId } = await reader.next('publish')
    for (let round = 0; round < 2; round++) {
      reader.send({ cmd: 'pubrec', messageId: messageId! })
      t.is((await reader.next('pubrel')).messageId, messageId)
    }
    t.false(reader.isClosed)
  })

  test(`Clean Start of MQTT ${name} forgets the packet ids of QoS 2 publishes`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', { qos: 2 })
    const session = kept(protocolVersion, 'publisher')
    const first = await core.connect(session)
    const publish = { topic: 'a', qos: 2, messageId: 9 } as const
    first.publishOnly({ ...publish, payload: '1' })
    await first.next('pubrec')
    await cut(first)
    const clean = await core.connect({ ...session, clean: true })
    await clean.publish({ ...publish, payload: '2' })
    t.deepEqual(await reader.payloads(2), ['1', '2'])
  })
}

// [MQTT-4.3.3-9] of 5
test('a packet id whose PUBREC told of a failure is free for a new message', async t => {
  const core = await startCore(t)
  const { aedes } = core.core.broker
  const reader = await subscriber(core, '#', { qos: 2 })
  const publisher = await core.connect({ protocolVersion: 5 })
  aedes.authorizePublish = (_client, { topic }, done) => done(topic === 'secret' ? new Error('no') : null)
  publisher.publishOnly({ topic: 'secret', payload: '1', qos: 2, messageId: 9 })
  t.is((await publisher.next('pubrec')).reasonCode, 0x87)
  publisher.publishOnly({ topic: 'open', payload: '2', qos: 2, messageId: 9 })
  t.is((await publisher.next('pubrec')).reasonCode ?? 0, 0)
  publisher.send({ cmd: 'pubrel', messageId: 9 })
  await publisher.next('pubcomp')
  t.deepEqual(await reader.payloads(1), ['2'])
})

// [MQTT-4.3.3-7], [MQTT-4.3.3-13] of 5
test('a QoS 2 message that was sent, or received, before it expired is brought to its end', async t => {
  const core = await startTimed(t)
  const reader = await subscriber(core, 'a', { ...kept(5), isAcking: false, qos: 2 })
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  const properties = { messageExpiryInterval: 10 }
  publisher.publishOnly({ topic: 'a', payload: 'x', qos: 2, messageId: 9, properties })
  await publisher.next('pubrec')
  const { messageId } = await reader.next('publish')
  await cut(reader)
  await core.clock.pass(60)
  publisher.send({ cmd: 'pubrel', messageId: 9 })
  t.is((await publisher.next('pubcomp')).reasonCode ?? 0, 0)
  const back = await core.connect({ ...kept(5), isAcking: false })
  t.is((await back.next('publish')).messageId, messageId)
  back.send({ cmd: 'pubrec', messageId: messageId! })
  t.is((await back.next('pubrel')).reasonCode ?? 0, 0)
  back.send({ cmd: 'pubcomp', messageId: messageId! })
  await back.ping()
  t.is(core.core.directory.session('kept')!.inflight(), 0)
})
