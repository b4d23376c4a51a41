import test from 'ava'
import { arrived, assertEnded, CODE, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { ByteClient, type Bytes, connect, packet, properties, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT section 3.3. Retained messages: retained.test.ts; properties that count: expiry.test.ts, alias.test.ts

const QOS = [0, 1, 2] as const

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.3.1-2], [MQTT-3.3.1-3], [MQTT-4.3.1-1]; [MQTT-4.3.2-1], [MQTT-4.3.3-1] of 3.1.1,
  // [MQTT-4.3.2-2], [MQTT-4.3.3-2] of 5
  test(`DUP of a publisher is not passed on to MQTT ${name}, and a first delivery has none`, async t => {
    const core = await startCore(t)
    for (const granted of QOS) {
      const reader = await subscriber(core, 'a', { clientId: 'reader', protocolVersion, qos: granted })
      const publisher = await core.connect({ clientId: 'publisher' })
      await publisher.publish({ topic: 'a', qos: 1, dup: true })
      await publisher.publish({ topic: 'a', qos: 2, dup: true })
      for (const qos of [1, 2]) {
        const message = await reader.next('publish')
        t.false(message.dup)
        t.is(message.qos, Math.min(qos, granted) as 0)
      }
    }
  })

  // [MQTT-3.3.4-1]
  test(`a publish of MQTT ${name} is answered as its QoS says`, async t => {
    const { connect: join } = await startCore(t)
    const client = await join({ protocolVersion })
    await client.publish({ topic: 'a', qos: 0 })
    client.publishOnly({ topic: 'a', qos: 1 })
    client.publishOnly({ topic: 'a', qos: 2 })
    await client.next('pubrec')
    await client.ping()
    t.deepEqual(client.received.map(({ cmd }) => cmd).sort(), ['connack', 'pingresp', 'puback', 'pubrec'])
  })

  // [MQTT-3.3.5-1] of 3.1.1, [MQTT-3.3.4-2] of 5
  test(`a message for overlapping filters reaches MQTT ${name} once, with the highest QoS of them`, async t => {
    const core = await startCore(t)
    const publisher = await core.connect({ clientId: 'publisher' })
    const orders = [
      [0, 1, 2],
      [2, 1, 0],
      [1, 2, 0]
    ] as const
    for (const order of orders) {
      const reader = await core.connect({ clientId: 'reader', protocolVersion })
      for (const [i, filter] of ['a/b', 'a/+', '#'].entries()) await reader.subscribe(filter, order[i]!)
      for (const qos of QOS) {
        await publisher.publish({ topic: 'a/b', payload: String(qos), qos })
        const message = await reader.next('publish')
        t.is(message.qos, qos)
      }
      t.deepEqual(await arrived(reader), [])
    }
  })
}

// [MQTT-3.3.5-2] of 3.1.1
test('a publish that is not authorized ends a 3.1.1 connection, and tells MQTT 5 why', async t => {
  const core = await startCore(t)
  core.core.broker.aedes.authorizePublish = (_client, { topic }, done) => {
    done(topic === 'secret' ? new Error('no') : null)
  }
  const watcher = await subscriber(core, '#', { clientId: 'watcher', protocolVersion: 5 })
  const five = await core.connect({ protocolVersion: 5 })
  const puback = await five.publish({ topic: 'secret', qos: 1 })
  t.is(puback?.cmd === 'puback' && puback.reasonCode, 0x87)
  const messageId = five.publishOnly({ topic: 'secret', qos: 2 })
  t.is((await five.next('pubrec', ack => ack.messageId === messageId)).reasonCode, 0x87)
  for (const qos of [1, 2] as const) {
    const four = await core.connect()
    four.publishOnly({ topic: 'secret', qos })
    await four.closed()
    t.is(four.received.length, 1)
  }
  t.deepEqual(await arrived(watcher), [])
})

/** Properties in an order of their own, with names that repeat, and no two alike. */
const USER: readonly Bytes[] = [
  ['z', '1'],
  ['a', '2'],
  ['z', '0'],
  ['a', '2'],
  ['', '']
].map(([name, value]) => [38, ...text(name!), ...text(value!)])

const SENT: readonly (readonly [string, Bytes])[] = [
  ['Payload Format Indicator', [1, 1]],
  ['Content Type', [3, ...text('text/plain; charset=ä')]],
  ['Response Topic', [8, ...text('answers/ä')]],
  ['Correlation Data', [9, ...text([0, 1, 2, 255, 0xc3])]],
  ['User Properties', USER.flat()]
]

/** The properties of a PUBLISH as bytes, without their length (up to 127). */
function propertiesOf({ header, body }: { header: number; body: Buffer }): Bytes {
  const at = 2 + body.readUInt16BE(0) + (header & 6 ? 2 : 0)
  return [...body.subarray(at + 1, at + 1 + body[at]!)]
}

// [MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-18], [MQTT-3.3.2-20] of 5
for (const [name, property] of SENT) {
  test(`${name} of a message are passed on unchanged and in order`, async t => {
    const core = await startCore(t)
    for (const qos of QOS) {
      const reader = ByteClient.open(
        core,
        connect({ version: 5, payload: text('reader') }),
        packet(0x82, 0, 1, 0, text('a'), qos)
      )
      await reader.packet(1)
      const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
      const id = qos === 0 ? [] : [0, 1]
      publisher.sendBytes(Buffer.from(packet(0x30 | (qos << 1), text('a'), id, properties(property), 120)))
      if (qos === 2) publisher.send({ cmd: 'pubrel', messageId: 1 })
      t.deepEqual(propertiesOf(await reader.packet(2)), property, `QoS ${qos}`)
      reader.destroy()
      publisher.destroy()
    }
  })

  test(`${name} of a message are passed on unchanged to a session that was away, and with a retained message`, async t => {
    const core = await startCore(t)
    const away = await subscriber(core, 'a', kept(5, 'away'))
    await away.disconnect()
    const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
    publisher.sendBytes(Buffer.from(packet(0x33, text('a'), 0, 1, properties(property), 120)))
    await publisher.next('puback')
    const hour = [17, 0, 0, 14, 16]
    const back = ByteClient.open(
      core,
      connect({ version: 5, flags: 0, payload: text('away'), properties: hour })
    )
    t.deepEqual(propertiesOf(await back.packet(1)), property)
    const late = ByteClient.open(
      core,
      connect({ version: 5, payload: text('late') }),
      packet(0x82, 0, 1, 0, text('a'), 1)
    )
    t.deepEqual(propertiesOf(await late.packet(2)), property)
  })
}

test('a message goes to 3.1.1 without its properties', async t => {
  const core = await startCore(t)
  const reader = await subscriber(core, 'a')
  const publisher = await core.connect({ protocolVersion: 5 })
  for (const qos of QOS) {
    await publisher.publish({ topic: 'a', payload: 'x', qos, properties: { contentType: 'text/plain' } })
    t.is((await reader.next('publish')).payload.toString(), 'x')
  }
})

test('a publish to a topic of the server is not authorized', async t => {
  const { connect: join } = await startCore(t)
  for (const { protocolVersion, name } of VERSIONS) {
    const client = await join({ protocolVersion })
    client.sendBytes(Buffer.from(packet(0x30, text('$SYS/x'), protocolVersion === 5 ? [0] : [])))
    await assertEnded(t, client, protocolVersion === 5 ? [0x87, CODE.topicInvalid] : null, `MQTT ${name}`)
  }
})
