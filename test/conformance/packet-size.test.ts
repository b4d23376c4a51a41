import test from 'ava'
import { arrived, kept, subscriber } from '../helpers/conformance.ts'
import { ByteClient, connect, packet, text } from '../helpers/conformance-bytes.ts'
import { cut } from '../helpers/conformance-core.ts'
import { startCore } from '../helpers/core.ts'

// MQTT 5.0 section 3.1.2.11.4: Maximum Packet Size of a client

const maximum = (bytes: number) => [39, 0, 0, bytes >> 8, bytes & 255]

// [MQTT-3.1.2-24], [MQTT-3.1.2-25]
test('a message that is too large for a client is dropped for it, counted, and those behind it come', async t => {
  const core = await startCore(t)
  for (const qos of [0, 1, 2] as const) {
    const options = { ...kept(5, `reader-${qos}`), receiveMaximum: 1, qos }
    const reader = await subscriber(core, 'a', { ...options, properties: { maximumPacketSize: 100 } })
    const other = await subscriber(core, 'a', { clientId: 'other', protocolVersion: 5, qos })
    const publisher = await core.connect({ clientId: 'publisher' })
    for (const size of [10, 200, 20]) await publisher.publish({ topic: 'a', payload: 'x'.repeat(size), qos })
    t.deepEqual(
      (await reader.payloads(2)).map(({ length }) => length),
      [10, 20]
    )
    t.deepEqual(
      (await other.payloads(3)).map(({ length }) => length),
      [10, 200, 20]
    )
    t.deepEqual(await arrived(reader), [])
    t.is(core.core.directory.client(`reader-${qos}`)!.droppedMessages, 1)
    if (qos > 0) t.is(core.core.directory.session(`reader-${qos}`)!.inflight(), 0)
    await cut(reader)
    const back = await core.connect(kept(5, `reader-${qos}`)) // without a limit: it was done with
    t.deepEqual(await arrived(back), [])
    await cut(back)
  }
})

// [MQTT-3.1.2-24]
test('a message may have as many bytes as a client takes, and not one more', async t => {
  const core = await startCore(t)
  const most = 64
  const reader = ByteClient.open(
    core,
    connect({ version: 5, payload: text('reader'), properties: maximum(most) }),
    packet(0x82, 0, 1, 0, text('a'), 1)
  )
  await reader.packet(1)
  const publisher = await core.connect({ protocolVersion: 5 })
  // first byte, length, topic (3), packet id (2), property length: 8 bytes before the payload
  for (const size of [most - 8, most - 7])
    await publisher.publish({ topic: 'a', payload: Buffer.alloc(size), qos: 1 })
  await publisher.publish({ topic: 'a', payload: 'last', qos: 1 })
  const [largest, last] = [await reader.packet(2), await reader.packet(3)]
  t.is(largest.body.length + 2, most)
  t.true(last.body.toString().endsWith('last'))
})

// [MQTT-3.2.2-19], [MQTT-3.4.2-2], [MQTT-3.5.2-2], [MQTT-3.9.2-1], [MQTT-3.11.2-1], [MQTT-3.14.2-3]
test('a reason string that would make a packet too large for a client is left out', async t => {
  const core = await startCore(t)
  const { aedes } = core.core.broker
  aedes.authorizePublish = (_client, { topic }, done) =>
    done(topic === 'secret' ? new Error('x'.repeat(500)) : null)
  const most = 60
  const client = ByteClient.open(core, connect({ version: 5, payload: text('c'), properties: maximum(most) }))
  await client.packet(0)
  const secret = text('secret')
  client.send(
    packet(0x32, secret, 0, 1, 0),
    packet(0x34, secret, 0, 2, 0),
    packet(0x82, 0, 3, 0, text('b#'), 0)
  )
  client.send(packet(0xa2, 0, 4, 0, text('b')), packet(0x36))
  await client.closed()
  t.deepEqual(
    client.packets.map(({ header }) => header),
    [0x20, 0x40, 0x50, 0x90, 0xb0, 0xe0]
  )
  for (const { header, length, body } of client.packets) {
    t.true(1 + length.length + body.length <= most, `0x${header.toString(16)}`)
  }
})

test('retained messages and wills that are too large for a client are dropped for it as well', async t => {
  const core = await startCore(t)
  const publisher = await core.connect({ clientId: 'publisher' })
  await publisher.publish({ topic: 'a/large', payload: 'x'.repeat(200), qos: 1, retain: true })
  await publisher.publish({ topic: 'a/small', payload: 'small', qos: 1, retain: true })
  const properties = { maximumPacketSize: 100 }
  const reader = await subscriber(core, ['a/+', 'will'], {
    protocolVersion: 5,
    clientId: 'reader',
    properties
  })
  t.deepEqual(await reader.payloads(1), ['small'])
  const will = { topic: 'will', payload: Buffer.alloc(200), qos: 1 as const, retain: false }
  const mortal = await core.connect({ clientId: 'mortal', will })
  await cut(mortal)
  t.deepEqual(await arrived(reader), [])
  t.false(reader.isClosed)
})

// [MQTT-3.1.2-24]
test('a client that cannot take an answer that it must get is disconnected, without a packet that is too large', async t => {
  const core = await startCore(t)
  const small = connect({ version: 5, payload: text('small'), properties: maximum(8) })
  const refused = ByteClient.open(core, small)
  await refused.closed()
  t.deepEqual(refused.packets, [])
  t.is(core.core.directory.client('small'), undefined)
  const client = ByteClient.open(core, connect({ version: 5, properties: maximum(60) }))
  await client.packet(0)
  const filters = Array.from({ length: 100 }, () => [...text('a'), 0]).flat()
  client.send(packet(0x82, 0, 1, 0, filters))
  await client.closed()
  const [, disconnect] = client.packets
  t.is(client.packets.length, 2)
  t.deepEqual([disconnect!.header, disconnect!.body[0]], [0xe0, 0x95])
  t.true(disconnect!.body.length + 2 <= 60)
})
