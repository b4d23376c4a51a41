import test from 'ava'
import type { ISubscription, QoS } from 'mqtt-packet'
import { startCore } from './helpers/core.ts'
import type { RawClient } from './helpers/raw-client.ts'

const logger = { clientId: 'logger', clean: false }
const five = { ...logger, protocolVersion: 5, expirySeconds: 100 } as const

/** Publishes a retained message and waits until it counts. */
async function retain(publisher: RawClient, topic: string, payload: string, qos: QoS = 1): Promise<void> {
  await publisher.publish({ topic, payload, qos, retain: true })
  if (qos === 0) await publisher.publish({ topic: 'fence', qos: 1 })
}

function subscribeWith(client: RawClient, topic: string, options: object): Promise<unknown> {
  const messageId = client.nextId()
  const subscription = { topic, qos: 1, nl: false, rap: false, rh: 0, ...options } as ISubscription
  client.send({ cmd: 'subscribe', messageId, subscriptions: [subscription] })
  return client.next('suback')
}

const shown = (client: RawClient) =>
  client.unreadMessages().map(({ topic, payload, retain: kept, qos }) => `${topic} ${payload} ${kept} ${qos}`)

test('a new subscriber gets the last retained message of each topic, behind its SUBACK and with RETAIN', async t => {
  const { connect } = await startCore(t)
  const publisher = await connect()
  for (const payload of ['1', '2']) await retain(publisher, 'a', payload)
  await retain(publisher, 'b/c', '3', 0)
  await retain(publisher, 'b/d', '4', 2)
  const subscriber = await connect(logger)
  await subscriber.subscribe('#', 2)
  t.is(subscriber.received[1]!.cmd, 'suback')
  await subscriber.messages(3)
  const seen = subscriber.received.flatMap(packet =>
    packet.cmd === 'publish' ? [`${packet.topic} ${packet.payload} ${packet.retain} ${packet.qos}`] : []
  )
  t.deepEqual(seen.sort(), ['a 2 true 1', 'b/c 3 true 0', 'b/d 4 true 2'])
})

test('those who are subscribed get it without RETAIN, and with it when they want it as published', async t => {
  const { connect } = await startCore(t)
  const [plain, asPublished] = [await connect(logger), await connect({ ...five, clientId: 'five' })]
  await plain.subscribe('a')
  await subscribeWith(asPublished, 'a', { rap: true })
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: '1', qos: 1, retain: true })
  await publisher.publish({ topic: 'a', payload: '2', qos: 1 })
  t.deepEqual(
    (await plain.messages(2)).map(message => message.retain),
    [false, false]
  )
  t.deepEqual(
    (await asPublished.messages(2)).map(message => message.retain),
    [true, false]
  )
})

test('an empty retained message clears what was there, and is delivered', async t => {
  const { connect } = await startCore(t)
  const publisher = await connect()
  await retain(publisher, 'a', '1')
  const watcher = await connect({ clientId: 'watcher' })
  await watcher.subscribe('a')
  await watcher.messages(1)
  await retain(publisher, 'a', '')
  t.is(String((await watcher.next('publish')).payload), '')
  const subscriber = await connect(logger)
  await subscriber.subscribe('a')
  await subscriber.ping()
  t.deepEqual(shown(subscriber), [])
})

for (const [handling, isNew, expected] of [
  [0, true, true],
  [0, false, true],
  [1, true, true],
  [1, false, false],
  [2, true, false],
  [2, false, false]
] as const) {
  const kind = isNew ? 'a new' : 'a renewed'
  test(`Retain Handling ${handling} ${expected ? 'brings' : 'does not bring'} what is retained to ${kind} subscription`, async t => {
    const { connect } = await startCore(t)
    const publisher = await connect()
    await retain(publisher, 'a', '1')
    const subscriber = await connect(five)
    if (!isNew) await subscribeWith(subscriber, 'a', { rh: 2 })
    await subscribeWith(subscriber, 'a', { rh: handling })
    await subscriber.ping()
    t.deepEqual(shown(subscriber), expected ? ['a 1 true 1'] : [])
  })
}

for (const [filter, topics] of [
  ['a/+', ['a/', 'a/b']],
  ['a/#', ['a', 'a/', 'a/b', 'a/b/c']],
  ['+', ['a']],
  ['+/+', ['/', 'a/', 'a/b']],
  ['#', ['/', 'a', 'a/', 'a/b', 'a/b/c']],
  ['/+', ['/']],
  ['a/b', ['a/b']],
  ['constructor', []]
] as const) {
  test(`the filter ${filter} finds ${topics.join(' ') || 'nothing'} among the retained topics`, async t => {
    const { connect, core } = await startCore(t)
    const publisher = await connect()
    for (const topic of ['a', 'a/', 'a/b', 'a/b/c', '/']) await retain(publisher, topic, 'x')
    await new Promise<void>(resolve =>
      core.broker.aedes.publish(
        { cmd: 'publish', topic: '$SYS/x', payload: 'x', qos: 0, retain: true, dup: false },
        () => resolve()
      )
    )
    const subscriber = await connect(logger)
    await subscriber.subscribe(filter, 0)
    await subscriber.ping()
    t.deepEqual(
      subscriber
        .unreadMessages()
        .map(({ topic }) => topic)
        .sort(),
      [...topics]
    )
  })
}

