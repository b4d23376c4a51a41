import test from 'ava'
import type { ISubscription } from 'mqtt-packet'
import { arrived, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { startCore } from '../helpers/core.ts'
import type { RawClient } from '../helpers/raw-client.ts'

// MQTT sections 3.8 and 3.9

const QOS = [0, 1, 2] as const

/** Subscribes with options of MQTT 5, and a subscription identifier (0: none). */
async function subscribe(
  client: RawClient,
  identifier: number,
  ...subscriptions: ISubscription[]
): Promise<number[]> {
  const messageId = client.nextId()
  const properties = identifier === 0 ? {} : { subscriptionIdentifier: identifier }
  client.send({ cmd: 'subscribe', messageId, subscriptions, properties })
  return [...(await client.next('suback', ack => ack.messageId === messageId)).granted] as number[]
}

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.8.4-1], [MQTT-3.8.4-4], [MQTT-3.8.4-5], [MQTT-3.9.3-1], [MQTT-3.9.3-2] of 3.1.1,
  // [MQTT-3.8.4-1], [MQTT-3.8.4-5] to [MQTT-3.8.4-7], [MQTT-3.9.3-1], [MQTT-3.9.3-2] of 5
  test(`one SUBACK answers each filter of MQTT ${name} in its place, granted or refused`, async t => {
    const core = await startCore(t)
    core.core.broker.aedes.authorizeSubscribe = (_client, subscription, done) => {
      done(null, subscription.topic.startsWith('secret') ? null : subscription)
    }
    const client = await core.connect({ protocolVersion })
    const asked: ISubscription[] = [
      { topic: 'a', qos: 2 },
      { topic: 'b#', qos: 0 },
      { topic: 'c', qos: 0 },
      { topic: 'secret', qos: 1 },
      { topic: 'd', qos: 1 }
    ]
    const codes = protocolVersion === 5 ? [2, 0x8f, 0, 0x87, 1] : [2, 0x80, 0, 0x80, 1]
    t.deepEqual(await subscribe(client, 0, ...asked), codes)
    t.is(client.received.filter(({ cmd }) => cmd === 'suback').length, 1)
    const publisher = await core.connect()
    for (const topic of ['a', 'c', 'secret', 'd']) await publisher.publish({ topic, payload: topic, qos: 1 })
    t.deepEqual(await arrived(client), ['a', 'c', 'd'])
  })

  // [MQTT-3.8.4-4] of 3.1.1, [MQTT-3.8.4-5] of 5
  test(`the last of equal filters in one SUBSCRIBE of MQTT ${name} counts`, async t => {
    const core = await startCore(t)
    const client = await core.connect({ protocolVersion })
    t.deepEqual(await subscribe(client, 0, { topic: 'a', qos: 2 }, { topic: 'a', qos: 0 }), [2, 0])
    const publisher = await core.connect()
    await publisher.publish({ topic: 'a', payload: 'x', qos: 1 })
    t.is((await client.next('publish')).qos, 0)
    t.deepEqual(await arrived(client), [])
  })

  // [MQTT-3.8.4-6] of 3.1.1, [MQTT-3.8.4-8] of 5
  test(`a message comes to MQTT ${name} with the lower of its QoS and the granted one`, async t => {
    const core = await startCore(t)
    const reader = await core.connect({ protocolVersion })
    for (const qos of QOS) t.deepEqual([...(await reader.subscribe(`granted/${qos}`, qos)).granted], [qos])
    const publisher = await core.connect()
    for (const granted of QOS) {
      for (const qos of QOS) {
        await publisher.publish({ topic: `granted/${granted}`, qos })
        t.is((await reader.next('publish')).qos, Math.min(granted, qos) as 0)
      }
    }
  })

  // [MQTT-3.8.4-3]; [MQTT-3.8.4-4] of 5
  test(`subscribing to MQTT ${name} again replaces the subscription and loses no message`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', kept(protocolVersion))
    const publisher = await core.connect({ clientId: 'publisher' })
    const numbers = Array.from({ length: 40 }, (_, i) => String(i))
    for (const payload of numbers) {
      publisher.publishOnly({ topic: 'a', payload, qos: 1 })
      if (Number(payload) % 8 === 0) await reader.subscribe('a', Number(payload) % 16 === 0 ? 1 : 2)
    }
    t.deepEqual(await reader.payloads(40), numbers)
    t.deepEqual(await arrived(reader), [])
    await reader.subscribe('a', 0)
    await publisher.publish({ topic: 'a', payload: 'x', qos: 2 })
    t.is((await reader.next('publish')).qos, 0)
    t.is([...core.core.directory.session('kept')!.subscriptions()].length, 1)
  })
}

