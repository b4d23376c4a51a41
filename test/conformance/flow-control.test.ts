import test from 'ava'
import { arrived, assertEnded, CODE, kept, subscriber } from '../helpers/conformance.ts'
import { startCore } from '../helpers/core.ts'

// MQTT 5.0 sections 3.3.4 and 4.9: Receive Maximum

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

// [MQTT-3.3.4-9], [MQTT-4.9.0-1], [MQTT-4.9.0-2]
test('no more than Receive Maximum messages of QoS 1 and 2 are unacknowledged', async t => {
  const core = await startCore(t)
  const reader = await subscriber(core, 'a', { ...kept(5), isAcking: false, qos: 2, receiveMaximum: 3 })
  const publisher = await core.connect({ clientId: 'publisher' })
  for (const payload of numbers(1, 9)) {
    await publisher.publish({ topic: 'a', payload, qos: Number(payload) % 2 ? 2 : 1 })
  }
  const first = await reader.messages(3)
  t.deepEqual(await arrived(reader), [])
  reader.ack(first[0]!)
  await reader.next('pubrel')
  t.deepEqual(await arrived(reader), []) // PUBREC gives no room, PUBCOMP does
  reader.send({ cmd: 'pubcomp', messageId: first[0]!.messageId! })
  t.deepEqual(await reader.payloads(1), ['4'])
  reader.ack(first[1]!)
  t.deepEqual(await reader.payloads(1), ['5'])
  reader.ack(first[2]!, 0x80) // a PUBREC that refuses ends the delivery
  t.deepEqual(await reader.payloads(1), ['6'])
  t.deepEqual(await arrived(reader), [])
})

// [MQTT-3.3.4-10], [MQTT-4.9.0-3]
test('a client whose Receive Maximum is used up gets everything else', async t => {
  const core = await startCore(t)
  const reader = await subscriber(core, ['a', 'b'], {
    protocolVersion: 5,
    isAcking: false,
    qos: 2,
    receiveMaximum: 1
  })
  const publisher = await core.connect()
  for (const payload of numbers(1, 3)) await publisher.publish({ topic: 'a', payload, qos: 1 })
  await reader.messages(1)
  await publisher.publish({ topic: 'b', payload: 'QoS 0', qos: 0 })
  t.deepEqual(await reader.payloads(1), ['QoS 0'])
  await reader.subscribe('c', 1)
  await reader.unsubscribe('c')
  t.deepEqual((await reader.publish({ topic: 'd', qos: 2 }))?.cmd, 'pubcomp')
  t.deepEqual(await arrived(reader), [])
})

// [MQTT-3.3.4-7] binds the client; MQTT 5.0 section 3.3.4 tells what the server does
test('a client that publishes more than the Receive Maximum of the server is told 0x93', async t => {
  const most = 5
  const core = await startCore(t, { settings: { receiveMaximum: most } })
  for (const qos of [1, 2] as const) {
    const client = await core.connect({ clientId: 'client', protocolVersion: 5 })
    t.is(client.connack!.properties?.receiveMaximum, most)
    for (let id = 1; id <= most; id++) client.publishOnly({ topic: 'a', qos: 2, messageId: id })
    await client.next('pubrec', ({ messageId }) => messageId === most)
    client.send({ cmd: 'pubrel', messageId: 1 })
    await client.next('pubcomp')
    await client.publish({ topic: 'a', qos: 1 }) // there is room for one
    client.publishOnly({ topic: 'a', qos: 2, messageId: 1 })
    await client.next('pubrec', ({ messageId }) => messageId === 1)
    client.publishOnly({ topic: 'a', qos, messageId: most + 1 })
    await assertEnded(t, client, CODE.receiveMaximum, `QoS ${qos}`)
  }
})

// [MQTT-3.3.4-7]
test('publishes that are answered, refused ones too, do not count against the Receive Maximum of the server', async t => {
  const core = await startCore(t, { settings: { receiveMaximum: 2 } })
  core.core.broker.aedes.authorizePublish = (_client, { topic }, done) => {
    done(topic === 'secret' ? new Error('no') : null)
  }
  const client = await core.connect({ protocolVersion: 5 })
  for (let round = 0; round < 10; round++) {
    await client.publish({ topic: 'a', qos: round % 2 ? 1 : 2 })
    await client.publish({ topic: 'secret', qos: 1 })
    const messageId = client.publishOnly({ topic: 'secret', qos: 2 })
    await client.next('pubrec', ack => ack.messageId === messageId)
  }
  t.false(client.isClosed)
})
