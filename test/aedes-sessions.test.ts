import type { Client } from 'aedes'
import test from 'ava'
import type { IConnectPacket } from 'mqtt-packet'
import { event, quiet, VERSIONS } from './helpers/aedes.ts'
import { arrived, call, objectOf, startAedesServer } from './helpers/aedes-server.ts'

/* What Aedes is told of sessions, and what it does not keep itself. */

const plain = { cmd: 'publish', topic: 'direct/a', payload: 'x', qos: 0, dup: false, retain: false } as const

test('aedes.persistence tells the subscriptions and retained messages that the server keeps', async t => {
  const server = await startAedesServer(t)
  const { persistence } = server.members
  const kept = await server.connect({ clientId: 'kept', clean: false })
  await kept.subscribe(['a', 'b/#'])
  await call(objectOf(server, 'kept'), 'publish', { ...plain, qos: 1 })
  await (await server.connect({ clientId: 'clean' })).subscribe('a')
  const told = await persistence.subscriptionsByClient({ id: 'kept' })
  t.deepEqual(
    told.map(({ topic, qos }) => [topic, qos]),
    [
      ['a', 1],
      ['b/#', 1]
    ]
  )
  t.deepEqual(await persistence.subscriptionsByClient({ id: 'clean' }), [])
  t.deepEqual(await persistence.subscriptionsByClient({ id: 'unknown' }), [])
  t.deepEqual(await persistence.countOffline(), { subsCount: 2, clientsCount: 1 })
  t.deepEqual(await persistence.getClientList('a').toArray(), ['kept'])
  await kept.publish({ topic: 'r/1', payload: 'x', qos: 1, retain: true })
  await server.publish({ topic: 'r/2', payload: 'y', retain: true })
  const retained = await persistence.createRetainedStream('r/+').toArray()
  t.deepEqual(retained.map(({ topic, payload, retain }) => `${topic} ${payload} ${retain}`).sort(), [
    'r/1 x true',
    'r/2 y true'
  ])
})

test('the subscriptions of a session that comes back are shown to authorizeSubscribe, and refused ones end', async t => {
  const server = await startAedesServer(t)
  const kept = { clientId: 'kept', clean: false }
  const first = await server.connect(kept)
  await first.subscribe(['still', 'not any more'])
  await first.disconnect()
  const publish = async (payload: string) => {
    for (const topic of ['still', 'not any more']) await server.publish({ topic, payload, qos: 1 })
  }
  await publish('1')
  server.aedes.authorizeSubscribe = (client, subscription, done) => {
    server.seen.add(`${client.id} ${subscription.topic} ${subscription.qos}`)
    setImmediate(() => done(null, subscription.topic === 'still' ? subscription : null))
  }
  const again = await server.connect(kept)
  t.deepEqual(server.seen.lines, ['kept still 1', 'kept not any more 1'])
  await publish('2')
  t.deepEqual(await arrived(again), ['still 1', 'still 2'])
})

for (const [version, protocolVersion] of VERSIONS) {
  test(`when authorizeSubscribe fails for a session that comes back, its client is not let in and nothing is lost: MQTT ${version}`, async t => {
    const server = await startAedesServer(t)
    const kept = {
      clientId: 'kept',
      clean: false,
      protocolVersion,
      ...(protocolVersion === 5 ? { expirySeconds: 100 } : {})
    }
    const first = await server.connect(kept)
    await first.subscribe('a')
    await first.disconnect()
    await server.publish({ payload: 'waits', qos: 1 })
    const standard = server.aedes.authorizeSubscribe
    server.aedes.authorizeSubscribe = (_client, _subscription, done) => done(new Error('no database'))
    const refused = server.open()
    const connack = await refused.login(kept)
    t.is(protocolVersion === 5 ? connack.reasonCode : connack.returnCode, protocolVersion === 5 ? 0x87 : 5)
    await refused.closed()
    server.aedes.authorizeSubscribe = standard
    t.deepEqual(await arrived(await server.connect(kept)), ['a waits'])
  })
}

test('preConnect may change session, keep alive and will', async t => {
  const server = await startAedesServer(t)
  server.aedes.preConnect = (_client, packet, done) => {
    packet.clean = false
    packet.keepalive = 17
    packet.will = { topic: 'changed', payload: Buffer.from('will'), qos: 1, retain: false }
    done(null, true)
  }
  const watcher = await server.connect({ clientId: 'watcher' })
  await watcher.subscribe('changed')
  const client = await server.connect({ clientId: 'one' })
  const view = server.core.directory.client('one')
  t.deepEqual([view?.isPersistent, view?.keepAliveSeconds], [true, 17])
  client.destroy()
  t.deepEqual(await watcher.payloads(1), ['will'])
  t.true(server.core.directory.session('one')?.isPersistent)
  await quiet()
})

test('a will that preConnect makes illegal keeps the client out', async t => {
  const server = await startAedesServer(t)
  server.aedes.preConnect = (_client, packet, done) => {
    packet.will = { topic: 'a/+', payload: Buffer.from('will'), qos: 1, retain: false }
    done(null, true)
  }
  const told = event(server.aedes, 'connectionError')
  const client = server.open()
  await t.throwsAsync(client.login({ clientId: 'one' }), { message: /closed/ })
  t.regex(((await told)[1] as Error).message, /wildcard/)
})

test('whatever preConnect is shown, Aedes goes on with a clean session without keep alive and will', async t => {
  const server = await startAedesServer(t)
  const { aedes, members } = server
  let shown: IConnectPacket | undefined
  aedes.preConnect = (_client, packet, done) => {
    t.like(packet, { clean: false, keepalive: 60, will: { topic: 'last' } })
    shown = packet
    done(null, true)
  }
  const will = { topic: 'last', payload: Buffer.from('words'), qos: 1 as const, retain: false }
  const kept = { clientId: 'kept', clean: false, keepaliveSeconds: 60, will }
  const first = await server.connect(kept)
  t.deepEqual([shown?.clean, shown?.keepalive, shown?.will], [true, 0, undefined])
  t.is(await members.persistence.getWill({ id: 'kept' }), undefined)
  await first.subscribe('a', 0)
  await first.disconnect()
  const again = await server.connect(kept)
  await server.publish({ payload: 'once' })
  t.deepEqual(await arrived(again), ['a once'])
})

test('a will is not stored by Aedes', async t => {
  const server = await startAedesServer(t)
  const will = { topic: 'last', payload: Buffer.from('words'), qos: 1 as const, retain: false }
  await server.connect({ clientId: 'one', will })
  t.is(await server.members.persistence.getWill({ id: 'one' }), undefined)
  t.is((objectOf(server, 'one') as unknown as { will: { topic: string } }).will.topic, 'last')
})

test('sessionExpired tells the client id of a session whose time is over', async t => {
  const server = await startAedesServer(t)
  const expired = event(server.aedes, 'sessionExpired')
  const client = await server.connect({
    clientId: 'short',
    protocolVersion: 5,
    clean: false,
    expirySeconds: 1
  })
  await client.subscribe('a')
  await client.disconnect()
  const [object] = (await expired) as [Client]
  t.is(object.id, 'short')
})