test('what the server retains under $SYS is found by a filter that names it', async t => {
  const { connect, core } = await startCore(t)
  await new Promise<void>(resolve =>
    core.broker.aedes.publish(
      { cmd: 'publish', topic: '$SYS/x', payload: 'x', qos: 0, retain: true, dup: false },
      () => resolve()
    )
  )
  const subscriber = await connect(logger)
  await subscriber.subscribe('$SYS/+', 0)
  t.is((await subscriber.next('publish')).topic, '$SYS/x')
})

for (const stop of ['process', 'machine', 'settled'] as const) {
  test(`what is retained, replaced and cleared is so after a stop: ${stop}`, async t => {
    const first = await startCore(t)
    const publisher = await first.connect({ clientId: 'publisher' })
    for (const topic of ['kept', 'replaced', 'cleared']) await retain(publisher, topic, '1', 1)
    if (stop === 'settled') await first.core.settle()
    await retain(publisher, 'replaced', '2', 0)
    await retain(publisher, 'cleared', '', 1)
    if (stop === 'settled') await first.core.settle()
    const { connect } = await startCore(t, {
      store: first.store.crash(stop === 'machine' ? 'machine' : 'process', 0)
    })
    const subscriber = await connect(logger)
    await subscriber.subscribe('#')
    await subscriber.ping()
    t.deepEqual(shown(subscriber).sort(), ['kept 1 true 1', 'replaced 2 true 0'])
  })
}

test('an unacked retained message comes again after a reconnect, also when its record has left the journal', async t => {
  const { connect, core, store } = await startCore(t)
  const publisher = await connect()
  await retain(publisher, 'a', '1')
  await core.settle()
  t.is(store.size, 0)
  const subscriber = await connect({ ...logger, isAcking: false })
  await subscriber.subscribe('a')
  const first = await subscriber.next('publish')
  subscriber.destroy()
  const again = await connect(logger)
  const second = await again.next('publish')
  t.deepEqual(
    [second.messageId, String(second.payload), second.retain, second.dup],
    [first.messageId, '1', true, true]
  )
})

test('a backlog is not passed over because of a retained message with a higher sequence', async t => {
  const first = await startCore(t)
  const publisher = await first.connect()
  const subscriber = await first.connect(logger)
  await subscriber.subscribe('backlog')
  await subscriber.disconnect()
  for (const payload of ['1', '2', '3']) await publisher.publish({ topic: 'backlog', payload, qos: 1 })
  await retain(publisher, 'retained', 'r')
  const slow = await first.connect({ ...five, isAcking: false, receiveMaximum: 1 })
  const [one] = await slow.messages(1)
  await slow.subscribe('retained')
  slow.ack(one!)
  await slow.next('publish')
  const second = await startCore(t, { store: first.store.crash('process') })
  const again = await second.connect(logger)
  const all = await again.messages(3)
  t.true(all.some(({ payload }) => String(payload) === '2'))
})

test('a retained message of QoS 0 that comes while others are being shown is not shown as well', async t => {
  const { connect } = await startCore(t)
  const publisher = await connect()
  for (const topic of ['a/1', 'a/2']) await retain(publisher, topic, 'kept')
  await retain(publisher, 'a/3', 'old', 0)
  const slow = await connect({ ...five, isAcking: false, receiveMaximum: 1 })
  await slow.subscribe('a/#')
  const [first] = await slow.messages(1) // its window is full: a/2 waits, and a/3 behind it
  await retain(publisher, 'a/3', 'new', 0)
  slow.isAcking = true
  slow.ack(first!)
  await slow.next('publish', ({ topic }) => topic === 'a/2')
  await slow.ping()
  t.deepEqual(shown(slow), ['a/3 new false 0'])
})

test('a hundred thousand retained topics come to a wildcard subscriber while others are served', async t => {
  const { connect, core } = await startCore(t)
  const publisher = await connect()
  const topics = Number(process.env.RESTANTE_TEST_RETAINED ?? 20_000)
  for (let i = 0; i < topics; i++)
    publisher.publishOnly({ topic: `r/${i % 100}/${i}`, payload: 'x', retain: true })
  await publisher.publish({ topic: 'fence', qos: 1 })
  const other = await connect({ clientId: 'other' })
  const subscriber = await connect(logger)
  subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] })
  let pings = 0
  while (subscriber.unreadMessages().length < topics) {
    await other.ping()
    pings++
  }
  t.true(pings > topics / 4_096, `${pings} round trips meanwhile`)
  t.is(new Set(subscriber.unreadMessages().map(({ topic }) => topic)).size, topics)
  t.is(core.directory.session('logger')!.inflight(), 0)
})

test('a retained message of QoS 0 and a plain one behind it come in their order', async t => {
  const { connect } = await startCore(t)
  const subscriber = await connect(logger)
  await subscriber.subscribe('a', 0)
  const publisher = await connect()
  for (let i = 0; i < 100; i++) publisher.publishOnly({ topic: 'a', payload: `${i}`, retain: i % 3 === 0 })
  t.deepEqual(
    await subscriber.payloads(100),
    Array.from({ length: 100 }, (_, i) => `${i}`)
  )
})
