import { duplexPair } from 'node:stream'
import test from 'ava'
import { generate, type Packet } from 'mqtt-packet'
import { QueueError } from '../src/errors.ts'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'
import type { ModelStore } from './helpers/model-store.ts'
import { RawClient } from './helpers/raw-client.ts'

const logger = { clientId: 'logger', clean: false }
const full = () => new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
const five = { clientId: 'five', protocolVersion: 5, clean: false, expirySeconds: 100 } as const

function bytes(protocolVersion: number, ...packets: Packet[]): Buffer {
  return Buffer.concat(packets.map(packet => generate(packet, { protocolVersion })))
}

for (const clean of [true, false]) {
  test(`packets sent together with CONNECT are answered, clean session ${clean}`, async t => {
    const { open } = await startCore(t)
    const client = open()
    client.sendBytes(
      bytes(
        4,
        { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'quick', clean, keepalive: 0 },
        { cmd: 'subscribe', messageId: 7, subscriptions: [{ topic: 'a', qos: 1 }] },
        { cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 8, retain: false, dup: false },
        { cmd: 'pingreq' }
      )
    )
    await client.next('pingresp', undefined, 3_000)
    t.is((await client.next('suback')).messageId, 7)
    t.is((await client.next('puback')).messageId, 8)
    t.deepEqual(await client.payloads(1), ['x'])
  })
}

test('a client that ends its side without DISCONNECT is gone', async t => {
  const { core } = await startCore(t)
  const [ours, theirs] = duplexPair()
  core.front.handle(theirs)
  const client = RawClient.open(ours)
  await client.login({ clientId: 'half' })
  await client.subscribe('a')
  ours.end()
  await client.closed(3_000)
  t.is([...core.directory.clients()].length, 0)
})

test('a session is taken over with one DISCONNECT', async t => {
  const { connect } = await startCore(t)
  for (let i = 0; i < 5; i++) {
    const first = await connect(five)
    await connect(five)
    await first.closed()
    t.deepEqual(
      first.received
        .filter(({ cmd }) => cmd === 'disconnect')
        .map(packet => 'reasonCode' in packet && packet.reasonCode),
      [0x8e]
    )
  }
})

/** Lets the next state write fail. */
function failOnce(store: ModelStore): Promise<void> {
  const write = store.state.write
  return new Promise(resolve => {
    store.state.write = async () => {
      store.state.write = write
      resolve()
      throw full()
    }
  })
}

test('a session that lasts as long as its connection is not resumed although its end could not be stored', async t => {
  const { connect, store, core } = await startCore(t)
  await (await connect(five)).disconnect()
  const again = await connect({ ...five, expirySeconds: 0 })
  await again.subscribe('a')
  const failed = failOnce(store)
  await again.disconnect()
  await failed
  const third = await connect(five)
  t.false(third.connack?.sessionPresent)
  t.is([...core.directory.session('five')!.subscriptions()].length, 0)
  t.is([...core.directory.sessions()].length, 1)
})

test('the end of a session that could not be stored is stored later', async t => {
  const { connect, store, core } = await startCore(t)
  await (await connect(five)).disconnect()
  const again = await connect({ ...five, expirySeconds: 0 })
  const failed = failOnce(store)
  await again.disconnect()
  await failed
  t.truthy(core.directory.session('five'))
  const deadline = performance.now() + 10_000
  while (core.directory.session('five') && performance.now() < deadline) {
    await new Promise(resolve => setImmediate(resolve))
  }
  t.is(core.directory.session('five'), undefined)
  t.deepEqual((await store.crash('process').open()).sessions, [])
})

test('a session that lasts as long as its connection goes on when another connection takes it over', async t => {
  const { connect, core } = await startCore(t)
  await (await connect(five)).disconnect()
  const first = await connect({ ...five, expirySeconds: 0 })
  await first.subscribe('a')
  const second = await connect(five)
  await first.closed()
  t.true(second.connack?.sessionPresent)
  await second.publish({ topic: 'a', payload: 'on', qos: 1 })
  t.deepEqual(await second.payloads(1), ['on'])
  t.is(core.directory.session('five')?.isConnected, true)
})

