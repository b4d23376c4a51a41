import test from 'ava'
import { arrived, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { cut } from '../helpers/conformance-core.ts'
import { startCore } from '../helpers/core.ts'

// MQTT section 4.3.2, and 4.4 for QoS 1

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-4.3.2-2] of 3.1.1, [MQTT-4.3.2-4], [MQTT-4.3.2-5] of 5
  test(`a QoS 1 publish of MQTT ${name} is a new one whenever its packet id was acknowledged, DUP or not`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a')
    const publisher = await core.connect({ clientId: 'publisher', protocolVersion })
    for (const [payload, dup] of [
      ['1', false],
      ['2', true],
      ['3', false]
    ] as const) {
      const puback = await publisher.publish({ topic: 'a', payload, qos: 1, dup, messageId: 7 })
      t.is(puback?.messageId, 7)
    }
    t.deepEqual(await reader.payloads(3), ['1', '2', '3'])
  })

  // [MQTT-4.3.2-1], [MQTT-4.4.0-1], [MQTT-3.3.1-1] of 3.1.1, [MQTT-4.3.2-1] to [MQTT-4.3.2-3], [MQTT-4.4.0-1] of 5
  test(`a QoS 1 message to MQTT ${name} is unacknowledged until its PUBACK, and sent again on the next connection only`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', { ...kept(protocolVersion), isAcking: false })
    const publisher = await core.connect({ clientId: 'publisher' })
    for (const payload of ['1', '2', '3']) await publisher.publish({ topic: 'a', payload, qos: 1 })
    const sent = await reader.messages(3)
    reader.ack(sent[1]!)
    t.deepEqual(await arrived(reader), [])
    t.is(core.core.directory.session('kept')!.inflight(), 2)
    await cut(reader)
    const back = await core.connect({ ...kept(protocolVersion), isAcking: false })
    const again = await back.messages(2)
    t.deepEqual(
      again.map(({ messageId, payload, dup, qos }) => [messageId, payload.toString(), dup, qos]),
      [sent[0]!, sent[2]!].map(({ messageId, payload }) => [messageId, payload.toString(), true, 1])
    )
    for (const message of again) back.ack(message)
    t.deepEqual(await arrived(back), [])
    t.is(core.core.directory.session('kept')!.inflight(), 0)
  })
}

// [MQTT-4.4.0-2] of 5
test('a PUBACK or PUBREC with a failure acknowledges, and nothing is sent again', async t => {
  const core = await startCore(t)
  const reader = await subscriber(core, 'a', { ...kept(5), isAcking: false, qos: 2 })
  const publisher = await core.connect({ clientId: 'publisher' })
  for (const qos of [1, 2] as const) {
    await publisher.publish({ topic: 'a', qos })
    reader.ack(await reader.next('publish'), 0x83)
  }
  await reader.ping()
  t.is(core.core.directory.session('kept')!.inflight(), 0)
  t.false(reader.received.some(({ cmd }) => cmd === 'pubrel'))
  await cut(reader)
  const back = await core.connect(kept(5))
  t.deepEqual(await arrived(back), [])
})
