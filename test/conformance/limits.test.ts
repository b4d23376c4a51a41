import test from 'ava'
import { assertEnded, CODE, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { packet, properties, text } from '../helpers/conformance-bytes.ts'
import { startTimed } from '../helpers/conformance-clock.ts'
import { startCore } from '../helpers/core.ts'

// Limits that the server is set to, and tells MQTT 5 of: section 3.2.2.3

// [MQTT-3.2.2-21] binds the client; MQTT 5.0 section 3.2.2.3.14
test('a keep alive above the limit of the server, or none, is told as Server Keep Alive and counted', async t => {
  const core = await startTimed(t, { settings: { maxKeepAliveSeconds: 10 } })
  for (const keepaliveSeconds of [0, 60]) {
    const client = await core.connect({ clientId: 'client', protocolVersion: 5, keepaliveSeconds })
    t.is(client.connack?.properties?.serverKeepAlive, 10)
    await core.clock.pass(14)
    t.false(client.isClosed)
    await core.clock.pass(3)
    await assertEnded(t, client, 0x8d)
  }
  const modest = await core.connect({ clientId: 'modest', protocolVersion: 5, keepaliveSeconds: 5 })
  t.is(modest.connack?.properties?.serverKeepAlive, undefined)
})

// MQTT 5.0 section 3.2.2.3.2
test('a session expiry above the limit of the server is told and counted', async t => {
  const core = await startTimed(t, { settings: { maxSessionExpirySeconds: 60 } })
  const modest = await core.connect({ ...kept(5, 'modest'), expirySeconds: 30 })
  t.is(modest.connack?.properties?.sessionExpiryInterval ?? 30, 30)
  for (const expirySeconds of [61, 0xffffffff]) {
    const client = await subscriber(core, 'a', { ...kept(5), expirySeconds })
    t.is(client.connack?.properties?.sessionExpiryInterval, 60)
    await client.disconnect({ properties: { sessionExpiryInterval: 1_000 } })
    await core.clock.pass(50)
    t.truthy(core.core.directory.session('kept'))
    await core.clock.pass(15)
    t.is(core.core.directory.session('kept'), undefined)
  }
})

// MQTT 5.0 section 3.2.2.3.8
test('a server without topic aliases says so and refuses each with 0x94', async t => {
  const core = await startCore(t, { settings: { topicAliasMaximum: 0 } })
  const client = await core.connect({ protocolVersion: 5 })
  t.is(client.connack?.properties?.topicAliasMaximum ?? 0, 0)
  client.sendBytes(Buffer.from(packet(0x30, text('a'), properties([35, 0, 1]))))
  await assertEnded(t, client, CODE.aliasInvalid)
})

// [MQTT-3.1.2-28]
test('Response Information is told to those who ask for it', async t => {
  const core = await startCore(t, { settings: { responseInformation: 'answers/' } })
  const told = async (asked: boolean | undefined) => {
    const properties = asked === undefined ? {} : { requestResponseInformation: asked }
    const client = await core.connect({ protocolVersion: 5, properties })
    return client.connack!.properties?.responseInformation
  }
  t.deepEqual(
    [await told(true), await told(false), await told(undefined)],
    ['answers/', undefined, undefined]
  )
})

// MQTT 5.0 section 3.3.2.3.2
test('a payload that is not the UTF-8 it is said to be is refused with 0x99 where that is looked at', async t => {
  const core = await startCore(t, { settings: { checkPayloadFormat: true } })
  const reader = await subscriber(core, 'a', { clientId: 'reader', protocolVersion: 5 })
  const publisher = await core.connect({ protocolVersion: 5 })
  const isText = { properties: { payloadFormatIndicator: true } }
  const bad = { topic: 'a', payload: Buffer.of(0xff), ...isText }
  const puback = await publisher.publish({ ...bad, qos: 1 })
  t.is(puback?.cmd === 'puback' && puback.reasonCode, 0x99)
  publisher.publishOnly({ ...bad, qos: 2 })
  t.is((await publisher.next('pubrec')).reasonCode, 0x99)
  await publisher.publish({ topic: 'a', payload: Buffer.of(0xff), qos: 1 })
  await publisher.publish({ topic: 'a', payload: 'ä', qos: 1, ...isText })
  t.deepEqual(
    (await reader.messages(2)).map(({ payload }) => payload),
    [Buffer.of(0xff), Buffer.from('ä')]
  )
  publisher.publishOnly({ ...bad, qos: 0 })
  await assertEnded(t, publisher, 0x99)
})

// MQTT 3.1.1 has no expiry of its own
test('a server may end sessions of 3.1.1 after a time', async t => {
  const core = await startTimed(t, { settings: { sessionExpirySeconds: 60 } })
  const client = await subscriber(core, 'a', kept(4))
  await client.disconnect()
  await core.clock.pass(55)
  t.truthy(core.core.directory.session('kept'))
  await core.clock.pass(10)
  t.is(core.core.directory.session('kept'), undefined)
})

// MQTT 5.0 section 3.2.2.3.6
test('a packet larger than the Maximum Packet Size of the server is refused, for MQTT 5 with 0x95', async t => {
  const maxPacketBytes = 2_000
  const core = await startCore(t, { settings: { maxPacketBytes } })
  for (const { protocolVersion, name } of VERSIONS) {
    const client = await core.connect({ protocolVersion })
    if (protocolVersion === 5) t.is(client.connack?.properties?.maximumPacketSize, maxPacketBytes)
    const none = protocolVersion === 5 ? [0] : []
    // first byte, length (2), topic (3)
    const fill = (bytes: number) => packet(0x30, text('a'), none, Array(bytes - 6 - none.length).fill(120))
    client.sendBytes(Buffer.from(fill(maxPacketBytes)))
    await client.ping()
    client.sendBytes(Buffer.from(fill(maxPacketBytes + 1)))
    await assertEnded(t, client, protocolVersion === 5 ? 0x95 : null, `MQTT ${name}`)
  }
})