// [MQTT-3.8.4-3] of 3.1.1, [MQTT-3.8.4-4] of 5
test('a message that is on its way while its subscription is raised from QoS 0 comes', async t => {
  const core = await startCore(t)
  for (const qos of [1, 2] as const) {
    const reader = await subscriber(core, 'a', { ...kept(5), qos: 0 })
    const publisher = await core.connect({ clientId: 'publisher' })
    publisher.publishOnly({ topic: 'a', payload: 'x', qos })
    await reader.subscribe('a', qos)
    t.deepEqual(await arrived(reader), ['x'])
    await reader.unsubscribe('a')
  }
})

// [MQTT-3.8.3-3] of 5
test('No Local keeps from a client what it publishes itself, also over a new connection, and nothing else', async t => {
  const core = await startCore(t)
  const client = await core.connect(kept(5, 'me'))
  await subscribe(client, 0, { topic: 'a', qos: 1, nl: true })
  await subscribe(client, 0, { topic: 'b', qos: 1, nl: false })
  const other = await core.connect({ clientId: 'other' })
  for (const qos of QOS) {
    await client.publish({ topic: 'a', payload: 'mine', qos })
    await client.publish({ topic: 'b', payload: 'mine too', qos })
    await other.publish({ topic: 'a', payload: 'other', qos })
  }
  t.deepEqual((await client.payloads(6)).sort(), [
    'mine too',
    'mine too',
    'mine too',
    'other',
    'other',
    'other'
  ])
  await client.publish({ topic: 'a', payload: 'mine', qos: 1 })
  await client.disconnect()
  await other.publish({ topic: 'a', payload: 'missed', qos: 1 })
  const back = await core.connect(kept(5, 'me'))
  t.deepEqual(await back.payloads(1), ['missed'])
  await back.publish({ topic: 'a', payload: 'mine', qos: 1 })
  t.deepEqual(await arrived(back), [])
})

test('a message that one filter keeps from its publisher comes by another that does not', async t => {
  const core = await startCore(t)
  const client = await core.connect({ clientId: 'me', protocolVersion: 5 })
  await subscribe(client, 1, { topic: 'a', qos: 2, nl: true })
  await subscribe(client, 2, { topic: '+', qos: 1 })
  await client.publish({ topic: 'a', payload: 'mine', qos: 2 })
  const message = await client.next('publish')
  t.deepEqual([message.qos, identifiers(message)], [1, [2]])
  t.deepEqual(await arrived(client), [])
})

const identifiers = ({ properties }: { properties?: { subscriptionIdentifier?: number | number[] } }) =>
  [properties?.subscriptionIdentifier ?? []].flat().sort()

// [MQTT-3.3.4-3], [MQTT-3.3.4-4] of 5
test('a message brings the identifiers of all its subscriptions, live and later', async t => {
  const core = await startCore(t)
  const reader = await core.connect(kept(5))
  await subscribe(reader, 1, { topic: 'a/b', qos: 2 })
  await subscribe(reader, 268_435_455, { topic: 'a/#', qos: 0 }, { topic: '+/b', qos: 1 })
  await subscribe(reader, 0, { topic: '#', qos: 1 })
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  const expected = (message: { topic: string }) => (message.topic === 'a/b' ? [1, 268_435_455] : [])
  for (const qos of QOS) {
    for (const topic of ['a/b', 'z']) {
      await publisher.publish({ topic, qos })
      const message = await reader.next('publish')
      t.deepEqual([...new Set(identifiers(message))], expected(message), `QoS ${qos}`)
    }
  }
  await reader.disconnect()
  for (const topic of ['a/b', 'z']) await publisher.publish({ topic, qos: 1 })
  const back = await core.connect(kept(5))
  for (const message of await back.messages(2))
    t.deepEqual([...new Set(identifiers(message))], expected(message))
})

// [MQTT-3.3.4-3], [MQTT-3.8.4-3] of 5
test('a subscription that is replaced has its new identifier, or none', async t => {
  const core = await startCore(t)
  const reader = await core.connect({ protocolVersion: 5 })
  const publisher = await core.connect({ clientId: 'publisher' })
  await publisher.publish({ topic: 'a', payload: 'kept', qos: 1, retain: true })
  for (const identifier of [7, 128, 0, 16_384]) {
    await subscribe(reader, identifier, { topic: 'a', qos: 1 })
    await publisher.publish({ topic: 'a', payload: 'live', qos: 1 })
    for (const message of await reader.messages(2))
      t.deepEqual(identifiers(message), identifier === 0 ? [] : [identifier])
  }
})
