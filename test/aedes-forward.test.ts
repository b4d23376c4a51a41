import test from 'ava'
import { event, VERSIONS } from './helpers/aedes.ts'
import { arrived, startAedesServer } from './helpers/aedes-server.ts'

/* authorizeForward: asked for every delivery, and only when it is set. */

for (const qos of [0, 1, 2] as const) {
  test(`what authorizeForward changes is what that client gets, and nobody else: QoS ${qos}`, async t => {
    const { aedes, connect } = await startAedesServer(t)
    const publisher = await connect({ clientId: 'publisher' })
    const plain = await connect({ clientId: 'plain', protocolVersion: 5 })
    const properties = { userProperties: { z: '1', a: '2' }, contentType: 'text/plain' }
    for (const [, protocolVersion] of VERSIONS) {
      const clientId = `changed ${protocolVersion}`
      const changed = await connect({ clientId, protocolVersion })
      aedes.authorizeForward = (client, packet) => {
        if (client.id !== clientId) return packet
        t.like(packet, { cmd: 'publish', topic: 'a', clientId: 'five' })
        packet.topic = 'another/topic'
        packet.payload = 'another payload'
        return packet
      }
      await changed.subscribe('#', qos)
      await plain.subscribe('#', qos)
      const five = await connect({ clientId: 'five', protocolVersion: 5 })
      await five.publish({ topic: 'a', payload: 'x', qos, properties })
      const message = await changed.next('publish')
      t.like(message, { topic: 'another/topic', qos })
      t.is(String(message.payload), 'another payload')
      if (protocolVersion === 5) t.like(message.properties, { contentType: 'text/plain' })
      t.deepEqual(await arrived(plain), ['a x'])
      await changed.disconnect()
    }
    t.deepEqual(await arrived(publisher), [])
  })

  test(`what authorizeForward keeps back does not come later, and is counted: QoS ${qos}`, async t => {
    const { aedes, connect, core } = await startAedesServer(t)
    const publisher = await connect()
    const kept = { clientId: 'kept', clean: false }
    const client = await connect(kept)
    await client.subscribe('a', qos)
    aedes.authorizeForward = (_client, packet) => (String(packet.payload) === 'secret' ? null : packet)
    for (const payload of ['one', 'secret', 'two']) await publisher.publish({ topic: 'a', payload, qos })
    t.deepEqual(await client.payloads(2), ['one', 'two'])
    t.is(core.directory.server().droppedMessages, 1)
    await client.ping()
    await client.disconnect()
    const again = await connect(kept)
    t.deepEqual(await arrived(again), [])
    t.is(await core.directory.session('kept')?.backlog(), 0)
  })
}

test('authorizeForward is asked about what waited for a client, and about retained messages', async t => {
  const { aedes, connect } = await startAedesServer(t)
  const publisher = await connect()
  const away = { clientId: 'away', clean: false }
  const first = await connect(away)
  await first.subscribe('queue/#')
  await first.disconnect()
  for (const payload of ['1', 'secret', '2']) await publisher.publish({ topic: 'queue/a', payload, qos: 1 })
  await publisher.publish({ topic: 'kept/a', payload: 'secret', qos: 1, retain: true })
  await publisher.publish({ topic: 'kept/b', payload: 'open', qos: 1, retain: true })
  aedes.authorizeForward = (_client, packet) => (String(packet.payload) === 'secret' ? null : packet)
  const again = await connect(away)
  t.deepEqual(await again.payloads(2), ['1', '2'])
  await again.subscribe('kept/#')
  t.deepEqual(await arrived(again), ['kept/b open'])
})

test('a message that authorizeForward makes illegal is kept back, and the connection goes on', async t => {
  const { aedes, connect, log } = await startAedesServer(t)
  const client = await connect()
  await client.subscribe('#')
  aedes.authorizeForward = (_client, packet) => {
    if (packet.topic === 'bad') packet.topic = 'a/+'
    return packet
  }
  for (const topic of ['bad', 'good']) await client.publish({ topic, payload: 'x', qos: 1 })
  t.deepEqual(await arrived(client), ['good x'])
  t.true(log.texts('error').some(text => text.includes('a packet that a hook has changed')))
})

test('authorizeForward is not asked when it is not set', async t => {
  const { core, connect, aedes } = await startAedesServer(t)
  t.false(core.broker.hasForwardHook)
  const standard = aedes.authorizeForward
  aedes.authorizeForward = (_client, packet) => packet
  t.true(core.broker.hasForwardHook)
  aedes.authorizeForward = standard
  t.false(core.broker.hasForwardHook)
  const client = await connect()
  await client.subscribe('a')
  await client.publish({ topic: 'a', payload: 'x', qos: 1 })
  t.deepEqual(await arrived(client), ['a x'])
})

test('an inflight message is shown again before it is sent again', async t => {
  const { aedes, connect } = await startAedesServer(t)
  const publisher = await connect()
  const slow = { clientId: 'slow', clean: false, isAcking: false }
  const client = await connect(slow)
  await client.subscribe('a')
  await publisher.publish({ topic: 'a', payload: 'x', qos: 1 })
  await client.next('publish')
  const gone = event(aedes, 'clientDisconnect')
  client.destroy()
  await gone
  aedes.authorizeForward = (_client, packet) => ({ ...packet, payload: 'changed' })
  const again = await connect(slow)
  const message = await again.next('publish')
  t.deepEqual([String(message.payload), message.dup], ['changed', true])
})
