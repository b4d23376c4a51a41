import { type Duplex, duplexPair } from 'node:stream'
import test from 'ava'
import { generate, type Packet } from 'mqtt-packet'
import { startCore } from './helpers/core.ts'
import type { RawClient } from './helpers/raw-client.ts'
import { withDeadline } from './helpers/signal.ts'

type Version = 4 | 5
type Bytes = readonly number[]

const text = (value: string): Bytes => [value.length >> 8, value.length & 255, ...Buffer.from(value)]
/** A packet of a first byte and a short body. */
const packet = (header: number, ...body: number[]): Bytes => [header, body.length, ...body]

interface Case {
  readonly what: string
  /** For 3.1.1, when it can be sent there. */
  readonly four?: Bytes
  /** For 5, and the reason code of the DISCONNECT that it is answered with. */
  readonly five?: readonly [bytes: Bytes, code: number]
}

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82

/** The same bytes for both versions. */
const both = (what: string, code: number, bytes: Bytes): Case => ({ what, four: bytes, five: [bytes, code] })
const only5 = (what: string, code: number, bytes: Bytes): Case => ({ what, five: [bytes, code] })

/** What a client that is let in must not send. @see MQTT 3.1.1 and 5.0, chapters 2 to 4 */
const CASES: readonly Case[] = [
  both('packet type 0', MALFORMED, [0, 0]),
  both('a Remaining Length of five bytes', MALFORMED, [0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]),
  only5('a Remaining Length with more bytes than needed', MALFORMED, [0xc0, 0x80, 0]),
  both('a second CONNECT', PROTOCOL_ERROR, [...generate(connectPacket(5))]),
  both('CONNACK', PROTOCOL_ERROR, packet(0x20, 0, 0)),
  both('SUBACK', PROTOCOL_ERROR, packet(0x90, 0, 1, 0)),
  both('UNSUBACK', PROTOCOL_ERROR, packet(0xb0, 0, 1)),
  both('PINGRESP', PROTOCOL_ERROR, [0xd0, 0]),
  both('AUTH', PROTOCOL_ERROR, [0xf0, 0]),
  ...[0x41, 0x51, 0x60, 0x70 | 4, 0x80, 0xa0, 0xc1, 0xe8].map(header =>
    both(`first byte 0x${header.toString(16)}`, MALFORMED, packet(header, 0, 1))
  ),
  both('PUBLISH with QoS 3', MALFORMED, packet(0x36, ...text('a'), 0, 1, 0)),
  both('PUBLISH with DUP and QoS 0', MALFORMED, packet(0x38, ...text('a'), 0)),
  both('PUBLISH without a topic', MALFORMED, packet(0x30)),
  both('PUBLISH that ends in its topic', MALFORMED, packet(0x30, 0, 9, 97)),
  both('PUBLISH that ends before its packet id', MALFORMED, packet(0x32, ...text('a'), 0)),
  both('PUBLISH with packet id 0', PROTOCOL_ERROR, packet(0x32, ...text('a'), 0, 0, 0)),
  both('PUBLISH with an empty topic', PROTOCOL_ERROR, packet(0x30, 0, 0, 0)),
  both('PUBLISH to a/+', 0x90, packet(0x30, ...text('a/+'), 0)),
  both('PUBLISH to #', 0x90, packet(0x32, ...text('#'), 0, 1, 0)),
  both('PUBLISH to a topic that is not UTF-8', MALFORMED, packet(0x30, 0, 2, 0xc3, 0x28, 0)),
  both('PUBLISH to a topic with a surrogate', MALFORMED, packet(0x30, 0, 3, 0xed, 0xa0, 0x80, 0)),
  both('PUBLISH to a topic with U+0000', MALFORMED, packet(0x30, 0, 2, 97, 0, 0)),
  both('PUBLISH under $', 0x87, packet(0x30, ...text('$a'), 0)),
  only5(
    'PUBLISH with a Response Topic with a wildcard',
    PROTOCOL_ERROR,
    packet(0x30, ...text('a'), 4, 8, 0, 1, 0x23)
  ),
  only5('PUBLISH with Payload Format Indicator 2', PROTOCOL_ERROR, packet(0x30, ...text('a'), 2, 1, 2)),
  only5('PUBLISH without properties', MALFORMED, packet(0x30, ...text('a'))),
  only5('PUBLISH with properties cut off', MALFORMED, packet(0x30, ...text('a'), 5, 1, 0)),
  only5('PUBLISH with an unknown property', MALFORMED, packet(0x30, ...text('a'), 2, 0x7e, 0)),
  only5('PUBLISH with a property of CONNECT', MALFORMED, packet(0x30, ...text('a'), 3, 33, 0, 1)),
  only5('PUBLISH with a property twice', PROTOCOL_ERROR, packet(0x30, ...text('a'), 4, 1, 0, 1, 0)),
  only5('PUBLISH with topic alias 0', 0x94, packet(0x30, ...text('a'), 3, 35, 0, 0)),
  only5('PUBLISH with a topic alias above the maximum', 0x94, packet(0x30, ...text('a'), 3, 35, 0, 33)),
  only5('PUBLISH with an alias that has no topic', PROTOCOL_ERROR, packet(0x30, 0, 0, 3, 35, 0, 1)),
  only5('PUBLISH with a subscription identifier', PROTOCOL_ERROR, packet(0x30, ...text('a'), 2, 11, 1)),
  both('PUBACK without packet id', MALFORMED, packet(0x40, 0)),
  both('PUBREC with packet id 0', PROTOCOL_ERROR, packet(0x50, 0, 0)),
  both('PUBREL with packet id 0', PROTOCOL_ERROR, packet(0x62, 0, 0)),
  both('PUBCOMP without packet id', MALFORMED, packet(0x70, 0)),
  only5('PUBACK with a reason code of PUBREL', PROTOCOL_ERROR, packet(0x40, 0, 1, 0x92)),
  only5('PUBREL with a reason code of PUBACK', PROTOCOL_ERROR, packet(0x62, 0, 1, 0x10)),
  {
    what: 'SUBSCRIBE without filters',
    four: packet(0x82, 0, 1),
    five: [packet(0x82, 0, 1, 0), PROTOCOL_ERROR]
  },
  {
    what: 'SUBSCRIBE with packet id 0',
    four: packet(0x82, 0, 0, ...text('a'), 0),
    five: [packet(0x82, 0, 0, 0, ...text('a'), 0), PROTOCOL_ERROR]
  },
  {
    what: 'SUBSCRIBE with QoS 3',
    four: packet(0x82, 0, 1, ...text('a'), 3),
    five: [packet(0x82, 0, 1, 0, ...text('a'), 3), PROTOCOL_ERROR]
  },
  {
    what: 'SUBSCRIBE with reserved bits',
    four: packet(0x82, 0, 1, ...text('a'), 4),
    five: [packet(0x82, 0, 1, 0, ...text('a'), 0x40), MALFORMED]
  },
  {
    what: 'SUBSCRIBE without options',
    four: packet(0x82, 0, 1, ...text('a')),
    five: [packet(0x82, 0, 1, 0, ...text('a')), MALFORMED]
  },
  {
    what: 'SUBSCRIBE to what is not UTF-8',
    four: packet(0x82, 0, 1, 0, 1, 0xff, 0),
    five: [packet(0x82, 0, 1, 0, 0, 1, 0xff, 0), MALFORMED]
  },
  only5('SUBSCRIBE with Retain Handling 3', PROTOCOL_ERROR, packet(0x82, 0, 1, 0, ...text('a'), 0x30)),
  only5(
    'SUBSCRIBE with Subscription Identifier 0',
    PROTOCOL_ERROR,
    packet(0x82, 0, 1, 2, 11, 0, ...text('a'), 0)
  ),
  {
    what: 'UNSUBSCRIBE without filters',
    four: packet(0xa2, 0, 1),
    five: [packet(0xa2, 0, 1, 0), PROTOCOL_ERROR]
  },
  {
    what: 'UNSUBSCRIBE with packet id 0',
    four: packet(0xa2, 0, 0, ...text('a')),
    five: [packet(0xa2, 0, 0, 0, ...text('a')), PROTOCOL_ERROR]
  },
  both('PINGREQ with a body', MALFORMED, packet(0xc0, 0)),
  { what: 'DISCONNECT with a body', four: packet(0xe0, 0) },
  only5('DISCONNECT with bytes behind its end', MALFORMED, packet(0xe0, 0, 0, 0)),
  only5('DISCONNECT with a property of PUBLISH', MALFORMED, packet(0xe0, 0, 2, 1, 0))
]

