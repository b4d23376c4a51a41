import test from 'ava'
import { assertEnded, assertFirstRefused, CODE, VERSIONS } from '../helpers/conformance.ts'
import { type Bytes, connect, packet, properties, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// Packets whose body ends too early or too late: MQTT 3.1.1 section 4.8, MQTT 5.0 section 4.13

const EITHER = [CODE.malformed, CODE.protocolError]
const a = text('abc')
const user = properties([38, ...a, ...a], [38, ...a, ...a])
const reason = properties([31, ...a])

interface Whole {
  readonly name: string
  readonly four?: Bytes
  readonly five: Bytes
  /** Lengths of the body that make another legal packet. */
  readonly legal4?: readonly number[]
  readonly legal5?: readonly number[]
}

const SUBSCRIBE4 = packet(0x82, 0, 1, a, 1)
const UNSUBSCRIBE4 = packet(0xa2, 0, 1, a)

const PACKETS: readonly Whole[] = [
  // a body may end anywhere in the payload, and 3.1.1 reads the properties as payload
  {
    name: 'PUBLISH',
    four: packet(0x34, a, 0, 1),
    five: packet(0x34, a, 0, 1, properties([2, 0, 0, 0, 9], [3, ...a], [9, ...a], [38, ...a, ...a]))
  },
  { name: 'PUBACK', four: packet(0x40, 0, 9), five: packet(0x40, 0, 9, 0, reason), legal5: [2, 3] },
  { name: 'PUBREC', four: packet(0x50, 0, 9), five: packet(0x50, 0, 9, 0, reason), legal5: [2, 3] },
  { name: 'PUBREL', four: packet(0x62, 0, 9), five: packet(0x62, 0, 9, 0, reason), legal5: [2, 3] },
  { name: 'PUBCOMP', four: packet(0x70, 0, 9), five: packet(0x70, 0, 9, 0, reason), legal5: [2, 3] },
  {
    name: 'SUBSCRIBE',
    four: SUBSCRIBE4,
    five: packet(0x82, 0, 1, properties([11, 1], [38, ...a, ...a]), a, 1)
  },
  { name: 'UNSUBSCRIBE', four: UNSUBSCRIBE4, five: packet(0xa2, 0, 1, user, a) },
  { name: 'DISCONNECT', five: packet(0xe0, 0, reason), legal5: [0, 1] }
]

for (const { name, four, five, legal4 = [], legal5 = [] } of PACKETS) {
  test(`${name} cut off at any byte is refused`, async t => {
    const { connect: join } = await startCore(t)
    for (const { protocolVersion, name: version } of VERSIONS) {
      const [whole, legal] = protocolVersion === 4 ? [four, legal4] : [five, legal5]
      if (!whole) continue
      const body = whole.slice(2)
      for (let length = 0; length < body.length; length++) {
        if (legal.includes(length)) continue
        const client = await join({ clientId: 'hostile', protocolVersion })
        client.sendBytes(Buffer.from(packet(whole[0]!, body.slice(0, length))))
        await assertEnded(
          t,
          client,
          protocolVersion === 4 ? null : EITHER,
          `MQTT ${version}, ${length} bytes`
        )
      }
    }
  })
}

/** Packets that have no payload, or one in which a byte more is half a field. */
const LONG: readonly (readonly [string, Bytes | null, Bytes])[] = [
  ['SUBSCRIBE', [...SUBSCRIBE4.slice(2), 0], [0, 1, 0, ...a, 1, 0]],
  ['UNSUBSCRIBE', [...UNSUBSCRIBE4.slice(2), 0], [0, 1, 0, ...a, 0]],
  ['PINGREQ', [0], [0]],
  ['DISCONNECT', [0], [0, 0, 0]]
]
const HEADERS = new Map([
  ['SUBSCRIBE', 0x82],
  ['UNSUBSCRIBE', 0xa2],
  ['PINGREQ', 0xc0],
  ['DISCONNECT', 0xe0]
])

for (const [name, four, five] of LONG) {
  test(`${name} with a byte behind its end is malformed`, async t => {
    const { connect: join } = await startCore(t)
    for (const { protocolVersion, name: version } of VERSIONS) {
      const client = await join({ protocolVersion })
      client.sendBytes(Buffer.from(packet(HEADERS.get(name)!, (protocolVersion === 4 ? four : five)!)))
      await assertEnded(t, client, protocolVersion === 4 ? null : CODE.malformed, `MQTT ${version}`)
    }
  })
}

// [MQTT-3.1.4-1]
test('CONNECT cut off at any byte is not let in', async t => {
  for (const version of [4, 5] as const) {
    const none = version === 5 ? [0] : []
    const payload = [...a, ...none, ...a, ...a, ...a, ...a]
    const flags = 0xc6
    const whole = connect({ version, flags, payload, properties: [33, 0, 9] })
    const body = whole.slice(2)
    for (let length = 0; length < body.length; length++) {
      const bytes = packet(0x10, body.slice(0, length))
      // up to the level nothing tells that it is MQTT 5
      const code = version === 4 ? null : length < 7 ? [null, CODE.malformed] : CODE.malformed
      await assertFirstRefused(t, { title: '', bytes, code })
    }
  }
})
