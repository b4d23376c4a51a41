import type { Client, PublishPacket } from 'aedes'
import test from 'ava'
import { systemClock } from '../src/clock.ts'
import { defaultSettings } from '../src/config/settings.ts'
import { Core } from '../src/core.ts'
import { event, openClient, VERSIONS } from './helpers/aedes.ts'
import { arrived, call, objectOf, startAedesServer } from './helpers/aedes-server.ts'
import { RecordingLog } from './helpers/core.ts'

/* What the application does with the client objects of Aedes. */

const plain = { cmd: 'publish', topic: 'direct/a', payload: 'x', qos: 0, dup: false, retain: false } as const

for (const [version, protocolVersion] of VERSIONS) {
  test(`client.publish reaches that client alone, at each QoS and in order, whatever it subscribes to: MQTT ${version}`, async t => {
    const server = await startAedesServer(t)
    const others = await server.connect({ clientId: 'other' })
    await others.subscribe(['#', 'direct/a'])
    const client = await server.connect({ clientId: 'one', protocolVersion })
    const one = objectOf(server, 'one')
    const properties = { contentType: 'text/plain' }
    for (const qos of [0, 1, 2] as const) {
      t.is(await call(one, 'publish', { ...plain, payload: `m${qos}`, qos, properties }), undefined)
    }
    const messages = await client.messages(3)
    t.deepEqual(
      messages.map(({ topic, payload, qos, retain }) => [topic, String(payload), qos, retain]),
      [0, 1, 2].map(qos => ['direct/a', `m${qos}`, qos, false])
    )
    if (protocolVersion === 5) t.is(messages[2]?.properties?.contentType, 'text/plain')
    t.deepEqual(await arrived(others), [])
    t.deepEqual(await arrived(client), [])
  })
}

test('client.publish at QoS 1 is the session’s until it is acked: it comes again with DUP, also after a restart', async t => {
  const server = await startAedesServer(t)
  const five = { protocolVersion: 5, expirySeconds: 1_000 } as const
  const kept = { ...five, clientId: 'kept', clean: false, isAcking: false }
  const client = await server.connect(kept)
  // a session with an identifier asks what each message is wanted for
  client.send({
    cmd: 'subscribe',
    messageId: 1,
    properties: { subscriptionIdentifier: 5 },
    subscriptions: [{ topic: 'other/#', qos: 1 }]
  })
  await client.next('suback')
  t.is(await call(objectOf(server, 'kept'), 'publish', { ...plain, payload: 'x', qos: 1 }), undefined)
  const [first] = await client.messages(1)
  client.destroy()
  await server.core.close()
  const core = await Core.open({
    store: server.store.crash('process'),
    settings: defaultSettings(),
    clock: systemClock,
    log: new RecordingLog()
  })
  t.teardown(() => core.close().catch(() => {}))
  const again = openClient(t, stream => core.front.handle(stream))
  t.true((await again.login({ ...kept, isAcking: true })).sessionPresent)
  const [second] = await again.messages(1)
  t.deepEqual([second?.dup, second?.messageId, String(second?.payload)], [true, first?.messageId, 'x'])
})

test('no client can publish or subscribe to what is for one client alone', async t => {
  const server = await startAedesServer(t)
  await server.connect({ clientId: 'one' })
  await call(objectOf(server, 'one'), 'publish', { ...plain, qos: 1 })
  const spy = await server.connect({ clientId: 'spy' })
  t.deepEqual(
    [...(await spy.subscribe(['$direct/one', '$direct/+', '$direct/#'])).granted],
    [0x80, 0x80, 0x80]
  )
  await call(objectOf(server, 'one'), 'publish', { ...plain, qos: 1 })
  t.deepEqual(await arrived(spy), [])
  spy.publishOnly({ topic: '$direct/one', qos: 1 })
  await spy.closed()
  t.deepEqual([...server.core.directory.session('one')!.subscriptions()], [])
  const one = await server.connect({ clientId: 'two' })
  await call(objectOf(server, 'two'), 'publish', { ...plain, qos: 1 })
  await one.unsubscribe('$direct/two')
  await call(objectOf(server, 'two'), 'publish', { ...plain, qos: 1 })
  t.deepEqual(await arrived(one), ['direct/a x', 'direct/a x'])
})

