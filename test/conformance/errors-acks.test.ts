import test from 'ava'
import type { IPublishPacket } from 'mqtt-packet'
import {
  assertEnded,
  assertRefused,
  both,
  CODE,
  kept,
  only5,
  type Refusal,
  subscriber,
  VERSIONS
} from '../helpers/conformance.ts'
import { type Bytes, packet, properties, text } from '../helpers/conformance-bytes.ts'
import { cut } from '../helpers/conformance-core.ts'
import type { TestCore } from '../helpers/core.ts'
import { startCore } from '../helpers/core.ts'
import type { ModelStore } from '../helpers/model-store.ts'
import type { RawClient } from '../helpers/raw-client.ts'

// Acknowledgements that do not fit. MQTT sections 3.3.4, 3.4 to 3.7, 4.3

const PUBACK = 0x40
const PUBREC = 0x50
const PUBREL = 0x62
const PUBCOMP = 0x70

/** A message that is inflight to a client which acks nothing by itself. */
async function deliver(
  core: TestCore<ModelStore>,
  protocolVersion: 4 | 5,
  qos: 1 | 2
): Promise<{ reader: RawClient; message: IPublishPacket }> {
  const reader = await subscriber(core, 'a', { ...kept(protocolVersion), isAcking: false, qos })
  const publisher = await core.connect({ clientId: 'publisher' })
  await publisher.publish({ topic: 'a', payload: 'x', qos })
  return { reader, message: await reader.next('publish') }
}

/** Acknowledgements in the order in which they are sent; the last one is wrong. */
const WRONG: readonly { title: string; qos: 1 | 2; acks: readonly number[] }[] = [
  { title: 'PUBREC for a QoS 1 message', qos: 1, acks: [PUBREC] },
  { title: 'PUBCOMP for a QoS 1 message', qos: 1, acks: [PUBCOMP] },
  { title: 'PUBACK for a QoS 2 message', qos: 2, acks: [PUBACK] },
  { title: 'PUBCOMP for a QoS 2 message before its PUBREC', qos: 2, acks: [PUBCOMP] },
  { title: 'PUBACK for a QoS 2 message after its PUBREC', qos: 2, acks: [PUBREC, PUBACK] }
]

// [MQTT-3.3.4-1]
for (const { title, qos, acks } of WRONG) {
  test(`${title} is refused and acknowledges nothing`, async t => {
    for (const { protocolVersion, name } of VERSIONS) {
      const core = await startCore(t)
      const { reader, message } = await deliver(core, protocolVersion, qos)
      for (const header of acks) {
        reader.sendBytes(Buffer.from(packet(header, message.messageId! >> 8, message.messageId! & 255)))
      }
      await assertEnded(t, reader, protocolVersion === 5 ? CODE.protocolError : null, `MQTT ${name}`)
      const again = await core.connect({ ...kept(protocolVersion), isAcking: false })
      if (acks.length === 1) t.is((await again.next('publish')).messageId, message.messageId)
      else t.is((await again.next('pubrel')).messageId, message.messageId)
    }
  })
}

test('PUBACK and PUBCOMP for a packet id that is not inflight are passed over', async t => {
  const { connect } = await startCore(t)
  for (const { protocolVersion } of VERSIONS) {
    const client = await connect({ protocolVersion })
    for (const header of [PUBACK, PUBCOMP]) client.sendBytes(Buffer.from(packet(header, 0, 9)))
    await client.ping()
    t.false(client.isClosed)
    t.deepEqual(client.unread, [])
  }
})

test('PUBREC for a packet id that is not inflight is answered with PUBREL, for MQTT 5 with 0x92', async t => {
  const { connect } = await startCore(t)
  for (const { protocolVersion } of VERSIONS) {
    const client = await connect({ protocolVersion, isAcking: false })
    client.sendBytes(Buffer.from(packet(PUBREC, 0, 9)))
    const pubrel = await client.next('pubrel')
    t.is(pubrel.messageId, 9)
    if (protocolVersion === 5) t.is(pubrel.reasonCode, 0x92)
  }
})

test('PUBREL for a packet id that is not in use is answered with PUBCOMP, for MQTT 5 with 0x92', async t => {
  const { connect } = await startCore(t)
  for (const { protocolVersion } of VERSIONS) {
    const client = await connect({ protocolVersion })
    client.sendBytes(Buffer.from(packet(PUBREL, 0, 9)))
    const pubcomp = await client.next('pubcomp')
    t.is(pubcomp.messageId, 9)
    if (protocolVersion === 5) t.is(pubcomp.reasonCode, 0x92)
  }
})

const EITHER = [CODE.malformed, CODE.protocolError]
const none = properties()
const reason = properties([31, ...text('why')])

/** Acknowledgements of MQTT 5 with a reason code that they do not have; 0x10 belongs to PUBACK and PUBREC only. */
const CODES: readonly Refusal[] = [
  only5('PUBACK with an unknown reason code is refused', EITHER, packet(PUBACK, 0, 9, 0x55, none)),
  only5('PUBREC with an unknown reason code is refused', EITHER, packet(PUBREC, 0, 9, 0x92, none)),
  only5('PUBREL with an unknown reason code is refused', EITHER, packet(PUBREL, 0, 9, 0x10, none)),
  only5('PUBCOMP with an unknown reason code is refused', EITHER, packet(PUBCOMP, 0, 9, 0x87, none))
]

const ACKS = [
  ['PUBACK', PUBACK],
  ['PUBREC', PUBREC],
  ['PUBREL', PUBREL],
  ['PUBCOMP', PUBCOMP]
] as const

const BODIES: readonly Refusal[] = ACKS.flatMap(([name, header]) => [
  both(`${name} without a packet id is malformed`, CODE.malformed, packet(header)),
  both(`${name} with half a packet id is malformed`, CODE.malformed, packet(header, 1)),
  {
    title: `${name} of 3.1.1 with a byte behind its packet id is malformed`,
    four: packet(header, 0, 9, 0),
    code: 0
  },
  only5(
    `${name} with a byte behind its properties is malformed`,
    CODE.malformed,
    packet(header, 0, 9, 0, reason, 0)
  ),
  only5(`${name} with properties cut off is malformed`, CODE.malformed, packet(header, 0, 9, 0, 9, 31))
])

for (const refusal of CODES) test(refusal.title, t => assertRefused(t, refusal))
for (const refusal of BODIES) test(refusal.title, t => assertRefused(t, refusal))

test('an ack may leave its reason code or its properties out', async t => {
  const core = await startCore(t)
  const forms: readonly Bytes[] = [[], [0], [0x10], [0, 0], [0, ...reason]]
  for (const form of forms) {
    const { reader, message } = await deliver(core, 5, 1)
    reader.sendBytes(Buffer.from(packet(PUBACK, message.messageId! >> 8, message.messageId! & 255, form)))
    await reader.ping()
    t.is(core.core.directory.session('kept')!.inflight(), 0)
    await cut(reader)
  }
})
