import test, { type ExecutionContext } from 'ava'
import { startCore, type TestCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'
import { type ModelBroker, ModelDatabase } from './helpers/model-cluster.ts'
import type { RawClient } from './helpers/raw-client.ts'

const logger = { clientId: 'logger', clean: false }
/** One that acks when the test says so. */
const slow = { ...logger, isAcking: false }

/** Cores on one database. */
async function startCores(t: ExecutionContext, count: number) {
  const db = new ModelDatabase()
  const cores: TestCore<ModelBroker>[] = []
  for (let i = 0; i < count; i++) cores.push(await startCore(t, { store: db.broker() }))
  return { db, cores, a: cores[0]!, b: cores[1]!, c: cores[2]! }
}

async function publishAll(client: RawClient, topic: string, payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) await client.publish({ topic, payload, qos: 1 })
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`)

test('a message that one broker accepts reaches subscribers of all others', async t => {
  const { a, b, c } = await startCores(t, 3)
  const subscribers = [await a.connect(), await b.connect(), await c.connect(logger)]
  for (const [qos, subscriber] of subscribers.entries()) await subscriber.subscribe('DB/#', qos as 0 | 1 | 2)
  const publisher = await b.connect({ clientId: 'api' })
  await publishAll(publisher, 'DB/CREATE', numbers(1, 200))
  for (const subscriber of subscribers) t.deepEqual(await subscriber.payloads(200), numbers(1, 200))
})

test('a session catches up on another broker with what all of them accepted while it was away', async t => {
  const { a, b, c } = await startCores(t, 3)
  const first = await a.connect(logger)
  await first.subscribe('DB/#')
  await first.disconnect()
  await publishAll(await a.connect(), 'DB/CREATE', ['a1', 'a2'])
  await publishAll(await b.connect(), 'DB/CREATE', ['b1', 'b2'])
  const again = await c.connect(logger)
  const payloads = await again.payloads(4)
  t.deepEqual([...payloads].sort(), ['a1', 'a2', 'b1', 'b2'])
  t.deepEqual(
    payloads.filter(payload => payload.startsWith('b')),
    ['b1', 'b2']
  )
  await publishAll(await a.connect(), 'DB/CREATE', ['a3'])
  t.deepEqual(await again.payloads(1), ['a3'])
  t.deepEqual([...a.core.directory.sessions()].map(({ clientId }) => clientId).includes('logger'), false)
})

test('a client that connects twice while its session is asked for gets it from the broker that it came to last', async t => {
  const { a, b } = await startCores(t, 2)
  const gate = new Gate()
  gate.close()
  const { write } = a.store.state
  a.store.state.write = async (...parts) => {
    await gate.pass()
    await write(...parts)
  }
  const fresh = { clientId: 'logger', protocolVersion: 5 as const, clean: true, expirySeconds: 1_000 }
  const crowd = [a.connect(fresh).catch(() => {})]
  await gate.until(1)
  crowd.push(a.connect(fresh).catch(() => {}))
  await a.connect() // so the second one has come in, too
  const last = b.connect(logger)
  await b.connect()
  gate.open()
  await Promise.all(crowd)
  t.is((await last).connack?.sessionPresent, true)
  t.is((await b.core.directory.session('logger'))?.isConnected, true)
  t.is(await a.core.directory.session('logger'), undefined)
})

test('a client that connects to another broker takes its session over: the old connection is closed, unacked messages come again with their packet ids', async t => {
  const { a, b } = await startCores(t, 2)
  const old = await a.connect({ ...slow, protocolVersion: 5, properties: { sessionExpiryInterval: 1_000 } })
  await old.subscribe('DB/#')
  await publishAll(await b.connect(), 'DB/CREATE', numbers(1, 5))
  const unacked = await old.messages(5)
  for (const message of unacked.slice(0, 2)) old.ack(message)
  await old.ping()
  const taken = await b.connect({
    ...slow,
    protocolVersion: 5,
    properties: { sessionExpiryInterval: 1_000 }
  })
  t.is((await old.next('disconnect')).reasonCode, 0x8e)
  const again = await taken.messages(3)
  t.deepEqual(
    again.map(({ messageId, payload, dup }) => [messageId, payload.toString(), dup]),
    unacked.slice(2).map(({ messageId, payload }) => [messageId, payload.toString(), true])
  )
})

test('a session that goes to and fro gets everything once and in order', async t => {
  const { cores, db } = await startCores(t, 3)
  const subscriber = await cores[0]!.connect(slow)
  await subscriber.subscribe(['DB/#', 'DB/CREATE', '+/CREATE'])
  await subscriber.disconnect()
  const publishers = await Promise.all(cores.map(({ connect }, i) => connect({ clientId: `p${i}` })))
  const seen: string[] = []
  for (let round = 0; round < 30; round++) {
    db.isAutomatic = round % 3 !== 0
    await Promise.all(publishers.map((publisher, i) => publishAll(publisher, 'DB/CREATE', [`${i}:${round}`])))
    const client = await cores[(round * 7 + 1) % 3]!.connect(slow)
    for (let i = 0; i < round % 5; i++) {
      const [message] = await client.messages(1)
      seen.push(message!.payload.toString())
      client.ack(message!)
    }
    await client.disconnect()
    if (round % 4 === 0) for (const { core } of cores) await core.settle()
  }
  db.isAutomatic = true
  db.poll()
  const last = await cores[1]!.connect(slow)
  const left = 90 - new Set(seen).size
  for (let i = 0; i < left; i++) {
    const [message] = await last.messages(1)
    seen.push(message!.payload.toString())
    last.ack(message!)
  }
  await last.ping()
  t.is(last.unreadMessages().length, 0)
  const firsts = [...new Set(seen)]
  t.is(firsts.length, 90)
  for (const lane of ['0', '1', '2']) {
    const own = firsts
      .filter(payload => payload.startsWith(`${lane}:`))
      .map(payload => Number(payload.slice(2)))
    t.deepEqual(own, numbers(0, 29).map(Number), `of publisher ${lane}`)
  }
})

test('a publish that another broker accepts after a SUBACK includes the subscription', async t => {
  const { a, b, db } = await startCores(t, 2)
  const publisher = await a.connect()
  await publisher.publish({ topic: 'DB/CREATE', payload: 'before', qos: 1 })
  db.isAutomatic = false
  const subscriber = await b.connect(logger)
  await subscriber.subscribe('DB/#')
  await publisher.publish({ topic: 'DB/CREATE', payload: 'after', qos: 1 })
  const [stored] = [...db.messages.values()].slice(-1)
  t.is(stored!.streamIds.length, 1)
  db.poll()
  t.deepEqual(await subscriber.payloads(1), ['after'])
})

test('a subscription that is made while a batch is on its way to the store is in the next one', async t => {
  const { a, b, db } = await startCores(t, 2)
  const publisher = await a.connect()
  const subscriber = await b.connect(logger)
  const gate = new Gate()
  gate.close()
  a.store.beforeCommit = () => gate.pass()
  const first = publisher.publish({ topic: 'DB/CREATE', payload: '1', qos: 1 })
  await gate.until(1)
  await subscriber.subscribe('DB/#')
  const second = publisher.publish({ topic: 'DB/CREATE', payload: '2', qos: 1 })
  gate.open()
  await Promise.all([first, second])
  t.deepEqual(await subscriber.payloads(1), ['2'])
  t.is(db.messages.size, 2)
})

test('a retained message that was on its way at another broker while a subscription was made is shown to it', async t => {
  const { a, b } = await startCores(t, 2)
  const publisher = await a.connect()
  await publisher.publish({ topic: 'state/x', payload: 'old', qos: 1, retain: true })
  const gate = new Gate()
  gate.close()
  a.store.beforeCommit = () => gate.pass()
  const published = publisher.publish({ topic: 'state/x', payload: 'new', qos: 1, retain: true })
  await gate.until(1)
  const subscriber = await b.connect(logger)
  await subscriber.subscribe('state/#')
  t.deepEqual(await subscriber.payloads(1), ['old'])
  gate.open()
  await published
  t.deepEqual(await subscriber.payloads(1), ['new'])
})

test('what a dead broker has left goes on at another: sessions, what was inflight, and what it had accepted last', async t => {
  const { a, b, db } = await startCores(t, 2)
  const subscriber = await a.connect(slow)
  await subscriber.subscribe('DB/#')
  await publishAll(await a.connect(), 'DB/CREATE', numbers(1, 5))
  const messages = await subscriber.messages(5)
  subscriber.ack(messages[0]!)
  subscriber.ack(messages[3]!)
  await subscriber.ping()
  await publishAll(await b.connect(), 'DB/CREATE', ['6'])
  const [sixth] = await subscriber.messages(1)
  t.is(sixth!.payload.toString(), '6')
  // the acks are in notes within a moment
  while (db.notes[0]!.length < 4) await subscriber.ping()
  await db.takeOver(a.store, b.store)
  const again = await b.connect(slow)
  const left = await again.messages(4)
  t.deepEqual(
    left.map(({ payload, dup, messageId }) => [payload.toString(), dup, messageId]),
    [messages[1]!, messages[2]!, messages[4]!, sixth!].map(({ payload, messageId }) => [
      payload.toString(),
      true,
      messageId
    ])
  )
})

test('what a broker has sent and had not noted when it died comes again with DUP, and no packet id comes for another message', async t => {
  const { a, b, db } = await startCores(t, 2)
  const subscriber = await a.connect(slow)
  await subscriber.subscribe('DB/#')
  const publisher = await b.connect()
  await publishAll(publisher, 'DB/CREATE', numbers(1, 3))
  const before = await subscriber.messages(3)
  while (db.notes[0]!.length === 0) await subscriber.ping()
  db.notes[0]!.length = 0 // they were on their way
  await db.takeOver(a.store, b.store)
  const after = await (await b.connect(slow)).messages(3)
  t.deepEqual(
    after.map(({ payload, dup }) => [payload.toString(), dup]),
    numbers(1, 3).map(payload => [payload, true])
  )
  const ids = new Set(before.map(({ messageId }) => messageId))
  t.false(
    after.some(({ messageId }) => ids.has(messageId)),
    'the client may still ack those'
  )
})

test('the retained message of a topic is the later one on all brokers, and a cleared one stays cleared', async t => {
  const { a, b, db } = await startCores(t, 2)
  const one = await a.connect()
  const other = await b.connect()
  await one.publish({ topic: 'state/x', payload: 'first', qos: 1, retain: true })
  await new Promise(resolve => setImmediate(resolve))
  await other.publish({ topic: 'state/x', payload: 'second', qos: 1, retain: true })
  await one.publish({ topic: 'state/y', payload: 'y', qos: 1, retain: true })
  await new Promise(resolve => setImmediate(resolve))
  await other.publish({ topic: 'state/y', payload: '', qos: 1, retain: true })
  db.poll()
  for (const { connect } of [a, b]) {
    const looker = await connect()
    await looker.subscribe('state/#')
    t.deepEqual(await looker.payloads(1), ['second'])
    await looker.ping()
    t.is(looker.unreadMessages().length, 0)
  }
})

test('the will of a client whose broker has died is sent once', async t => {
  const { a, b, c, db } = await startCores(t, 3)
  const watcher = await c.connect(logger)
  await watcher.subscribe('will/#')
  await a.connect({
    clientId: 'mortal',
    will: { topic: 'will/x', payload: Buffer.from('gone'), qos: 1, retain: false }
  })
  await db.takeOver(a.store, b.store)
  t.is(db.wills.size, 1)
  t.deepEqual(
    [...db.wills.values()].map(({ owner }) => owner),
    [1]
  )
})

test('nothing that a session is owed is freed while it is handed over', async t => {
  const { a, b, db } = await startCores(t, 2)
  const subscriber = await a.connect(logger)
  await subscriber.subscribe('DB/#')
  await subscriber.disconnect()
  const publisher = await a.connect()
  for (let round = 0; round < 10; round++) {
    await publishAll(publisher, 'DB/CREATE', [`${round}`])
    await publishAll(publisher, 'nobody/x', ['lost'])
    const core = round % 2 === 0 ? b : a
    const client = await core.connect(logger)
    const [message] = await client.messages(1)
    t.is(message!.payload.toString(), `${round}`)
    client.ack(message!)
    await client.ping()
    await client.disconnect()
    for (let i = 0; i < 3; i++) for (const each of [a, b]) await each.core.settle()
  }
  t.true(db.messages.size <= 2, `${db.messages.size} messages are kept`)
})
