import test from 'ava'
import { arrived, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { ByteClient, connect, packet, text } from '../helpers/conformance-bytes.ts'
import { cut } from '../helpers/conformance-core.ts'
import { startCore } from '../helpers/core.ts'

// MQTT sections 3.10 and 3.11

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6]; [MQTT-3.11.3-1], [MQTT-3.11.3-2] of 5
  test(`one UNSUBACK answers all filters of MQTT ${name}, whether they were there or not`, async t => {
    const core = await startCore(t)
    const none = protocolVersion === 5 ? [0] : []
    const client = ByteClient.open(core, connect({ version: protocolVersion }))
    client.send(packet(0x82, 0, 1, none, text('a'), 1, text('b/+'), 1))
    client.send(packet(0xa2, 1, 2, none, text('x'), text('a'), text('a'), text('b/+')))
    client.send(packet(0xa2, 1, 3, none, text('y')))
    const answers = [await client.packet(2), await client.packet(3)].map(({ header, body }) => [
      header,
      ...body
    ])
    const codes =
      protocolVersion === 5
        ? [
            [0, 0x11, 0, 0x11, 0],
            [0, 0x11]
          ]
        : [[], []]
    t.deepEqual(answers, [
      [0xb0, 1, 2, ...codes[0]!],
      [0xb0, 1, 3, ...codes[1]!]
    ])
  })

  // [MQTT-3.10.4-1]
  test(`a filter of MQTT ${name} is taken out by the same characters only`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, ['a/+', 'A/b'], { protocolVersion })
    await reader.unsubscribe('a/b', 'a/#', '+/b', '#', 'A/B', 'a/+/', '+')
    const publisher = await core.connect()
    await publisher.publish({ topic: 'a/b', payload: 'one', qos: 1 })
    await publisher.publish({ topic: 'A/b', payload: 'two', qos: 1 })
    t.deepEqual(await reader.payloads(2), ['one', 'two'])
    await reader.unsubscribe('a/+')
    await publisher.publish({ topic: 'a/b', qos: 1 })
    await publisher.publish({ topic: 'A/b', payload: 'three', qos: 1 })
    t.deepEqual(await arrived(reader), ['three'])
  })

  // [MQTT-3.10.4-2], [MQTT-3.10.4-3]
  test(`UNSUBSCRIBE of MQTT ${name} stops new messages, and what was begun is completed`, async t => {
    const core = await startCore(t, { settings: { maxInflight: 2 } })
    const reader = await subscriber(core, 'a', { ...kept(protocolVersion), isAcking: false, qos: 2 })
    const publisher = await core.connect({ clientId: 'publisher' })
    for (const [payload, qos] of [
      ['1', 1],
      ['2', 2],
      ['3', 1]
    ] as const) {
      await publisher.publish({ topic: 'a', payload, qos })
    }
    const [one, two] = await reader.messages(2)
    await reader.unsubscribe('a')
    await publisher.publish({ topic: 'a', payload: '4', qos: 1 })
    await cut(reader)
    const back = await core.connect({ ...kept(protocolVersion), isAcking: false })
    const again = await back.messages(2)
    t.deepEqual(
      again.map(({ messageId, payload, dup }) => [messageId, payload.toString(), dup]),
      [one!, two!].map(({ messageId, payload }) => [messageId, payload.toString(), true])
    )
    for (const message of again) back.ack(message)
    await back.next('pubrel')
    back.send({ cmd: 'pubcomp', messageId: two!.messageId! })
    t.deepEqual(await arrived(back), [])
    t.is(core.core.directory.session('kept')!.inflight(), 0)
  })
}
