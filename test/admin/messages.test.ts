import test from 'ava'
import type { QueueError } from '../../src/errors.ts'
import { afterTurns } from '../helpers/aedes-server.ts'
import { kept } from '../helpers/conformance.ts'
import { startTimed, type TimedCore } from '../helpers/conformance-clock.ts'
import { startCore } from '../helpers/core.ts'

async function publishAll(core: TimedCore, topics: readonly string[]): Promise<void> {
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  for (const [i, topic] of topics.entries()) await publisher.publish({ topic, payload: `${i + 1}`, qos: 1 })
  await publisher.disconnect()
}

test('a message is found by its id, with all that its publisher said', async t => {
  const core = await startTimed(t)
  const keeper = await core.connect(kept(5, 'keeper'))
  await keeper.subscribe('#', 1)
  const properties = {
    contentType: 'text/plain',
    correlationData: Buffer.from('c'),
    userProperties: { a: ['1', '2'], b: '3' },
    messageExpiryInterval: 60
  }
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  await publisher.publish({ topic: 'DB/CREATE', payload: 'x', qos: 2, retain: true, properties })
  const { items } = await core.core.messages.newest({}, null, 10)
  const found = await core.core.messages.byId(items[0]!.id)
  t.deepEqual(found, items[0])
  t.like(found, {
    id: 'model:1',
    sequence: 1,
    topic: 'DB/CREATE',
    qos: 2,
    isRetained: true,
    publisher: 'publisher'
  })
  t.is(found!.payload.toString(), 'x')
  t.deepEqual({ ...found!.properties, userProperties: { ...found!.properties!.userProperties } }, properties)
  t.is(found!.expiresAt! - found!.acceptedAt, 60_000)
  for (const id of [
    'model:2',
    'model:0',
    'model:x',
    'other:1',
    '1',
    '',
    'model:1 ',
    'model:9999999999999999'
  ]) {
    t.is(await core.core.messages.byId(id), null, id)
  }
})

test('what a session has still to ack is told in parts, inflight first, and nothing twice', async t => {
  const core = await startTimed(t, { settings: { maxInflight: 3 } })
  const away = await core.connect({ ...kept(5, 'away'), isAcking: false })
  await away.subscribe(['DB/#', '+/CREATE'], 1)
  await publishAll(core, ['DB/CREATE', 'DB/x', 'other', 'LOG/CREATE', 'DB/CREATE', 'DB/y', 'DB/z'])
  await away.messages(3)
  away.destroy()
  const told: string[] = []
  let next: string | null = null
  for (let parts = 0; parts < 10; parts++) {
    const part: Awaited<ReturnType<typeof core.core.messages.owed>> = await core.core.messages.owed(
      'away',
      next,
      2
    )
    told.push(...part.items.map(({ status, message }) => `${status} ${message!.payload}`))
    next = part.next
    if (next === null) break
  }
  const expected = ['inflight 1', 'inflight 2', 'inflight 4', 'queued 5', 'queued 6', 'queued 7']
  t.deepEqual(told, expected)
  const whole = await core.core.messages.owed('away', null, 100)
  t.is(whole.items.length, 6)
  t.is(whole.next, null)
  await t.throwsAsync(core.core.messages.owed('nobody', null, 1), { code: 'QUEUE_NOT_FOUND' })
})

test('what has expired is not told as owed', async t => {
  const core = await startTimed(t)
  const away = await core.connect(kept(5, 'away'))
  await away.subscribe('a', 1)
  await away.disconnect()
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  const properties = { messageExpiryInterval: 10 }
  await publisher.publish({ topic: 'a', payload: 'soon', qos: 1, properties })
  await publisher.publish({ topic: 'a', payload: 'later', qos: 1 })
  await core.clock.pass(11)
  const { items } = await core.core.messages.owed('away', null, 10)
  t.deepEqual(
    items.map(({ message }) => message!.payload.toString()),
    ['later']
  )
})

test('kept messages are told from the newest on, by topic, publisher and time', async t => {
  const core = await startTimed(t)
  const keeper = await core.connect(kept(5, 'keeper'))
  await keeper.subscribe('#', 1)
  await keeper.disconnect()
  await publishAll(core, ['DB/a', 'DB/b', 'LOG/a'])
  await core.clock.pass(10)
  const from = core.clock.now()
  await publishAll(core, ['DB/a', 'LOG/b'])
  const read = async (filter: Parameters<typeof core.core.messages.newest>[0], limit = 100) => {
    const told: string[] = []
    let next: string | null = null
    do {
      const part: Awaited<ReturnType<typeof core.core.messages.newest>> = await core.core.messages.newest(
        filter,
        next,
        limit
      )
      told.push(...part.items.map(({ sequence, topic }) => `${sequence} ${topic}`))
      next = part.next
    } while (next !== null)
    return told
  }
  const all = ['5 LOG/b', '4 DB/a', '3 LOG/a', '2 DB/b', '1 DB/a']
  for (const limit of [1, 2, 3, 5, 6]) t.deepEqual(await read({}, limit), all, `limit ${limit}`)
  t.deepEqual(await read({ topicFilter: 'DB/#' }, 1), ['4 DB/a', '2 DB/b', '1 DB/a'])
  t.deepEqual(await read({ topicFilter: '+/a' }), ['4 DB/a', '3 LOG/a', '1 DB/a'])
  t.deepEqual(await read({ from }), ['5 LOG/b', '4 DB/a'])
  t.deepEqual(await read({ to: from }), ['3 LOG/a', '2 DB/b', '1 DB/a'])
  t.deepEqual(await read({ publisher: 'publisher', from, topicFilter: 'DB/a' }), ['4 DB/a'])
  t.deepEqual(await read({ publisher: 'nobody' }), [])
})

