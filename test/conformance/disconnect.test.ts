import test from 'ava'
import { arrived, assertEnded, CODE, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { ByteClient, type Bytes, connect, packet, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT sections 3.12 and 3.14, 4.8 of 3.1.1, 4.13 of 5

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.12.4-1]
  test(`each PINGREQ of MQTT ${name} gets its PINGRESP`, async t => {
    const core = await startCore(t)
    const client = ByteClient.open(core, connect({ version: protocolVersion }))
    client.send(packet(0xc0), packet(0xc0), packet(0xc0))
    await client.packet(3)
    t.deepEqual(
      client.packets.slice(1).map(({ header, body }) => [header, body.length]),
      Array(3).fill([0xd0, 0])
    )
  })

  // [MQTT-3.14.4-1], [MQTT-3.14.4-2] bind the client; what it sends all the same is not read
  test(`what MQTT ${name} sends after its DISCONNECT is not read, and the server closes`, async t => {
    const core = await startCore(t)
    const watcher = await subscriber(core, '#', { clientId: 'watcher' })
    const none = protocolVersion === 5 ? [0] : []
    const client = ByteClient.open(core, connect({ version: protocolVersion }))
    await client.packet(0)
    client.send(
      packet(0x32, text('a'), 0, 1, none, 49),
      packet(0xe0),
      packet(0x32, text('a'), 0, 2, none, 50)
    )
    await client.closed()
    t.deepEqual(await watcher.payloads(1), ['1'])
    t.deepEqual(await arrived(watcher), [])
  })

  // [MQTT-4.8.0-1] of 3.1.1, [MQTT-4.13.1-1] of 5
  test(`what MQTT ${name} sends behind a packet that breaks the rules is not read`, async t => {
    const core = await startCore(t)
    const watcher = await subscriber(core, '#', { clientId: 'watcher' })
    const none = protocolVersion === 5 ? [0] : []
    const client = ByteClient.open(core, connect({ version: protocolVersion }))
    await client.packet(0)
    client.send(packet(0xc1), packet(0x32, text('a'), 0, 2, none, 50))
    await client.closed()
    t.deepEqual(await arrived(watcher), [])
  })
}

const REASONS = [
  0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97
]
const MORE = [0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2]

/** What makes a server say DISCONNECT. */
const ENDS: readonly (readonly [string, Bytes])[] = [
  ['a malformed packet', packet(0xc1)],
  ['a second CONNECT', connect({ version: 5 })],
  ['a wildcard in a topic', packet(0x30, text('#'), 0)],
  ['a topic of the server', packet(0x30, text('$SYS/a'), 0)]
]

// [MQTT-3.14.1-1], [MQTT-3.14.2-1], [MQTT-3.14.2-2], [MQTT-3.14.4-1], [MQTT-3.14.4-2], [MQTT-4.13.2-1] of 5
for (const [what, bytes] of ENDS) {
  test(`${what} is answered with one DISCONNECT, last of all, and the connection is closed`, async t => {
    const core = await startCore(t)
    const client = ByteClient.open(core, connect({ version: 5 }))
    client.send(packet(0xc0), bytes, packet(0xc0))
    await client.closed()
    t.deepEqual(
      client.packets.map(({ header }) => header),
      [0x20, 0xd0, 0xe0]
    )
    const { header, body } = client.packets[2]!
    t.is(header, 0xe0) // its reserved bits are 0
    t.true([...REASONS, ...MORE].includes(body[0]!))
    t.not(body[2], 17) // no Session Expiry Interval
  })
}

// [MQTT-3.14.0-1] of 5
test('nobody gets DISCONNECT before a CONNACK that lets him in', async t => {
  const core = await startCore(t)
  const first: readonly Bytes[] = [
    packet(0xc0),
    packet(0x30, text('a'), 0),
    packet(0xe0, 0x81, 0),
    connect({ version: 5, flags: 3 }),
    connect({ version: 5, properties: [33, 0, 0] }),
    connect({ version: 5, properties: [21, ...text('x')] })
  ]
  for (const bytes of first) {
    const client = ByteClient.open(core, bytes)
    await client.closed()
    t.true(client.packets.every(({ header }) => header === 0x20))
  }
})

test('reason codes of DISCONNECT that a client may send are taken, others are refused', async t => {
  const core = await startCore(t)
  for (const reasonCode of [
    0, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99
  ]) {
    const client = await core.connect({ protocolVersion: 5 })
    client.sendBytes(Buffer.from(packet(0xe0, reasonCode)))
    await client.closed()
    t.not(client.received.at(-1)?.cmd, 'disconnect', `0x${reasonCode.toString(16)}`)
  }
  for (const reasonCode of [0x01, 0x10, 0x7f, 0xff]) {
    const client = await core.connect({ protocolVersion: 5 })
    client.sendBytes(Buffer.from(packet(0xe0, reasonCode)))
    await assertEnded(t, client, [CODE.malformed, CODE.protocolError])
  }
})

// [MQTT-4.8.0-2] of 3.1.1
test('a 3.1.1 publish that the store does not take ends its connection, and no other', async t => {
  const core = await startCore(t)
  const other = await core.connect(kept(4, 'other'))
  for (const qos of [1, 2] as const) {
    const client = await core.connect({ clientId: 'client' })
    core.store.faults.commit = new Error('the disk is gone for a moment')
    client.publishOnly({ topic: 'a', qos })
    await client.closed()
    t.deepEqual(
      client.received.map(({ cmd }) => cmd),
      ['connack']
    )
    delete core.store.faults.commit
  }
  await other.ping()
  t.false(other.isClosed)
})
