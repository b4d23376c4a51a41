import test from 'ava'
import type { EventMap, EventName } from '../../src/events.ts'
import { kept } from '../helpers/conformance.ts'
import { startTimed } from '../helpers/conformance-clock.ts'
import { startCore, type TestCore } from '../helpers/core.ts'
import type { ModelStore } from '../helpers/model-store.ts'

/** What is told from now on, by name. */
function listen<Name extends EventName>(
  core: Pick<TestCore<ModelStore>, 'events'>,
  ...names: Name[]
): EventMap[Name][] {
  const told: EventMap[Name][] = []
  for (const name of names) core.events.on(name, event => told.push(event))
  return told
}

async function awayWithBacklog(core: TestCore<ModelStore>, messages: number): Promise<void> {
  const away = await core.connect(kept(5, 'away'))
  await away.subscribe('DB/#', 1)
  await away.disconnect()
  const publisher = await core.connect({ clientId: 'publisher' })
  for (let i = 0; i < messages; i++) await publisher.publish({ topic: 'DB/CREATE', payload: `${i}`, qos: 1 })
}

test('a client that is disconnected is told so, its session stays, its will is sent', async t => {
  const core = await startCore(t)
  const told = listen(core, 'clientDisconnected')
  const watcher = await core.connect({ clientId: 'watcher' })
  await watcher.subscribe('will', 0)
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 0, retain: false } as const
  const client = await core.connect({ ...kept(5, 'bad'), will })
  await core.core.control.disconnect('bad')
  t.is((await client.next('disconnect')).reasonCode, 0x98)
  await client.closed()
  t.is((await watcher.messages(1))[0]!.payload.toString(), 'gone')
  t.like(told, [{ clientId: 'bad', reason: 'QUEUE_DISCONNECTED' }])
  t.false(core.core.directory.session('bad')!.isConnected)
  t.throws(() => core.core.control.disconnect('bad'), { code: 'QUEUE_NOT_FOUND' })
  t.throws(() => core.core.control.disconnect('nobody'), { code: 'QUEUE_NOT_FOUND' })
})

test('a session that is ended is gone for good, whether its client is there or not', async t => {
  for (const isConnected of [true, false]) {
    const core = await startTimed(t)
    const ended = listen(core, 'sessionEnded')
    await awayWithBacklog(core, 3)
    const client = isConnected ? await core.connect({ ...kept(5, 'away'), isAcking: false }) : null
    await client?.messages(3)
    t.is(await core.core.control.endSession('away'), 3)
    if (client) t.is((await client.next('disconnect')).reasonCode, 0x98)
    t.is(core.core.directory.session('away'), undefined)
    t.deepEqual(ended, [{ clientId: 'away', reason: 'ended' }])
    const after = await core.restart()
    t.is(after.core.directory.session('away'), undefined)
    t.false((await after.connect(kept(5, 'away'))).connack!.sessionPresent)
    await t.throwsAsync(after.core.control.endSession('nobody'), { code: 'QUEUE_NOT_FOUND' })
  }
})

test('a session is subscribed on behalf of its client, for good, and gets what comes from then on', async t => {
  const core = await startTimed(t)
  const told = listen(core, 'subscribed')
  await (await core.connect(kept(5, 'away'))).disconnect()
  const granted = await core.core.control.subscribe('away', [{ filter: 'DB/#', qos: 1 }])
  t.deepEqual(granted, [{ filter: 'DB/#', qos: 1 }])
  t.deepEqual(told, [{ clientId: 'away', subscriptions: [{ filter: 'DB/#', qos: 1 }] }])
  const after = await core.restart()
  const publisher = await after.connect()
  await publisher.publish({ topic: 'DB/CREATE', payload: '1', qos: 1 })
  const back = await after.connect(kept(5, 'away'))
  t.deepEqual(await back.payloads(1), ['1'])
  for (const filter of ['a/#/b', '$share/g/a', '$direct/away']) {
    const refused = after.core.control.subscribe('away', [{ filter, qos: 1 }])
    await t.throwsAsync(refused, { code: 'QUEUE_FILTER_INVALID' })
  }
  t.is([...after.core.directory.session('away')!.subscriptions()].length, 1)
})

test('a connected session that is subscribed on behalf gets what is retained, and hooks are asked', async t => {
  const core = await startCore(t)
  const publisher = await core.connect()
  await publisher.publish({ topic: 'state', payload: 'up', qos: 1, retain: true })
  const client = await core.connect(kept(5, 'here'))
  core.core.broker.aedes.authorizeSubscribe = (_client, subscription, done) =>
    done(null, subscription.topic === 'secret' ? null : subscription)
  const asked = ['state', 'secret'].map(filter => ({ filter, qos: 1 }))
  t.deepEqual(await core.core.control.subscribe('here', asked), [{ filter: 'state', qos: 1 }])
  t.is((await client.messages(1))[0]!.payload.toString(), 'up')
})

