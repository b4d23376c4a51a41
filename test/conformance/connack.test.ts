import test from 'ava'
import { ERRORS } from '../../src/errors.ts'
import { kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { ByteClient, connect, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT section 3.2

for (const { protocolVersion, name } of VERSIONS) {
  const again = () =>
    connect({
      version: protocolVersion,
      flags: 0,
      payload: text('kept'),
      properties: [17, 0, 0, 14, 16] // Session Expiry Interval: an hour
    })

  // [MQTT-3.2.0-1] of 3.1.1, [MQTT-3.2.0-1], [MQTT-3.2.0-2], [MQTT-3.2.2-1] of 5
  test(`the first packet to MQTT ${name} is CONNACK, and no other follows, whatever waits to be sent`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', kept(protocolVersion))
    await reader.disconnect()
    const publisher = await core.connect()
    for (let i = 0; i < 5; i++) await publisher.publish({ topic: 'a', qos: 1 })
    const client = ByteClient.open(core, again())
    await client.packet(5)
    t.deepEqual(
      client.packets.map(({ header }) => header >> 4),
      [2, 3, 3, 3, 3, 3]
    )
    t.is(client.packets[0]!.body[0], 1)
    client.destroy()
  })

  // [MQTT-3.2.2-1], [MQTT-3.2.2-2], [MQTT-3.2.2-3] of 3.1.1, [MQTT-3.2.2-2], [MQTT-3.2.2-3] of 5
  test(`Session Present tells MQTT ${name} whether a session is resumed, also one without subscriptions`, async t => {
    const core = await startCore(t)
    const visit = async (clean: boolean) => {
      const client = await core.connect({ ...kept(protocolVersion), clean })
      await client.disconnect()
      return client.connack!.sessionPresent
    }
    t.deepEqual(
      [await visit(false), await visit(false), await visit(true), await visit(false)],
      [false, true, false, protocolVersion === 5]
    )
  })
}

// [MQTT-3.2.2-9], [MQTT-3.2.2-10], [MQTT-3.2.2-22], [MQTT-4.12.0-6] of 5
test('CONNACK tells what the server can do, and nothing that was not asked for', async t => {
  const core = await startCore(t)
  const client = await core.connect({ clientId: 'five', protocolVersion: 5, keepaliveSeconds: 30 })
  const told = client.connack!.properties ?? {}
  t.is(told.maximumQoS ?? 2, 2)
  t.not(told.retainAvailable, false)
  t.not(told.wildcardSubscriptionAvailable, false)
  t.not(told.subscriptionIdentifiersAvailable, false)
  t.is(told.sharedSubscriptionAvailable, false)
  t.true((told.receiveMaximum ?? 65_535) > 0)
  for (const absent of [
    'assignedClientIdentifier',
    'authenticationMethod',
    'authenticationData',
    'responseInformation',
    'serverKeepAlive',
    'serverReference'
  ]) {
    t.false(absent in told, absent)
  }
})

/** Reason codes of MQTT 5 that tell of a failure. @see MQTT 5.0 section 2.4 */
const REASONS = [
  ...[0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f],
  ...[0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f],
  ...[0xa0, 0xa1, 0xa2]
]

// [MQTT-3.2.2-8], [MQTT-3.14.2-1] of 5
test('every reason code of an error is one that the specification has', t => {
  for (const [code, { reasonCode }] of Object.entries(ERRORS)) t.true(REASONS.includes(reasonCode), code)
})

// [MQTT-3.2.2-6] of 3.1.1
test('MQTT 3.1.1 gets no CONNACK code above 5', async t => {
  const core = await startCore(t)
  const { aedes } = core.core.broker
  const codes: number[] = []
  for (const returnCode of [2, 4, 5]) {
    aedes.authenticate = (_client, _user, _password, done) => {
      done(Object.assign(new Error('no'), { returnCode }) as Parameters<typeof done>[0], null)
    }
    const client = ByteClient.open(core, connect({}))
    await client.closed()
    codes.push(client.packets[0]!.body[1]!)
  }
  t.true(codes.every(code => code >= 1 && code <= 5))
})
