import test from 'ava'
import { arrived, assertEnded, assertRefused, CODE, kept, subscriber } from '../helpers/conformance.ts'
import { ByteClient, connect, packet, properties, text } from '../helpers/conformance-bytes.ts'
import { cut } from '../helpers/conformance-core.ts'
import { startCore } from '../helpers/core.ts'

// MQTT 5.0 section 3.3.2.3.4: topic aliases

const alias = (value: number) => properties([35, value >> 8, value & 255])

// [MQTT-3.3.2-12]
test('every alias up to the Topic Alias Maximum of the server stands for the topic it was given last', async t => {
  const core = await startCore(t)
  const reader = await subscriber(core, '#', { protocolVersion: 5, qos: 2 })
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5, isAcking: false })
  const most = publisher.connack!.properties?.topicAliasMaximum ?? 0
  t.true(most > 0)
  const publish = (topic: string, topicAlias: number, qos: 0 | 1 | 2) =>
    publisher.publish({ topic, payload: topic, qos, properties: { topicAlias } })
  for (const topicAlias of [1, most]) {
    for (const qos of [0, 1, 2] as const) {
      await publish(`a/${topicAlias}/${qos}`, topicAlias, qos)
      await publish('', topicAlias, qos)
      const [named, nameless] = await reader.messages(2)
      t.deepEqual([named!.topic, nameless!.topic], Array(2).fill(`a/${topicAlias}/${qos}`))
      t.is(nameless!.properties?.topicAlias, undefined)
    }
  }
})

// [MQTT-3.3.2-9], [MQTT-3.2.2-17]
test('an alias above the Topic Alias Maximum of the server is refused with 0x94', async t => {
  const core = await startCore(t)
  const client = await core.connect({ protocolVersion: 5 })
  const most = client.connack!.properties?.topicAliasMaximum ?? 0
  client.sendBytes(Buffer.from(packet(0x30, text('a'), alias(most + 1))))
  await assertEnded(t, client, CODE.aliasInvalid)
})

test('an alias that was given no topic is a protocol error', async t => {
  await assertRefused(t, { title: '', code: CODE.protocolError, five: packet(0x30, 0, 0, alias(1)) })
})

// [MQTT-3.3.2-7]
test('an alias is forgotten with its connection, also when the session goes on', async t => {
  const core = await startCore(t)
  const first = await core.connect(kept(5))
  await first.publish({ topic: 'a', qos: 1, properties: { topicAlias: 1 } })
  await cut(first)
  const second = await core.connect(kept(5))
  second.sendBytes(Buffer.from(packet(0x30, 0, 0, alias(1))))
  await assertEnded(t, second, CODE.protocolError)
})

// [MQTT-3.1.2-26], [MQTT-3.1.2-27], [MQTT-3.3.2-11], [MQTT-3.3.2-8]
test('aliases to a client stay within its Topic Alias Maximum and always stand for the right topic', async t => {
  const core = await startCore(t)
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  for (const most of [0, 1, 3, null]) {
    const options = most === null ? {} : { properties: { topicAliasMaximum: most } }
    const reader = await subscriber(core, '#', { protocolVersion: 5, clientId: 'reader', qos: 2, ...options })
    const names = new Map<number, string>()
    const topics = ['a', 'b', 'a', 'c', 'd', 'a', 'e', 'b', 'e', 'e']
    for (const [i, topic] of topics.entries()) {
      await publisher.publish({ topic, payload: topic, qos: (i % 3) as 0, properties: { topicAlias: 1 } })
    }
    const found: string[] = []
    for (const { topic, payload, properties: came } of await reader.messages(topics.length)) {
      const used = came?.topicAlias
      t.true(used === undefined || (used > 0 && used <= (most ?? 0)))
      if (used !== undefined && topic !== '') names.set(used, topic)
      const name = topic === '' ? names.get(used!)! : topic
      t.is(name, payload.toString())
      found.push(name)
    }
    t.deepEqual(found.sort(), [...topics].sort())
    await cut(reader)
  }
})

// [MQTT-3.3.2-7]
test('the server gives a client its aliases anew on every connection', async t => {
  const core = await startCore(t)
  const reader = await subscriber(core, 'a', { ...kept(5), properties: { topicAliasMaximum: 5 } })
  const publisher = await core.connect({ clientId: 'publisher' })
  for (let i = 0; i < 3; i++) await publisher.publish({ topic: 'a', qos: 1 })
  await reader.messages(3)
  await reader.disconnect()
  await publisher.publish({ topic: 'a', qos: 1 })
  const hour = [17, 0, 0, 14, 16]
  const back = ByteClient.open(
    core,
    connect({ version: 5, flags: 0, payload: text('kept'), properties: [...hour, 34, 0, 5] })
  )
  const { body } = await back.packet(1)
  t.deepEqual([...body.subarray(0, 3)], [...text('a')])
})

test('a publish with an alias is kept, and comes to sessions that were away, under its topic', async t => {
  const core = await startCore(t)
  const away = await subscriber(core, 'a', kept(5))
  await away.disconnect()
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  await publisher.publish({ topic: 'a', payload: '1', qos: 1, properties: { topicAlias: 1 } })
  await publisher.publish({ topic: '', payload: '2', qos: 1, retain: true, properties: { topicAlias: 1 } })
  const back = await core.connect(kept(5))
  t.deepEqual(
    (await back.messages(2)).map(({ topic }) => topic),
    ['a', 'a']
  )
  const late = await subscriber(core, 'a', { clientId: 'late' })
  t.deepEqual(await arrived(late), ['2'])
})