test('a subscription that is taken out on behalf is gone for good', async t => {
  const core = await startTimed(t)
  const told = listen(core, 'unsubscribed')
  await awayWithBacklog(core, 2)
  t.deepEqual(await core.core.control.unsubscribe('away', ['DB/#', 'never']), [true, false])
  t.deepEqual(told, [{ clientId: 'away', filters: ['DB/#'] }])
  t.is(await core.core.directory.session('away')!.backlog(), 0)
  const after = await core.restart()
  t.deepEqual([...after.core.directory.session('away')!.subscriptions()], [])
})

test('a purge drops what is queued and inflight, counts it, and stays done', async t => {
  const core = await startTimed(t, { settings: { maxInflight: 2 } })
  const dropped = listen(core, 'dropped')
  await awayWithBacklog(core, 5)
  const client = await core.connect({ ...kept(5, 'away'), isAcking: false })
  await client.messages(2)
  t.is(await core.core.control.purge('away'), 5)
  t.deepEqual(dropped, [{ clientId: 'away', topic: null, reason: 'purged', messages: 5 }])
  t.is(core.core.directory.server().drops.purged, 5)
  t.is(await core.core.directory.session('away')!.backlog(), 0)
  const after = await core.restart()
  const back = await after.connect(kept(5, 'away'))
  const publisher = await after.connect()
  await publisher.publish({ topic: 'DB/CREATE', payload: 'new', qos: 1 })
  t.deepEqual(await back.payloads(1), ['new'])
  t.deepEqual(back.unreadMessages(), [])
})

test('connections, subscriptions and drops are told as they happen', async t => {
  const core = await startCore(t)
  const told = listen(
    core,
    'clientConnected',
    'subscribed',
    'unsubscribed',
    'clientDisconnected',
    'sessionEnded'
  )
  const client = await core.connect({ clientId: 'one', protocolVersion: 5, keepaliveSeconds: 30 })
  await client.subscribe(['a', 'b'], 1)
  await client.unsubscribe('a', 'never')
  await client.disconnect()
  await client.closed()
  const lost = await core.connect(kept(4, 'two'))
  lost.destroy()
  await t.notThrowsAsync(core.connect(kept(4, 'two')))
  t.like(told, [
    { clientId: 'one', protocolVersion: 5, keepAliveSeconds: 30, isPersistent: false, isResumed: false },
    {
      subscriptions: [
        { filter: 'a', qos: 1 },
        { filter: 'b', qos: 1 }
      ]
    },
    { filters: ['a', 'never'] },
    { clientId: 'one', reason: 'client' },
    { clientId: 'one', filters: ['b'] },
    { clientId: 'one', reason: 'disconnected' },
    { clientId: 'two', isPersistent: true, isResumed: false },
    { clientId: 'two', reason: 'lost' },
    { clientId: 'two', isResumed: true }
  ])
})

test('each drop is told with its reason, but those of the server’s own messages', async t => {
  const core = await startTimed(t, { settings: { maxSocketBytes: 1024 } })
  const dropped = listen(core, 'dropped')
  const small = await core.connect({
    clientId: 'small',
    protocolVersion: 5,
    properties: { maximumPacketSize: 100 }
  })
  await small.subscribe(['big', '$events/#'], 1)
  await core.connect(kept(5, 'away')).then(async away => {
    await away.subscribe('soon', 1)
    await away.disconnect()
  })
  const publisher = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  await publisher.publish({ topic: 'big', payload: 'x'.repeat(200), qos: 1 })
  await publisher.publish({ topic: 'soon', payload: '', qos: 1, properties: { messageExpiryInterval: 1 } })
  core.core.publisher.announce('$events/x', 'x'.repeat(200))
  await core.clock.pass(2)
  const away = await core.connect(kept(5, 'away'))
  await away.ping()
  await small.ping()
  t.deepEqual(dropped, [
    { clientId: 'small', topic: 'big', reason: 'not-taken', messages: 1 },
    { clientId: 'away', topic: 'soon', reason: 'expired', messages: 1 }
  ])
  t.is(core.core.directory.server().drops['not-taken'], 2)
})

test('a listener that throws hurts nobody', async t => {
  const core = await startCore(t)
  core.events.on('clientConnected', () => {
    throw new Error('bad listener')
  })
  const stop = core.events.on('clientConnected', () => t.fail())
  stop()
  await (await core.connect()).ping()
  t.true(core.log.texts('error').some(text => text.includes('bad listener')))
})
