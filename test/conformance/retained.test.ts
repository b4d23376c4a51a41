import test from 'ava'
import type { IPublishPacket, ISubscription, QoS } from 'mqtt-packet'
import { arrived, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { startTimed } from '../helpers/conformance-clock.ts'
import { startCore } from '../helpers/core.ts'
import type { RawClient } from '../helpers/raw-client.ts'

// MQTT section 3.3.1.3 and 3.8.3.1: retained messages

const QOS = [0, 1, 2] as const

/** Subscribes with options of MQTT 5; the messages that came with it stay unread. */
async function subscribe(client: RawClient, options: ISubscription): Promise<void> {
  const messageId = client.nextId()
  client.send({ cmd: 'subscribe', messageId, subscriptions: [options] })
  await client.next('suback', ack => ack.messageId === messageId)
}

function told(message: IPublishPacket): [string, string, boolean] {
  return [message.topic, message.payload.toString(), message.retain]
}

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-7], [MQTT-3.3.1-8] of 3.1.1, [MQTT-3.3.1-5] of 5
  test(`the last retained message of MQTT ${name} stays for those who subscribe later, with its QoS and RETAIN`, async t => {
    const core = await startCore(t)
    const publisher = await core.connect({ protocolVersion, clientId: 'publisher' })
    for (const qos of QOS) {
      const topic = `a/${qos}`
      for (const payload of ['old', 'new']) await publisher.publish({ topic, payload, qos, retain: true })
    }
    const reader = await subscriber(core, 'a/+', { protocolVersion, clientId: 'reader', qos: 2 })
    const messages = (await reader.messages(3)).sort((one, two) => one.qos - two.qos)
    t.deepEqual(
      messages.map(told),
      QOS.map(qos => [`a/${qos}`, 'new', true])
    )
    t.deepEqual(
      messages.map(({ qos }) => qos),
      [...QOS]
    )
    const lower = await subscriber(core, 'a/2', { protocolVersion, clientId: 'lower', qos: 1 })
    t.is((await lower.next('publish')).qos, 1)
  })

  // [MQTT-3.3.1-10], [MQTT-3.3.1-11] of 3.1.1, [MQTT-3.3.1-6], [MQTT-3.3.1-7] of 5
  test(`an empty retained message of MQTT ${name} is passed on, takes the retained one away and is not kept`, async t => {
    const core = await startCore(t)
    const publisher = await core.connect({ protocolVersion, clientId: 'publisher' })
    const present = await subscriber(core, 'a', { protocolVersion, clientId: 'present' })
    for (const qos of QOS) {
      await publisher.publish({ topic: 'a', payload: 'kept', qos, retain: true })
      await publisher.publish({ topic: 'a', payload: '', qos, retain: true })
      t.deepEqual((await present.messages(2)).map(told), [
        ['a', 'kept', false],
        ['a', '', false]
      ])
      const late = await subscriber(core, 'a', { protocolVersion, clientId: 'late' })
      t.deepEqual(await arrived(late), [], `QoS ${qos}`)
    }
  })

  // [MQTT-3.3.1-12] of 3.1.1, [MQTT-3.3.1-8] of 5
  test(`a message of MQTT ${name} without RETAIN neither stays nor replaces one that does`, async t => {
    const core = await startCore(t)
    const publisher = await core.connect({ protocolVersion, clientId: 'publisher' })
    for (const qos of QOS) {
      await publisher.publish({ topic: 'none', payload: 'x', qos })
      await publisher.publish({ topic: 'kept', payload: 'kept', qos, retain: true })
      await publisher.publish({ topic: 'kept', payload: 'other', qos })
      await publisher.publish({ topic: 'kept', payload: '', qos })
      await publisher.ping()
      const reader = await subscriber(core, '+', { protocolVersion, clientId: 'reader' })
      t.deepEqual(await arrived(reader), ['kept'], `QoS ${qos}`)
    }
  })

  // [MQTT-3.3.1-9] of 3.1.1, [MQTT-3.3.1-12] of 5
  test(`RETAIN is not set for a subscription of MQTT ${name} that was there before, on any way`, async t => {
    const core = await startCore(t)
    const reader = await subscriber(core, 'a', { ...kept(protocolVersion), qos: 2 })
    const publisher = await core.connect({ clientId: 'publisher' })
    for (const qos of QOS) await publisher.publish({ topic: 'a', qos, retain: true })
    const live = await reader.messages(3)
    await reader.disconnect()
    for (const qos of [1, 2] as const) await publisher.publish({ topic: 'a', qos, retain: true })
    const back = await core.connect(kept(protocolVersion))
    const missed = await back.messages(2)
    t.true([...live, ...missed].every(({ retain }) => !retain))
  })

  // [MQTT-3.1.2-7] of 3.1.1
  test(`retained messages outlive the session of MQTT ${name} that published them`, async t => {
    const core = await startCore(t)
    const publisher = await core.connect({ clientId: 'publisher', protocolVersion })
    await publisher.publish({ topic: 'a', payload: 'kept', qos: 1, retain: true })
    await publisher.disconnect()
    await (await core.connect({ clientId: 'publisher', protocolVersion })).disconnect()
    const reader = await subscriber(core, 'a', { clientId: 'reader' })
    t.deepEqual(await reader.payloads(1), ['kept'])
  })

  // [MQTT-3.8.4-3] of 3.1.1, [MQTT-3.8.4-4], [MQTT-3.3.1-9] of 5
  test(`subscribing to MQTT ${name} again sends retained messages again, each time after SUBACK`, async t => {
    const core = await startCore(t)
    const publisher = await core.connect({ clientId: 'publisher' })
    await publisher.publish({ topic: 'a', payload: 'kept', qos: 1, retain: true })
    const reader = await core.connect({ protocolVersion })
    for (let round = 0; round < 3; round++) {
      await reader.subscribe('a', 1)
      t.deepEqual(await reader.payloads(1), ['kept'])
    }
    t.deepEqual(
      reader.received.map(({ cmd }) => cmd).slice(1),
      Array.from({ length: 3 }, () => ['suback', 'publish']).flat()
    )
  })
}

// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11] of 5
test('Retain Handling says whether retained messages come with a subscription', async t => {
  const core = await startCore(t)
  const publisher = await core.connect({ clientId: 'publisher' })
  await publisher.publish({ topic: 'a', payload: 'kept', qos: 1, retain: true })
  const came: number[][] = []
  for (const rh of [0, 1, 2]) {
    const reader = await core.connect({ clientId: `reader-${rh}`, protocolVersion: 5 })
    const counts: number[] = []
    for (const qos of [1, 1, 0] as QoS[]) {
      await subscribe(reader, { topic: 'a', qos, rh })
      await reader.ping()
      counts.push(reader.unreadMessages().length)
      reader.unread.length = 0
    }
    await reader.unsubscribe('a')
    await subscribe(reader, { topic: 'a', qos: 1, rh })
    counts.push((await arrived(reader)).length)
    came.push(counts)
  }
  t.deepEqual(came, [
    [1, 1, 1, 1],
    [1, 0, 0, 1],
    [0, 0, 0, 0]
  ])
})

// [MQTT-3.3.1-12], [MQTT-3.3.1-13] of 5
test('Retain As Published keeps RETAIN as it was published, for each subscription of its own', async t => {
  const core = await startCore(t)
  const publisher = await core.connect({ clientId: 'publisher' })
  for (const rap of [true, false]) {
    const reader = await core.connect({ ...kept(5, `reader-${rap}`) })
    await subscribe(reader, { topic: 'a', qos: 2, rap })
    for (const qos of QOS) {
      for (const retain of [true, false]) {
        await publisher.publish({ topic: 'a', payload: 'x', qos, retain })
        t.is((await reader.next('publish')).retain, retain && rap, `QoS ${qos}, live`)
      }
    }
    await reader.disconnect()
    for (const retain of [true, false]) await publisher.publish({ topic: 'a', payload: 'x', qos: 1, retain })
    const back = await core.connect(kept(5, `reader-${rap}`))
    t.deepEqual(
      (await back.messages(2)).map(({ retain }) => retain),
      [rap, false],
      'backlog'
    )
    await publisher.publish({ topic: 'a', payload: '', qos: 1, retain: true })
  }
})

// [MQTT-4.7.2-1]; MQTT section 4.7.1.3
test('retained messages are found by the rules of filters', async t => {
  const core = await startCore(t)
  const publisher = await core.connect({ clientId: 'publisher' })
  for (const topic of ['a', 'a/', 'a/b', 'a/b/c', '/a'])
    await publisher.publish({ topic, payload: 'x', qos: 1, retain: true })
  const found = async (filter: string) => {
    const reader = await subscriber(core, filter, { clientId: 'reader' })
    await arrived(reader)
    return reader
      .unreadMessages()
      .map(({ topic }) => topic)
      .sort()
  }
  t.deepEqual(await found('a/+'), ['a/', 'a/b'])
  t.deepEqual(await found('a/#'), ['a', 'a/', 'a/b', 'a/b/c'])
  t.deepEqual(await found('+'), ['a'])
  t.deepEqual(await found('+/+'), ['/a', 'a/', 'a/b'])
  t.deepEqual(await found('#'), ['/a', 'a', 'a/', 'a/b', 'a/b/c'])
})

// [MQTT-3.3.1-5] of 5
test('retained messages are there after a restart, as they were replaced and cleared', async t => {
  const before = await startTimed(t)
  const publisher = await before.connect({ clientId: 'publisher' })
  await publisher.publish({ topic: 'a/1', payload: 'old', qos: 1, retain: true })
  await publisher.publish({ topic: 'a/1', payload: 'new', qos: 1, retain: true })
  await publisher.publish({ topic: 'a/2', payload: 'gone', qos: 1, retain: true })
  await publisher.publish({ topic: 'a/2', payload: '', qos: 1, retain: true })
  const after = await before.restart()
  const reader = await subscriber(after, 'a/#', { clientId: 'reader' })
  t.deepEqual(await arrived(reader), ['new'])
})
