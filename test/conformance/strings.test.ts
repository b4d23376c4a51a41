import test from 'ava'
import { assertFirstRefused, assertRefused, CODE, subscriber } from '../helpers/conformance.ts'
import { ByteClient, type Bytes, connect, packet, properties, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT 3.1.1 section 1.5.3, MQTT 5.0 section 1.5.4: strings

const PROPERTY = { contentType: 3, responseTopic: 8, authenticationMethod: 21, reasonString: 31, user: 38 }

/** Bytes that no Unicode text has: cut off, a surrogate, a long form, beyond U+10FFFF, never a byte of UTF-8. */
const NOT_UTF8: readonly Bytes[] = [
  [0xc3, 0x28],
  [0xed, 0xa0, 0x80],
  [0xc0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xff]
]
/** U+0000, alone and between others. */
const WITH_NULL: readonly Bytes[] = [[0], [97, 0, 98]]

/** A packet with a string field put in; from a client that is let in. */
interface Field {
  readonly what: string
  readonly four?: (field: Bytes) => Bytes
  readonly five: (field: Bytes) => Bytes
}

const a = text('a')
const name = (field: Bytes) => properties([PROPERTY.user, ...field, ...a])
const value = (field: Bytes) => properties([PROPERTY.user, ...a, ...field])

/** Packets with properties besides CONNECT, built around them. */
const CARRIERS: readonly (readonly [string, (field: Bytes) => Bytes])[] = [
  ['PUBLISH', list => packet(0x30, a, list)],
  ['PUBACK', list => packet(0x40, 0, 1, 0, list)],
  ['PUBREC', list => packet(0x50, 0, 1, 0, list)],
  ['PUBREL', list => packet(0x62, 0, 1, 0, list)],
  ['PUBCOMP', list => packet(0x70, 0, 1, 0, list)],
  ['SUBSCRIBE', list => packet(0x82, 0, 1, list, a, 0)],
  ['UNSUBSCRIBE', list => packet(0xa2, 0, 1, list, a)],
  ['DISCONNECT', list => packet(0xe0, 0, list)]
]

const FIELDS: readonly Field[] = [
  { what: 'the topic of PUBLISH', four: field => packet(0x30, field), five: field => packet(0x30, field, 0) },
  {
    what: 'the topic of a QoS 2 PUBLISH',
    four: field => packet(0x34, field, 0, 1),
    five: field => packet(0x34, field, 0, 1, 0)
  },
  {
    what: 'a filter of SUBSCRIBE',
    four: field => packet(0x82, 0, 1, a, 0, field, 0),
    five: field => packet(0x82, 0, 1, 0, a, 0, field, 0)
  },
  {
    what: 'a filter of UNSUBSCRIBE',
    four: field => packet(0xa2, 0, 1, a, field),
    five: field => packet(0xa2, 0, 1, 0, a, field)
  },
  {
    what: 'the Content Type of PUBLISH',
    five: field => packet(0x30, a, properties([PROPERTY.contentType, ...field]))
  },
  {
    what: 'the Response Topic of PUBLISH',
    five: field => packet(0x30, a, properties([PROPERTY.responseTopic, ...field]))
  },
  ...['PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'DISCONNECT'].map(carrier => ({
    what: `the Reason String of ${carrier}`,
    five: (field: Bytes) => build(carrier)(properties([PROPERTY.reasonString, ...field]))
  })),
  ...CARRIERS.flatMap(([carrier, around]) => [
    { what: `the name of a User Property of ${carrier}`, five: (field: Bytes) => around(name(field)) },
    { what: `the value of a User Property of ${carrier}`, five: (field: Bytes) => around(value(field)) }
  ])
]

function build(carrier: string): (list: Bytes) => Bytes {
  return CARRIERS.find(([known]) => known === carrier)![1]
}

// [MQTT-1.5.3-1], [MQTT-1.5.3-2] of 3.1.1; [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.7-1] of 5
for (const { what, four, five } of FIELDS) {
  const refuse = (t: Parameters<typeof assertRefused>[0], bad: Bytes) => {
    const field = text(bad)
    const bytes = four ? { four: four(field), five: five(field) } : { five: five(field) }
    return assertRefused(t, { title: what, code: CODE.malformed, ...bytes })
  }
  test(`${what} that is not UTF-8 is malformed`, async t => {
    for (const bad of NOT_UTF8) await refuse(t, bad)
  })
  test(`${what} with U+0000 is malformed`, async t => {
    for (const bad of WITH_NULL) await refuse(t, bad)
  })
}

/** The payload of CONNECT with a field put in, with its flags, for MQTT 5 or not. */
interface ConnectField {
  readonly what: string
  readonly flags: number
  readonly payload: (field: Bytes, none: Bytes) => Bytes
}