test('what is published from inside is stored, shown to the hook, and refused with a reason', async t => {
  const core = await startCore(t)
  const { publisher, broker } = core.core
  const subscriber = await core.connect({ clientId: 'subscriber', protocolVersion: 5 })
  await subscriber.subscribe('DB/#', 1)
  t.deepEqual(await publisher.publish({ topic: 'DB/CREATE', payload: 'x' }), {
    id: 'model:1',
    topic: 'DB/CREATE'
  })
  t.like(await subscriber.next('publish'), { topic: 'DB/CREATE', qos: 1 })
  const properties = { contentType: 'a/b', userProperties: { k: 'v' } }
  t.is((await publisher.publish({ topic: 'DB/q0', payload: 'y', qos: 0, properties })).id, null)
  t.is((await subscriber.next('publish')).properties?.contentType, 'a/b')
  broker.aedes.authorizePublish = (client, packet, done) => {
    if (packet.topic === 'DB/no') done(new Error('not you'))
    else if (client === null) packet.topic = 'DB/changed'
    if (packet.topic !== 'DB/no') done(null)
  }
  t.is((await publisher.publish({ topic: 'DB/x', payload: '' })).topic, 'DB/changed')
  t.is((await subscriber.next('publish')).topic, 'DB/changed')
  const refused = publisher.publish({ topic: 'DB/no', payload: '' })
  await t.throwsAsync(refused, { code: 'QUEUE_NOT_AUTHORIZED', message: /not you/ })
  await t.throwsAsync(publisher.publish({ topic: '$SYS/x', payload: '' }), { code: 'QUEUE_NOT_AUTHORIZED' })
  await t.throwsAsync(publisher.publish({ topic: 'a/#', payload: '' }), { code: 'QUEUE_TOPIC_INVALID' })
  const large = publisher.publish({ topic: 'a', payload: Buffer.alloc(17_000_000) })
  await t.throwsAsync(large, { code: 'QUEUE_PACKET_TOO_LARGE' })
  t.throws(() => publisher.announce('a', ''), { code: 'QUEUE_TOPIC_INVALID' })
})

test('what the server announces reaches whoever listens and is not stored; what is retained of it stays in memory', async t => {
  const core = await startTimed(t)
  const subscriber = await core.connect({ clientId: 'subscriber' })
  await subscriber.subscribe('$events/#', 1)
  core.core.publisher.announce('$events/now', '1')
  core.core.publisher.announce('$events/kept', '2', { isRetained: true })
  t.deepEqual(await subscriber.payloads(2), ['1', '2'])
  const late = await core.connect({ clientId: 'late' })
  await late.subscribe('$events/#', 1)
  t.like(await late.next('publish'), { topic: '$events/kept', qos: 0, retain: true })
  t.is(core.core.directory.server().headSequence, 0)
})

test('whether somebody hears a topic is known', async t => {
  const core = await startTimed(t)
  const { publisher } = core.core
  t.false(publisher.isHeard('$events/client/ended'))
  const client = await core.connect(kept(5, 'one'))
  await client.subscribe('$events/#', 0)
  t.true(publisher.isHeard('$events/client/ended'))
  t.false(publisher.isHeard('other'))
  await client.disconnect()
  await client.closed()
  t.false(publisher.isHeard('$events/client/ended'))
})

test('a place that no part has ended with is refused', async t => {
  const core = await startTimed(t)
  await core.connect(kept(5, 'one'))
  const { messages } = core.core
  for (const place of ['', 'x', '-1', '1e3', 'NaN', '1 ']) {
    await t.throwsAsync(messages.newest({}, place, 1), { code: 'QUEUE_REQUEST_INVALID' }, place)
    await t.throwsAsync(messages.owed('one', place, 1), { code: 'QUEUE_REQUEST_INVALID' }, place)
  }
})

test('messages of one call keep their order, and each is refused for itself', async t => {
  const core = await startCore(t)
  const client = await core.connect({ clientId: 'subscriber' })
  await client.subscribe('DB/#', 1)
  // the earlier a message, the longer the hook thinks about it
  core.core.broker.aedes.authorizePublish = (_client, packet, done) => {
    const turns = packet.topic === 'DB/1' ? 20 : packet.topic === 'DB/2' ? 5 : 0
    afterTurns(turns, () => done(packet.topic === 'DB/2' ? new Error('not this one') : null))
  }
  const topics = ['DB/1', 'DB/2', 'a/#', 'DB/3']
  const settled = await core.core.publisher.publishAll(topics.map(topic => ({ topic, payload: topic })))
  t.deepEqual(await client.payloads(2), ['DB/1', 'DB/3'])
  t.deepEqual(
    settled.map(one => (one.status === 'fulfilled' ? one.value.id : (one.reason as QueueError).code)),
    ['model:1', 'QUEUE_NOT_AUTHORIZED', 'QUEUE_TOPIC_INVALID', 'model:2']
  )
})

test('properties that cannot be written are told, not passed over', async t => {
  const core = await startCore(t)
  const asked = { topic: 'a', payload: '', properties: { userProperties: {} } }
  await t.throwsAsync(core.core.publisher.publish(asked), {
    code: 'QUEUE_REQUEST_INVALID',
    message: /property/
  })
})
