import test from 'ava'
import { assertRefused, CODE, only5, type Refusal, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { packet, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT sections 3.8.3 and 4.7; more in test/hostile-packets.test.ts

/** Filters whose wildcards stand where they must not, and the empty one. */
const ILLEGAL = ['a#', '#/a', 'a/#/b', 'a/b#', '##', '+a', 'a+', 'a/+b/c', 'a/b+', '++', '']

// [MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.7.3-1] of 3.1.1, [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1] of 5
test('filters with misplaced wildcards, and empty ones, are refused one by one', async t => {
  const core = await startCore(t)
  for (const { protocolVersion, name } of VERSIONS) {
    const client = await core.connect({ protocolVersion })
    const suback = await client.subscribe(['good', ...ILLEGAL, 'good/too'], 1)
    const failure = protocolVersion === 4 ? 0x80 : 0x8f
    t.deepEqual([...suback.granted], [1, ...ILLEGAL.map(() => failure), 1], `MQTT ${name}`)
    await client.publish({ topic: 'good/too', payload: 'x', qos: 1 })
    t.deepEqual(await client.payloads(1), ['x'])
  }
})

// [MQTT-4.7.1-2], [MQTT-4.7.1-3] of 3.1.1, [MQTT-4.7.1-1], [MQTT-4.7.1-2] of 5
test('filters with wildcards where they may stand are granted', async t => {
  const core = await startCore(t)
  const client = await core.connect()
  const legal = ['#', '+', '+/+', '/+', '+/', 'a/#', '+/a/#', 'a/+/b', '/', '//', '/#', ' ']
  t.deepEqual(
    [...(await client.subscribe(legal, 2)).granted],
    legal.map(() => 2)
  )
})

const shared = text('$share/group/a')

/** Shared subscriptions with No Local. [MQTT-3.8.3-4] of 5 */
const NO_LOCAL: Refusal = only5(
  'No Local on a shared subscription is a protocol error',
  CODE.protocolError,
  packet(0x82, 0, 1, 0, shared, 5)
)

test(NO_LOCAL.title, t => assertRefused(t, NO_LOCAL))

// [MQTT-4.8.2-1], [MQTT-4.8.2-2] of 5
test('shared subscriptions are refused, well formed or not, and CONNACK says so', async t => {
  const core = await startCore(t)
  const five = await core.connect({ clientId: 'five', protocolVersion: 5 })
  t.is(five.connack?.properties?.sharedSubscriptionAvailable, false)
  const filters = [
    '$share/group/a',
    '$share//a',
    '$share/group',
    '$share/group/',
    '$share/g+/a',
    '$share/#/a'
  ]
  const suback = await five.subscribe(filters, 1)
  t.is(suback.granted[0], 0x9e)
  t.true(suback.granted.every(code => [0x9e, 0x8f].includes(code as number)))
  const four = await subscriber(core, filters, { clientId: 'four' })
  const publisher = await core.connect()
  await publisher.publish({ topic: 'a', qos: 1 })
  for (const client of [four, five]) {
    await client.ping()
    t.deepEqual(client.unreadMessages(), [])
  }
})

// [MQTT-3.8.3-4] of 3.1.1, [MQTT-3.8.3-5] of 5
test('reserved bits in the options of any filter make SUBSCRIBE malformed', async t => {
  for (const bit of [0x04, 0x08, 0x10, 0x20, 0x40, 0x80]) {
    const four = packet(0x82, 0, 1, text('a'), 0, text('b'), bit)
    const isReserved5 = bit >= 0x40
    const five = packet(0x82, 0, 1, 0, text('a'), 0, text('b'), bit)
    await assertRefused(t, { title: '', code: CODE.malformed, four, ...(isReserved5 ? { five } : {}) })
  }
})