test('client.publish in listeners of the first events reaches the client behind its CONNACK', async t => {
  const server = await startAedesServer(t)
  const greet = (name: string) => (client: Client) => {
    for (const qos of [0, 1] as const) client.publish({ ...plain, topic: name, qos } as PublishPacket)
  }
  server.aedes.on('client', greet('client'))
  server.aedes.on('clientReady', greet('clientReady'))
  const client = await server.connect({ clientId: 'greeted' })
  t.is(client.received[0]?.cmd, 'connack')
  const topics = (await client.messages(4)).map(({ topic }) => topic)
  t.deepEqual(topics.sort(), ['client', 'client', 'clientReady', 'clientReady'])
})

test('client.publish calls back with an error when the client is gone, the store is full, or the topic illegal', async t => {
  const server = await startAedesServer(t)
  const client = await server.connect({ clientId: 'one' })
  const one = objectOf(server, 'one')
  t.regex((await call(one, 'publish', { ...plain, topic: 'a/+', qos: 1 }))?.message ?? '', /wildcard/)
  server.store.faults.commit = new Error('no room')
  t.truthy(await call(one, 'publish', { ...plain, qos: 1 }))
  delete server.store.faults.commit
  const gone = event(server.aedes, 'clientDisconnect')
  client.destroy()
  await gone
  t.regex((await call(one, 'publish', { ...plain, qos: 1 }))?.message ?? '', /closed/)
})

test('client.subscribe and client.unsubscribe do what SUBSCRIBE and UNSUBSCRIBE do, SUBACK only when asked for', async t => {
  const server = await startAedesServer(t)
  await server.publish({ topic: 'kept', payload: 'retained', qos: 1, retain: true })
  const kept = { clientId: 'kept', clean: false }
  const client = await server.connect(kept)
  const object = objectOf(server, 'kept')
  server.aedes.on('subscribe', subscriptions =>
    server.seen.add(`+${subscriptions.map(({ topic }) => topic)}`)
  )
  server.aedes.on('unsubscribe', filters => server.seen.add(`-${filters}`))
  t.is(await call(object, 'subscribe', { topic: 'a', qos: 1 }), undefined)
  t.is(
    await call(object, 'subscribe', [
      { topic: 'b', qos: 0 },
      { topic: 'kept', qos: 1 }
    ]),
    undefined
  )
  t.is(await call(object, 'subscribe', { subscriptions: [{ topic: 'c', qos: 2 }], messageId: 9 }), undefined)
  t.like(await client.next('suback'), { messageId: 9 })
  t.deepEqual(Object.keys((object as unknown as { subscriptions: object }).subscriptions), [
    'a',
    'b',
    'kept',
    'c'
  ])
  t.deepEqual(await arrived(client), ['kept retained'])
  t.is(await call(object, 'unsubscribe', 'b'), undefined)
  t.is(await call(object, 'unsubscribe', [{ topic: 'kept' }]), undefined)
  t.is(await call(object, 'unsubscribe', { unsubscriptions: ['c'], messageId: 10 }), undefined)
  t.like(await client.next('unsuback'), { messageId: 10 })
  t.deepEqual(server.seen.lines, ['+a', '+b,kept', '+c', '-b', '-kept', '-c'])
  await client.disconnect()
  await server.publish({ topic: 'a', payload: 'while away', qos: 1 })
  t.deepEqual(await arrived(await server.connect(kept)), ['a while away'])
})