test('a session that lasts as long as its connection does not outlive a kill of the server', async t => {
  const first = await startCore(t)
  await (await first.connect(five)).disconnect()
  const again = await first.connect({ ...five, expirySeconds: 0 })
  await again.subscribe('a')
  const second = await startCore(t, { store: first.store.crash('process') })
  t.false((await second.connect(five)).connack?.sessionPresent)
})

test('bytes held back for a note do not go out early when the connection is closed', async t => {
  const first = await startCore(t)
  const { store } = first
  const subscriber = await first.connect({ ...logger, isAcking: false })
  await subscriber.subscribe('a')
  const publisher = await first.connect()
  const gate = new Gate()
  const append = store.notes.append
  store.notes.append = async (note, options) => {
    await gate.pass()
    await append(note, options)
  }
  gate.close()
  await publisher.publish({ topic: 'a', payload: '1', qos: 1 })
  await gate.until(1)
  // taken over while the note is on its way
  const next = first.open()
  const login = next.login({ ...logger, isAcking: false })
  await subscriber.closed()
  const seen = subscriber.received.some(({ cmd }) => cmd === 'publish')
  const second = await startCore(t, { store: store.crash('process') })
  const again = await (await second.connect(logger)).next('publish')
  t.is(again.dup, seen)
  gate.open()
  await login.catch(() => {})
})

test('what a client sent before it left is taken although a hook is late, and its will is not sent', async t => {
  const { core, connect } = await startCore(t)
  const answers: (() => void)[] = []
  core.broker.aedes.authorizePublish = (_client, _packet, done) => {
    answers.push(() => done(null))
    if (answers.length === 1) setImmediate(() => answers[0]!())
    else done(null)
  }
  const subscriber = await connect({ clientId: 'subscriber' })
  await subscriber.subscribe('#')
  const [ours, theirs] = duplexPair()
  core.front.handle(theirs)
  const client = RawClient.open(ours)
  await client.login({
    clientId: 'short',
    will: { topic: 'will', payload: Buffer.from('w'), qos: 0, retain: false }
  })
  for (const payload of ['1', '2']) client.publishOnly({ topic: 'a', payload })
  client.send({ cmd: 'disconnect' })
  ours.end()
  t.deepEqual(await subscriber.payloads(2), ['1', '2'])
  await client.closed()
  await subscriber.ping()
  t.deepEqual(subscriber.unreadMessages(), [])
})

test('a client that the server makes wait is not taken for silent', async t => {
  const { core, connect } = await startCore(t)
  const held = await connect({ clientId: 'held', keepaliveSeconds: 1 })
  const silent = await connect({ clientId: 'silent', keepaliveSeconds: 1 })
  let answer = () => {}
  core.broker.aedes.authorizePublish = (_client, _packet, done) => {
    answer = () => done(null)
  }
  for (let i = 0; i < 10; i++) held.publishOnly({ topic: 'a', payload: Buffer.alloc(20_000), qos: 1 })
  await silent.ping()
  for (const connection of core.front.connections) connection.sweep(100)
  await silent.closed()
  t.false(held.isClosed)
  core.broker.aedes.authorizePublish = (_client, _packet, done) => done(null)
  answer()
  for (let i = 0; i < 10; i++) await held.next('puback')
  t.pass()
})

test('acks and refusals of one publisher come in the order of its publishes', async t => {
  const { core, connect } = await startCore(t)
  core.broker.aedes.authorizePublish = (_client, packet, done) => {
    done(packet.topic === 'secret' ? new Error('not for you') : null)
  }
  const publisher = await connect({ clientId: 'five', protocolVersion: 5 })
  const ids = ['a', 'secret', 'b', 'secret', 'c'].map(topic => publisher.publishOnly({ topic, qos: 1 }))
  const acks: [id: number | undefined, code: number | undefined][] = []
  for (let i = 0; i < ids.length; i++) {
    const ack = await publisher.next('puback')
    acks.push([ack.messageId, ack.reasonCode ?? 0])
  }
  t.deepEqual(
    acks,
    ids.map((id, i) => [id, i % 2 === 1 ? 0x87 : 0])
  )
})

