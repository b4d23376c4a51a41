import test from 'ava'
import { kept } from '../helpers/conformance.ts'
import { startTimed } from '../helpers/conformance-clock.ts'

test('the server counts what came and went, by QoS', async t => {
  const core = await startTimed(t)
  const client = await core.connect({ clientId: 'one', protocolVersion: 5 })
  await client.subscribe('#', 2)
  for (const [qos, times] of [
    [0, 1],
    [1, 2],
    [2, 3]
  ] as const) {
    for (let i = 0; i < times; i++) await client.publish({ topic: 'a', payload: 'x', qos })
  }
  const messages = await client.messages(6)
  for (const { qos, messageId } of messages)
    if (qos === 2) await client.next('pubrel', ({ messageId: id }) => id === messageId)
  await core.connect(kept(5, 'two'))
  const server = core.core.directory.server()
  t.deepEqual(server.receivedByQos, [1, 2, 3])
  t.deepEqual(server.sentByQos, [1, 2, 3])
  t.like(server, { acceptedMessages: 6, deliveredMessages: 6, connections: 2, connectedClients: 2 })
  t.like(server, { sessions: 2, persistentSessions: 1, subscriptions: 1, recentMessages: 6 })
  t.true(server.receivedBytes > 100 && server.sentBytes > 100)
  t.like(core.core.directory.client('one'), { receivedMessages: 6, sentMessages: 6 })
})

test('rates are of the last minute, activity is the last that was heard', async t => {
  const core = await startTimed(t)
  const { clock } = core
  const { directory } = core.core
  const client = await core.connect({ ...kept(5, 'one'), username: 'alice' })
  const topic = () => [...directory.topics()].find(one => one.topic === 'a')
  t.is(topic(), undefined)
  for (const seconds of [0, 30, 29, 1]) {
    await clock.pass(seconds)
    await client.publish({ topic: 'a', payload: 'x', qos: 1 })
  }
  const lastAcceptedAt = clock.now()
  t.deepEqual(topic(), { topic: 'a', acceptedMessages: 4, recentMessages: 3, lastAcceptedAt })
  await clock.pass(59)
  t.is(topic()!.recentMessages, 1)
  await clock.pass(1)
  t.is(topic()!.recentMessages, 0)
  t.is(directory.server().recentMessages, 0)
  t.like(directory.client('one'), { username: 'alice', lastActivityAt: lastAcceptedAt })
  t.is(directory.session('one')!.lastActivityAt, lastAcceptedAt)
  await client.disconnect()
  t.like(directory.session('one'), { expirySeconds: 3_600, lastActivityAt: clock.now() })
  t.is(directory.session('one')!.expiresAt, clock.now() + 3_600_000)
})

test('when a session was left is known after a restart, also of one that is kept for ever', async t => {
  const before = await startTimed(t)
  for (const clientId of ['away', 'back']) await (await before.connect(kept(4, clientId))).disconnect()
  const leftAt = before.clock.now()
  await before.clock.pass(5)
  await before.connect(kept(4, 'back'))
  await before.clock.pass(5)
  const core = await before.restart()
  t.like(core.core.directory.session('away'), {
    disconnectedAt: leftAt,
    lastActivityAt: leftAt,
    expiresAt: null
  })
  // it was connected when the server was killed: since when it is gone, nobody knows
  t.like(core.core.directory.session('back'), { disconnectedAt: null, lastActivityAt: null })
})

test('what was accepted by topic, and how lately, is known after a restart, a kill included', async t => {
  const before = await startTimed(t)
  const keeper = await before.connect(kept(5, 'keeper'))
  await keeper.subscribe('#', 1)
  const publish = async (core: typeof before, topic: string) => {
    const publisher = await core.connect({ clientId: 'publisher' })
    await publisher.publish({ topic, payload: 'x', qos: 1 })
  }
  const topics = ({ core }: typeof before) =>
    [...core.directory.topics()].sort((a, b) => (a.topic < b.topic ? -1 : 1))
  await publish(before, 'a')
  await before.clock.pass(40)
  await publish(before, 'a')
  await before.core.settle()
  await publish(before, 'b')
  const told = topics(before)
  t.like(told, [
    { topic: 'a', acceptedMessages: 2, recentMessages: 2 },
    { topic: 'b', acceptedMessages: 1, recentMessages: 1 }
  ])
  const killed = await before.restart()
  t.deepEqual(topics(killed), told)
  await killed.core.settle()
  const again = await killed.restart()
  t.deepEqual(topics(again), told)
  await again.clock.pass(30)
  await publish(again, 'a')
  t.like(topics(again)[0], { acceptedMessages: 3, recentMessages: 2, lastAcceptedAt: again.clock.now() })
  await again.clock.pass(61)
  t.like(topics(again)[0], { acceptedMessages: 3, recentMessages: 0 })
})
