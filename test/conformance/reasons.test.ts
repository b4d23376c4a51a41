import test from 'ava'
import { subscriber } from '../helpers/conformance.ts'
import { ByteClient, type Bytes, connect, packet, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT 5.0 sections 2.4, 3.1.2.11.7, 3.4 to 3.7, 3.9, 3.11: reason codes, and reason strings for those who want them

/** What each type of answer may say. @see MQTT 5.0 section 2.4, table 2-6 */
const CODES: ReadonlyMap<number, readonly number[]> = new Map([
  [0x40, [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]],
  [0x50, [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]],
  [0x62, [0, 0x92]],
  [0x70, [0, 0x92]]
])

/** Leads to an answer of every type, good ones and bad ones. */
async function talk(t: Parameters<typeof startCore>[0], wanted: 0 | 1): Promise<ByteClient> {
  const core = await startCore(t)
  core.core.broker.aedes.authorizePublish = (_client, { topic }, done) => {
    done(topic === 'secret' ? new Error('no') : null)
  }
  const client = ByteClient.open(core, connect({ version: 5, properties: [23, wanted] }))
  await client.packet(0)
  const sent: Bytes[] = [
    packet(0x32, text('secret'), 0, 1, 0),
    packet(0x32, text('nobody'), 0, 2, 0),
    packet(0x34, text('secret'), 0, 3, 0),
    packet(0x34, text('nobody'), 0, 4, 0),
    packet(0x62, 0, 4),
    packet(0x62, 0, 9),
    packet(0x50, 0, 9),
    packet(0x82, 0, 5, 0, text('a#'), 0, text('a'), 0),
    packet(0xa2, 0, 6, 0, text('b'), text('a'))
  ]
  for (const [i, bytes] of sent.entries()) {
    client.send(bytes)
    await client.packet(i + 1)
  }
  client.send(packet(0xc1))
  await client.closed()
  return client
}

// [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]
test('PUBACK, PUBREC, PUBREL and PUBCOMP have reason codes of their own type', async t => {
  const { packets } = await talk(t, 1)
  for (const [header, codes] of CODES) {
    const found = packets.filter(one => one.header === header)
    t.true(found.length > 0, `0x${header.toString(16)}`)
    for (const { body } of found) t.true(codes.includes(body.length > 2 ? body[2]! : 0))
  }
})

// [MQTT-3.1.2-29]
test('a client that wants no problem information gets no reason string', async t => {
  const { packets } = await talk(t, 0)
  for (const { header, body } of packets) {
    if (header === 0x20 || header === 0xe0) continue
    const isSubscription = header === 0x90 || header === 0xb0
    if (isSubscription) t.is(body[2], 0, 'no properties')
    else t.true(body.length <= 3 || body[3] === 0, `0x${header.toString(16)} has properties`)
  }
  const told = await talk(t, 1)
  const puback = told.packets.find(({ header }) => header === 0x40)!
  t.true(puback.body.length > 4, 'others are told why')
})

// [MQTT-3.1.2-29]
test('User Properties of a message come to a client that wants no problem information', async t => {
  const core = await startCore(t)
  const reader = await subscriber(core, 'a', {
    protocolVersion: 5,
    properties: { requestProblemInformation: false }
  })
  const publisher = await core.connect({ protocolVersion: 5 })
  await publisher.publish({ topic: 'a', qos: 1, properties: { userProperties: { name: 'value' } } })
  t.deepEqual({ ...(await reader.next('publish')).properties?.userProperties }, { name: 'value' })
})