test('messages that the store refused are not counted as accepted', async t => {
  const { connect, store, core } = await startCore(t)
  const publisher = await connect({ clientId: 'five', protocolVersion: 5 })
  await publisher.publish({ topic: 'a', qos: 1 })
  store.faults.commit = full()
  await publisher.publish({ topic: 'a', qos: 1 })
  const { acceptedMessages, refusedMessages } = core.directory.server()
  t.deepEqual({ acceptedMessages, refusedMessages }, { acceptedMessages: 1, refusedMessages: 1 })
  t.deepEqual(
    [...core.directory.topics()].map(view => view.acceptedMessages),
    [1]
  )
})

test('a client whose authentication is never answered is closed after connectTimeoutMs', async t => {
  const { core, open } = await startCore(t, { settings: { connectTimeoutMs: 20 } })
  core.broker.aedes.authenticate = () => {}
  const client = open()
  client.send({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId: 'forever',
    clean: true,
    keepalive: 0
  })
  await client.closed()
  t.deepEqual([...core.front.connections], [])
})

test('nothing that the process sends to a client comes before its CONNACK', async t => {
  const { core, open, store } = await startCore(t)
  const gate = new Gate()
  const write = store.state.write
  store.state.write = async (changes, options) => {
    await gate.pass()
    await write(changes, options)
  }
  gate.close()
  const published = new Promise<void>(resolve => {
    core.broker.aedes.on('clientReady', client => {
      client.publish(
        { cmd: 'publish', topic: 'welcome', payload: 'hello', qos: 0, retain: false, dup: false },
        () => resolve()
      )
    })
  })
  const client = open()
  const login = client.login(logger)
  await gate.until(1)
  gate.open()
  await login
  await published
  t.deepEqual(await client.payloads(1), ['hello'])
  t.is(client.received[0]?.cmd, 'connack')
})

test('a connection that comes while the server stops is closed', async t => {
  const { core } = await startCore(t)
  const [before, theirs] = duplexPair()
  const client = RawClient.open(before)
  await core.close()
  core.front.handle(theirs)
  await client.closed(3_000)
  t.deepEqual([...core.front.connections], [])
})

test('a client that ends its side while a hook is late is gone after the answer', async t => {
  const { core } = await startCore(t)
  let answer = () => {}
  core.broker.aedes.authorizePublish = (_client, _packet, done) => {
    answer = () => done(null)
  }
  const [ours, theirs] = duplexPair()
  core.front.handle(theirs)
  const client = RawClient.open(ours)
  await client.login({ clientId: 'short' })
  client.publishOnly({ topic: 'a', payload: 'x' })
  ours.end()
  for (let i = 0; i < 10; i++) await new Promise(resolve => setImmediate(resolve))
  t.false(client.isClosed)
  answer()
  await client.closed(3_000)
  t.deepEqual([...core.directory.clients()], [])
})

test('a client that leaves while its session is being stored leaves a session that is not connected', async t => {
  const { core, store, connect } = await startCore(t)
  const gate = new Gate()
  const write = store.state.write
  store.state.write = async (changes, options) => {
    await gate.pass()
    await write(changes, options)
  }
  gate.close()
  const [ours, theirs] = duplexPair()
  core.front.handle(theirs)
  const client = RawClient.open(ours)
  const login = client.login(logger).catch(() => {})
  await gate.until(1)
  theirs.destroy()
  gate.open()
  await login
  const publisher = await connect()
  await publisher.ping()
  t.is(core.directory.session('logger')?.isConnected, false)
  t.is(core.directory.client('logger'), undefined)
})

test('a message is stored without DUP, whatever its publisher sent', async t => {
  const { connect, store } = await startCore(t)
  const headers: number[] = []
  const commit = store.lane.commit
  store.lane.commit = async batch => {
    for (const { message } of batch.messages) headers.push(message.bytes[message.offset]!)
    await commit(batch)
  }
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: 'x', qos: 1, dup: true })
  t.deepEqual(headers, [0x32])
})