test('client.subscribe is shown to authorizeSubscribe, and calls back with an error for an illegal filter', async t => {
  const server = await startAedesServer(t)
  await server.connect({ clientId: 'one' })
  const one = objectOf(server, 'one')
  server.aedes.authorizeSubscribe = (_client, subscription, done) => {
    server.seen.add(subscription.topic)
    done(null, subscription.topic === 'no' ? null : subscription)
  }
  t.is(
    await call(one, 'subscribe', [
      { topic: 'yes', qos: 1 },
      { topic: 'no', qos: 1 }
    ]),
    undefined
  )
  t.regex((await call(one, 'subscribe', { topic: 'a/#/b', qos: 1 }))?.message ?? '', /#/)
  t.deepEqual(server.seen.lines, ['yes', 'no'])
  t.deepEqual(Object.keys((one as unknown as { subscriptions: object }).subscriptions), ['yes'])
})

test('client.emptyOutgoingQueue drops what is queued and inflight, counts it, and leaves the subscriptions', async t => {
  const server = await startAedesServer(t, { maxInflight: 2 })
  const client = await server.connect({ clientId: 'kept', clean: false, isAcking: false })
  await client.subscribe('a')
  for (let i = 0; i < 5; i++) await server.publish({ payload: `${i}`, qos: 1 })
  const sent = await client.messages(2)
  const dropped = server.core.directory.server().droppedMessages
  t.is(await call(objectOf(server, 'kept'), 'emptyOutgoingQueue'), undefined)
  t.is(server.core.directory.server().droppedMessages - dropped, 5)
  for (const message of sent) client.ack(message)
  await client.ping()
  t.deepEqual(await arrived(client), [])
  await server.publish({ payload: 'new', qos: 1 })
  t.deepEqual(await arrived(client), ['a new'])
  const gone = event(server.aedes, 'clientDisconnect')
  client.destroy()
  await gone
  const again = await server.connect({ clientId: 'kept', clean: false })
  t.deepEqual(await arrived(again), ['a new'])
})

test('client.close ends the connection, calls back when it is over, and sends the will', async t => {
  const server = await startAedesServer(t)
  const watcher = await server.connect()
  await watcher.subscribe('last')
  const will = { topic: 'last', payload: Buffer.from('words'), qos: 1 as const, retain: false }
  const client = await server.connect({ clientId: 'one', will })
  const one = objectOf(server, 'one')
  await call(one, 'close')
  t.deepEqual([objectOf(server, 'one'), one?.closed, one?.connected], [undefined, true, false])
  await client.closed()
  t.deepEqual(await watcher.payloads(1), ['words'])
})

test('a client object tells what its session is, and its will, from CONNECT to its end', async t => {
  const server = await startAedesServer(t)
  const { aedes, seen } = server
  const tell = (when: string) => (client: Client) => {
    const { clean, sessionExpiryInterval, version, receiveMaximum } = client
    const { will, subscriptions } = client as unknown as {
      will: { topic: string } | null
      subscriptions: object
    }
    const rest = `${version} ${receiveMaximum} ${will?.topic} ${Object.keys(subscriptions)}`
    seen.add(`${when} ${clean} ${sessionExpiryInterval} ${rest}`.trim())
  }
  aedes.on('clientReady', tell('ready'))
  aedes.on('clientDisconnect', tell('gone'))
  const will = { topic: 'last', payload: Buffer.from('words'), qos: 1 as const, retain: true }
  const five = {
    clientId: 'five',
    protocolVersion: 5,
    clean: false,
    expirySeconds: 100,
    receiveMaximum: 7,
    will
  } as const
  const first = await server.connect(five)
  await first.subscribe(['a', 'b'])
  await first.disconnect()
  await seen.until(2)
  await (await server.connect({ ...five, clean: false })).disconnect()
  await seen.until(4)
  await server.connect({ clientId: 'four', clean: false })
  await seen.until(5)
  t.deepEqual(seen.lines, [
    'ready false 100 5 7 last',
    'gone false 100 5 7 undefined',
    'ready false 100 5 7 last a,b',
    'gone false 100 5 7 undefined',
    'ready false 4294967295 4 65535 undefined'
  ])
})
