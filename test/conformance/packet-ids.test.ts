import test from 'ava'
import {
  assertRefused,
  both,
  CODE,
  kept,
  type Refusal,
  subscriber,
  VERSIONS
} from '../helpers/conformance.ts'
import { ByteClient, connect, packet, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT 3.1.1 section 2.3.1, MQTT 5.0 section 2.2.1: packet identifiers

const a = text('a')
const EITHER = [CODE.malformed, CODE.protocolError]

/** Packet id 0. PUBLISH of QoS 1, SUBSCRIBE and UNSUBSCRIBE: test/hostile-packets.test.ts. */
const ZERO: readonly Refusal[] = [
  {
    title: 'QoS 2 PUBLISH with packet id 0 is refused',
    four: packet(0x34, a, 0, 0),
    five: packet(0x34, a, 0, 0, 0),
    code: CODE.protocolError
  },
  both('PUBACK with packet id 0 is refused', EITHER, packet(0x40, 0, 0)),
  both('PUBREC with packet id 0 is refused', EITHER, packet(0x50, 0, 0)),
  both('PUBREL with packet id 0 is refused', EITHER, packet(0x62, 0, 0)),
  both('PUBCOMP with packet id 0 is refused', EITHER, packet(0x70, 0, 0))
]

for (const refusal of ZERO) test(refusal.title, t => assertRefused(t, refusal))

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-2.3.1-1], [MQTT-2.3.1-4] of 3.1.1, [MQTT-2.2.1-4] of 5
  test(`messages that are inflight to a client of MQTT ${name} have packet ids of their own, none of them 0`, async t => {
    const core = await startCore(t, { settings: { maxInflight: 60 } })
    const reader = await subscriber(core, 'a', { ...kept(protocolVersion), isAcking: false, qos: 2 })
    const publisher = await core.connect()
    for (let i = 0; i < 60; i++) await publisher.publish({ topic: 'a', qos: i % 2 === 0 ? 1 : 2 })
    const ids = (await reader.messages(60)).map(({ messageId }) => messageId!)
    t.is(new Set(ids).size, 60)
    t.true(ids.every(id => id > 0 && id < 65_536))
  })

  // [MQTT-2.3.1-6], [MQTT-2.3.1-7] of 3.1.1, [MQTT-2.2.1-5], [MQTT-2.2.1-6] of 5
  test(`answers to MQTT ${name} have the packet id of what they answer`, async t => {
    const { connect: join } = await startCore(t)
    const client = await join({ protocolVersion })
    for (const messageId of [1, 255, 256, 65_535]) {
      client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: 'b', qos: 0 }] })
      t.is((await client.next('suback')).messageId, messageId)
      client.send({ cmd: 'unsubscribe', messageId, unsubscriptions: ['b'] })
      t.is((await client.next('unsuback')).messageId, messageId)
      client.publishOnly({ topic: 'a', qos: 1, messageId })
      t.is((await client.next('puback')).messageId, messageId)
      client.publishOnly({ topic: 'a', qos: 2, messageId })
      t.is((await client.next('pubrec')).messageId, messageId)
      client.send({ cmd: 'pubrel', messageId })
      t.is((await client.next('pubcomp')).messageId, messageId)
    }
  })

  // [MQTT-2.3.1-5] of 3.1.1, [MQTT-2.2.1-2] of 5
  test(`a QoS 0 message goes to MQTT ${name} without a packet id`, async t => {
    const core = await startCore(t)
    const none = protocolVersion === 5 ? [0] : []
    const reader = ByteClient.open(
      core,
      connect({ version: protocolVersion }),
      packet(0x82, 0, 1, none, a, 2)
    )
    await reader.packet(1)
    const publisher = await core.connect()
    await publisher.publish({ topic: 'a', payload: 'x' })
    const { header, body } = await reader.packet(2)
    t.is(header, 0x30)
    t.deepEqual([...body], [...a, ...none, 120])
  })
}