for (const version of [4, 5] as const) {
  test(`packets that break the rules of MQTT ${version === 4 ? '3.1.1' : '5'} end their connection, and no other`, async t => {
    const { connect } = await startCore(t)
    const bystander = await connect({ clientId: 'bystander' })
    const [expected, found]: Record<string, string | null>[] = [{}, {}]
    for (const { what, four, five } of CASES) {
      const bytes = version === 4 ? four : five?.[0]
      if (!bytes) continue
      const client = await connect({ clientId: 'hostile', protocolVersion: version })
      client.sendBytes(Buffer.from(bytes))
      expected![what] = version === 4 ? null : hex(five![1])
      found![what] = await farewell(client)
    }
    t.deepEqual(found, expected)
    await bystander.ping()
    t.false(bystander.isClosed)
  })
}

/** The reason code of the DISCONNECT with which the server ends the connection; null when it just ends it. */
async function farewell(client: RawClient): Promise<string | null> {
  await client.closed(2_000).catch(() => {})
  if (!client.isClosed) return 'open'
  const last = client.received.at(-1)
  return last?.cmd === 'disconnect' ? hex(last.reasonCode ?? 0) : null
}

function hex(code: number): string {
  return `0x${code.toString(16)}`
}

function connectPacket(protocolVersion: Version): Packet {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion,
    clientId: 'hostile',
    clean: true,
    keepalive: 0
  }
}