const CONNECT_FIELDS: readonly ConnectField[] = [
  { what: 'the client id', flags: 2, payload: field => field },
  { what: 'the Will Topic', flags: 6, payload: (field, none) => [...a, ...none, ...field, ...a] },
  { what: 'the User Name', flags: 0x82, payload: field => [...a, ...field] }
]

for (const { what, flags, payload } of CONNECT_FIELDS) {
  for (const [trouble, list] of [
    ['that is not UTF-8', NOT_UTF8],
    ['with U+0000', WITH_NULL]
  ] as const) {
    test(`${what} ${trouble} ends the connection`, async t => {
      for (const bad of list) {
        const four = connect({ flags, payload: payload(text(bad), []) })
        await assertFirstRefused(t, { title: what, bytes: four, code: null })
        const five = connect({ version: 5, flags, payload: payload(text(bad), [0]) })
        await assertFirstRefused(t, { title: what, bytes: five, code: CODE.malformed })
      }
    })
  }
}

const CONNECT_PROPERTIES: readonly (readonly [string, (field: Bytes) => Bytes])[] = [
  ['the Authentication Method', field => list([PROPERTY.authenticationMethod, ...field])],
  ['the name of a User Property of CONNECT', field => list([PROPERTY.user, ...field, ...a])],
  ['the value of a User Property of CONNECT', field => list([PROPERTY.user, ...a, ...field])],
  ['the Content Type of a will', field => will([PROPERTY.contentType, ...field])],
  ['the Response Topic of a will', field => will([PROPERTY.responseTopic, ...field])],
  ['the name of a User Property of a will', field => will([PROPERTY.user, ...field, ...a])],
  ['the value of a User Property of a will', field => will([PROPERTY.user, ...a, ...field])]
]

const list = (bytes: Bytes) => connect({ version: 5, properties: bytes })
const will = (bytes: Bytes) =>
  connect({ version: 5, flags: 6, payload: [...a, ...properties(bytes), ...text('w'), ...a] })

for (const [what, bytes] of CONNECT_PROPERTIES) {
  test(`${what} that is no legal string is answered with CONNACK 0x81`, async t => {
    for (const bad of [...NOT_UTF8, ...WITH_NULL]) {
      await assertFirstRefused(t, { title: what, bytes: bytes(text(bad)), code: CODE.malformed })
    }
  })
}

// [MQTT-1.5.3-3] of 3.1.1, [MQTT-1.5.4-3] of 5
test('U+FEFF is a character like others wherever it stands', async t => {
  const core = await startCore(t)
  const topic = '\uFEFFa/\uFEFF'
  const reader = await subscriber(core, ['a/#', topic, '+/\uFEFF'], { protocolVersion: 5 })
  const publisher = await core.connect({ clientId: '\uFEFFpublisher', protocolVersion: 5 })
  await core.connect({ clientId: 'publisher' })
  const user = { '\uFEFFname': '\uFEFFvalue' }
  await publisher.publish({ topic, payload: 'x', qos: 1, properties: { userProperties: user } })
  const message = await reader.next('publish')
  t.is(message.topic, topic)
  t.deepEqual({ ...message.properties?.userProperties }, user)
  await reader.unsubscribe(topic, '+/\uFEFF')
  await publisher.publish({ topic, qos: 1 })
  await reader.ping()
  t.deepEqual(reader.unreadMessages(), [])
  t.false(publisher.isClosed)
})

// [MQTT-1.5.5-1], [MQTT-2.2.2-1] of 5
test('lengths take as few bytes as they can', async t => {
  const core = await startCore(t)
  const sizes = [0, 100, 122, 123, 124, 125, 126, 16_378, 16_379, 16_380, 16_381, 2_097_150]
  for (const version of [4, 5] as const) {
    const reader = ByteClient.open(core, connect({ version, payload: text(`reader-${version}`) }))
    reader.send(version === 5 ? packet(0x82, 0, 1, 0, a, 0) : packet(0x82, 0, 1, a, 0))
    await reader.packet(1)
    for (const from of [4, 5] as const) {
      const publisher = await core.connect({ protocolVersion: from })
      for (const size of sizes) publisher.publishOnly({ topic: 'a', payload: Buffer.alloc(size) })
      await publisher.ping()
    }
    await reader.packet(1 + 2 * sizes.length)
    for (const { length, body } of reader.packets) {
      const fewest = body.length < 128 ? 1 : body.length < 16_384 ? 2 : body.length < 2_097_152 ? 3 : 4
      t.is(length.length, fewest, `${body.length} bytes`)
    }
    reader.destroy()
  }
})

test('a property length with more bytes than it needs is malformed', async t => {
  const five = packet(0x30, a, 0x80, 0)
  await assertRefused(t, { title: 'PUBLISH', five, code: CODE.malformed })
  const subscribe = packet(0x82, 0, 1, properties([11, 0x81, 0]), a, 0)
  await assertRefused(t, { title: 'SUBSCRIBE', five: subscribe, code: CODE.malformed })
})
