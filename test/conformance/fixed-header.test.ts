import test from 'ava'
import { assertRefused, CODE, type Refusal } from '../helpers/conformance.ts'
import { ByteClient, type Bytes, connect, packet, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT 3.1.1 section 2.2, MQTT 5.0 section 2.1: the first byte of a packet

const a = text('a')

/** Good packets of a client, each with the flags that its type must have. */
const PACKETS: readonly { readonly name: string; readonly four?: Bytes; readonly five: Bytes }[] = [
  { name: 'CONNECT', four: connect({}), five: connect({ version: 5 }) },
  { name: 'PUBACK', four: packet(0x40, 0, 1), five: packet(0x40, 0, 1) },
  { name: 'PUBREC', four: packet(0x50, 0, 1), five: packet(0x50, 0, 1) },
  { name: 'PUBREL', four: packet(0x62, 0, 1), five: packet(0x62, 0, 1) },
  { name: 'PUBCOMP', four: packet(0x70, 0, 1), five: packet(0x70, 0, 1) },
  { name: 'SUBSCRIBE', four: packet(0x82, 0, 1, a, 0), five: packet(0x82, 0, 1, 0, a, 0) },
  { name: 'UNSUBSCRIBE', four: packet(0xa2, 0, 1, a), five: packet(0xa2, 0, 1, 0, a) },
  { name: 'PINGREQ', four: packet(0xc0), five: packet(0xc0) },
  { name: 'DISCONNECT', four: packet(0xe0), five: packet(0xe0) },
  { name: 'AUTH', five: packet(0xf0) }
]

// [MQTT-2.2.2-1], [MQTT-2.2.2-2], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1] of 3.1.1;
// [MQTT-2.1.3-1], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1], [MQTT-3.15.1-1] of 5
for (const { name, four, five } of PACKETS) {
  test(`${name} with other flags in its first byte than its own is malformed`, async t => {
    const own = five[0]! & 15
    for (let flags = 0; flags < 16; flags++) {
      if (flags === own) continue
      const marked = (bytes: Bytes) => [(bytes[0]! & 0xf0) | flags, ...bytes.slice(1)]
      const refusal: Refusal = { title: `${name} ${flags}`, five: marked(five), code: CODE.malformed }
      await assertRefused(t, four ? { ...refusal, four: marked(four) } : refusal)
    }
  })
}

test('packets of the server have the flags of their type', async t => {
  const core = await startCore(t)
  for (const version of [4, 5] as const) {
    const none = version === 5 ? [0] : []
    const client = ByteClient.open(core, connect({ version }))
    const answers: [send: Bytes, types: number[]][] = [
      [packet(0x82, 0, 1, none, a, 2), [0x90]],
      [packet(0xc0), [0xd0]],
      [packet(0x32, a, 0, 7, none), [0x40, 0x32]],
      [packet(0x34, a, 0, 8, none), [0x50, 0x34]],
      [packet(0x62, 0, 8), [0x70]],
      [packet(0x50, 0, 2), [0x62]], // the second message that it was sent
      [packet(0xa2, 0, 3, none, a), [0xb0]]
    ]
    let seen = 1
    t.is((await client.packet(0)).header, 0x20)
    for (const [send, types] of answers) {
      client.send(send)
      await client.packet(seen + types.length - 1)
      const headers = client.packets.slice(seen).map(({ header }) => header)
      t.deepEqual(headers.sort(), types.sort(), `answers to 0x${send[0]!.toString(16)}`)
      seen = client.packets.length
    }
    client.send(packet(0xf1))
    await client.closed()
    t.deepEqual(
      client.packets.slice(seen).map(({ header }) => header),
      version === 5 ? [0xe0] : []
    )
  }
})
