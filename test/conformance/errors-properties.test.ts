import test from 'ava'
import { assertFirstRefused, assertRefused, CODE, only5, type Refusal } from '../helpers/conformance.ts'
import { type Bytes, connect, packet, properties, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT 5.0 section 2.2.2: which property may stand in which packet, and how often

const field = text('f')
const USER = 38

/** Every property with a value that is legal for it. */
const VALUES: ReadonlyMap<number, Bytes> = new Map<number, Bytes>([
  [1, [0]],
  [2, [0, 0, 0, 9]],
  [3, field],
  [8, field],
  [9, field],
  [11, [1]],
  [17, [0, 0, 0, 9]],
  [18, field],
  [19, [0, 9]],
  [21, field],
  [22, field],
  [23, [1]],
  [24, [0, 0, 0, 9]],
  [25, [1]],
  [26, field],
  [28, field],
  [31, field],
  [33, [0, 9]],
  [34, [0, 9]],
  [35, [0, 1]],
  [36, [1]],
  [37, [1]],
  [USER, [...field, ...field]],
  [39, [0, 0, 9, 0]],
  [40, [1]],
  [41, [1]],
  [42, [1]]
])

/** Identifiers that no property has. */
const UNKNOWN = [0, 4, 10, 12, 27, 43, 127]

/** A packet of a client that carries properties. */
interface Carrier {
  readonly name: string
  readonly ids: readonly number[]
  readonly build: (list: Bytes) => Bytes
  /** It comes first, and is answered with CONNACK. */
  readonly isFirst?: boolean
}

const ACK = [31, USER]
const CARRIERS: readonly Carrier[] = [
  {
    name: 'CONNECT',
    ids: [17, 33, 39, 34, 25, 23, USER, 21, 22],
    build: list => packet(0x10, text('MQTT'), 5, 2, 0, 0, list, field),
    isFirst: true
  },
  {
    name: 'a will',
    ids: [24, 1, 2, 3, 8, 9, USER],
    build: list => connect({ version: 5, flags: 6, payload: [...field, ...list, ...field, ...field] }),
    isFirst: true
  },
  // 11 belongs to PUBLISH as well, but only a server may send it
  { name: 'PUBLISH', ids: [1, 2, 35, 8, 9, USER, 11, 3], build: list => packet(0x32, field, 0, 1, list) },
  { name: 'PUBACK', ids: ACK, build: list => packet(0x40, 0, 1, 0, list) },
  { name: 'PUBREC', ids: ACK, build: list => packet(0x50, 0, 1, 0, list) },
  { name: 'PUBREL', ids: ACK, build: list => packet(0x62, 0, 1, 0, list) },
  { name: 'PUBCOMP', ids: ACK, build: list => packet(0x70, 0, 1, 0, list) },
  { name: 'SUBSCRIBE', ids: [11, USER], build: list => packet(0x82, 0, 1, list, field, 0) },
  { name: 'UNSUBSCRIBE', ids: [USER], build: list => packet(0xa2, 0, 1, list, field) },
  // 28 is a property of the server's DISCONNECT
  { name: 'DISCONNECT', ids: [17, 31, USER, 28], build: list => packet(0xe0, 0, list) }
]

type Assert = Parameters<typeof assertRefused>[0]

function assert(t: Assert, { build, isFirst }: Carrier, list: Bytes, code: Refusal['code'], title: string) {
  const bytes = build(list)
  return isFirst
    ? assertFirstRefused(t, { title, bytes, code })
    : assertRefused(t, { title, code, five: bytes })
}

for (const carrier of CARRIERS) {
  const { name, ids } = carrier
  test(`a property that ${name} does not have is malformed`, async t => {
    for (const [id, value] of VALUES) {
      if (ids.includes(id)) continue
      await assert(t, carrier, properties([id, ...value]), CODE.malformed, `${name} with property ${id}`)
    }
    for (const id of UNKNOWN) {
      await assert(t, carrier, properties([id, 0]), CODE.malformed, `${name} with property ${id}`)
    }
  })

  test(`a property that stands twice in ${name} is a protocol error`, async t => {
    const once = ids.filter(id => id !== USER && id !== 28)
    for (const id of once) {
      const property = [id, ...VALUES.get(id)!]
      // an Authentication Method is refused by itself
      const code = id === 21 || id === 22 ? [CODE.protocolError, 0x8c] : CODE.protocolError
      await assert(t, carrier, properties(property, property), code, `${name} with property ${id} twice`)
    }
    t.pass()
  })

  test(`a property of ${name} that is cut off is malformed`, async t => {
    for (const id of ids) {
      const property = [id, ...VALUES.get(id)!].slice(0, -1)
      await assert(t, carrier, properties(property), CODE.malformed, `${name} with a part of property ${id}`)
    }
  })
}

test('User Properties may stand several times in every packet, also with one name', async t => {
  const core = await startCore(t)
  const pair = [USER, ...field, ...field]
  for (const { name, build, isFirst } of CARRIERS) {
    if (name === 'DISCONNECT') continue
    const client = isFirst ? core.open() : await core.connect({ clientId: 'client', protocolVersion: 5 })
    client.sendBytes(Buffer.from(build(properties(pair, pair))))
    if (isFirst) t.is((await client.next('connack')).returnCode, 0, name)
    else await client.ping()
    t.false(client.isClosed, name)
    client.destroy()
  }
})

const publish = (...list: readonly Bytes[]) => packet(0x30, field, properties(...list))
const subscribe = (...list: readonly Bytes[]) => packet(0x82, 0, 1, properties(...list), field, 0)
const EITHER = [CODE.malformed, CODE.protocolError]

/** Values that a property must not have. */
const VALUES_REFUSED: readonly Refusal[] = [
  only5('PUBLISH with Payload Format Indicator 2 is refused', EITHER, publish([1, 2])),
  // [MQTT-3.3.2-14]
  only5(
    'PUBLISH whose Response Topic is a wildcard is refused',
    [...EITHER, CODE.topicInvalid],
    publish([8, ...text('a/+')])
  ),
  // [MQTT-3.3.2-8]
  only5('PUBLISH with topic alias 0 is answered with 0x94', CODE.aliasInvalid, publish([35, 0, 0])),
  // [MQTT-3.3.4-6]
  only5(
    'PUBLISH of a client with a Subscription Identifier is a protocol error',
    CODE.protocolError,
    publish([11, 1])
  ),
  only5(
    'SUBSCRIBE with Subscription Identifier 0 is a protocol error',
    CODE.protocolError,
    subscribe([11, 0])
  ),
  only5(
    'SUBSCRIBE with a Subscription Identifier above 268,435,455 is malformed',
    CODE.malformed,
    subscribe([11, 0x80, 0x80, 0x80, 0x80, 1])
  ),
  only5(
    'DISCONNECT that gives an expiry to a session without one is a protocol error',
    CODE.protocolError,
    packet(0xe0, 0, properties([17, 0, 0, 0, 9]))
  )
]

for (const refusal of VALUES_REFUSED) test(refusal.title, t => assertRefused(t, refusal))