/** CONNECT with flags, fields behind the keep alive, and a payload, all as bytes. */
const connect4 = (flags: number, ...payload: number[]) =>
  packet(0x10, ...text('MQTT'), 4, flags, 0, 0, ...payload)
const connect5 = (properties: Bytes, flags = 2, ...payload: number[]) =>
  packet(0x10, ...text('MQTT'), 5, flags, 0, 0, properties.length, ...properties, ...payload)
const id = text('x')

/** What may not come first, and what CONNACK it is answered with; null: none. */
const FIRST: readonly [what: string, bytes: Bytes, code: number | null][] = [
  ['PUBLISH', packet(0x30, ...text('a')), null],
  ['SUBSCRIBE', packet(0x82, 0, 1, ...text('a'), 0), null],
  ['PINGREQ', [0xc0, 0], null],
  ['DISCONNECT', [0xe0, 0], null],
  ['a browser', [...Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')], null],
  ['TLS', [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], null],
  ['another protocol', packet(0x10, ...text('MQTX'), 4, 2, 0, 0, ...id), 1],
  ['level 2', packet(0x10, ...text('MQTT'), 2, 2, 0, 0, ...id), 1],
  ['level 6', packet(0x10, ...text('MQTT'), 6, 2, 0, 0, 0, ...id), 0x84],
  ['level 4 of MQTT 3.1', packet(0x10, ...text('MQIsdp'), 4, 2, 0, 0, ...id), 1],
  ['flags in the first byte', [0x11, ...connect4(2, ...id).slice(1)], null],
  ['the reserved flag', connect4(3, ...id), null],
  ['a will with QoS 3', connect4(0x1e, ...id, ...text('w'), ...text('w')), null],
  ['a will QoS without a will', connect4(0x0a, ...id), null],
  ['a will to be retained without a will', connect4(0x22, ...id), null],
  ['a password without a user name', connect4(0x42, ...id, ...text('p')), null],
  ['no client id', connect4(2), null],
  ['a client id that is cut off', connect4(2, 0, 5, 97), null],
  ['a client id that is not UTF-8', connect4(2, 0, 1, 0xff), null],
  ['a client id with U+0000', connect4(2, 0, 1, 0), null],
  ['no client id, and a session to be kept', connect4(0, 0, 0), 2],
  ['a user name that is missing', connect4(0x82, ...id), null],
  ['a will that is missing', connect4(6, ...id), null],
  ['a will without a topic', connect4(6, ...id, 0, 0, 0, 0), null],
  ['bytes behind its end', connect4(2, ...id, 1), null],
  ['Receive Maximum 0', connect5([33, 0, 0], 2, ...id), 0x82],
  ['Maximum Packet Size 0', connect5([39, 0, 0, 0, 0], 2, ...id), 0x82],
  ['Request Problem Information 2', connect5([23, 2], 2, ...id), 0x82],
  ['Request Response Information 2', connect5([25, 2], 2, ...id), 0x82],
  ['a property twice', connect5([33, 0, 1, 33, 0, 1], 2, ...id), 0x82],
  ['a property of PUBLISH', connect5([35, 0, 1], 2, ...id), 0x81],
  ['properties cut off', connect5([33, 0], 2, ...id), 0x81],
  ['authentication data without a method', connect5([22, 0, 1, 7], 2, ...id), 0x82],
  ['an authentication method', connect5([21, ...text('X')], 2, ...id), 0x8c],
  ['a will with a property of CONNECT', connect5([], 6, ...id, 3, 33, 0, 1, ...text('w'), 0, 0), 0x81]
]

test('a connection that begins wrongly is closed, after a CONNACK that says why where there is one', async t => {
  const { connect, core } = await startCore(t)
  const bystander = await connect({ clientId: 'bystander' })
  const [expected, found]: Record<string, string | null>[] = [{}, {}]
  for (const [what, bytes, code] of FIRST) {
    const [ours, theirs] = duplexPair()
    core.front.handle(theirs)
    ours.write(Buffer.from(bytes))
    const answer = await withDeadline(bytesOf(ours), { deadlineMs: 2_000, describe: () => what }).catch(
      () => [0]
    )
    expected![what] = code === null ? null : hex(code)
    // the reason code stands at the same place for 3.1.1 and 5
    found![what] = answer.length === 0 ? null : answer.length > 3 ? hex(answer[3]!) : 'open'
    ours.end()
  }
  t.deepEqual(found, expected)
  await bystander.ping()
  t.is([...core.front.connections].length, 1)
})

/** All that comes until the end. */
async function bytesOf(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
