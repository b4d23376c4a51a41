import test from 'ava'
import type { Message } from '../../src/client/index.ts'
import { nameOf, openClient, startScene } from '../helpers/client-scene.ts'
import { Gate } from '../helpers/gate.ts'

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n + 1)

test('messages are handled one after another in their order by default', async t => {
  const { url, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  let running = 0
  await client.on('DB', '#', async message => {
    running += 1
    t.is(running, 1)
    await new Promise(resolve => setImmediate(resolve))
    running -= 1
    log.note(nameOf(message))
  })
  await publish('CREATE', ...numbers(150)) // more than the window
  const notes = await log.noted(150)
  t.deepEqual(
    notes,
    numbers(150).map(n => `CREATE ${n}`)
  )
})

test('messages of different topics are handled side by side, those of one topic in order', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const gate = new Gate()
  gate.close()
  let most = 0
  let running = 0
  const topics = new Set<string>()
  const handler = async (message: Message<unknown>) => {
    t.false(topics.has(message.topic), 'one of a topic at a time')
    topics.add(message.topic)
    most = Math.max(most, ++running)
    log.note(nameOf(message))
    if (message.event === 'SLOW') await gate.pass()
    running -= 1
    topics.delete(message.topic)
  }
  await client.on('DB', '#', handler, { concurrency: 2 })
  await publish('SLOW', 1, 2)
  await publish('CREATE', 1, 2, 3)
  await tap.until(() => tap.sentOf('puback').length === 3)
  t.deepEqual(log.notes, ['SLOW 1', 'CREATE 1', 'CREATE 2', 'CREATE 3'])
  gate.open()
  await log.noted(5)
  t.is(log.notes[4], 'SLOW 2')
  t.is(most, 2)
})

test('no more handlers run than concurrency says', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client } = await openClient(t, url, { clientId: 'logger' })
  let running = 0
  let most = 0
  const gate = new Gate()
  gate.close()
  const handler = async () => {
    most = Math.max(most, ++running)
    if (running === 7) gate.open()
    await gate.pass()
    await new Promise(resolve => setImmediate(resolve))
    running -= 1
  }
  await client.on('DB', 'CREATE', handler, { concurrency: 7, order: 'none' })
  await publish('CREATE', ...numbers(100))
  await tap.until(() => tap.sentOf('puback').length === 100)
  t.is(most, 7)
})

test('rejected message holds those of its topic behind it, and no others, with order by event', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const handler = async (message: Message<unknown>) => {
    log.note(nameOf(message))
    if (nameOf(message) === 'A 1' && !log.notes.includes('B 2')) throw new Error('not yet')
  }
  await client.on('DB', '#', handler, { concurrency: 5 })
  await publish('A', 1, 2)
  await log.until(() => log.errors.length > 0)
  await publish('B', 1, 2)
  await tap.until(() => tap.sentOf('puback').length === 4)
  t.deepEqual([...new Set(log.notes)], ['A 1', 'B 1', 'B 2', 'A 2'])
})

test('no more messages wait in the client than prefetch says', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger', prefetch: 5 })
  const gate = new Gate()
  gate.close()
  await client.on('DB', 'CREATE', async message => {
    await gate.pass()
    log.note(nameOf(message))
  })
  await publish('CREATE', ...numbers(20))
  await client.publish('OTHER', 'ping', 1) // a round trip
  t.is(tap.receivedOf('publish').length, 5)
  gate.open()
  await log.noted(20)
})

test('two handlers get each message once, and it is acked when both have resolved', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const gate = new Gate()
  gate.close()
  await client.on('DB', '#', async message => {
    await gate.pass()
    log.note(`all ${nameOf(message)}`)
  })
  await client.on('DB', 'CREATE', message => log.note(`one ${nameOf(message)}`))
  await publish('CREATE', 1)
  await log.noted(1)
  await client.publish('OTHER', 'ping', 1) // a round trip
  t.is(tap.sentOf('puback').length, 0)
  gate.open()
  await tap.until(() => tap.sentOf('puback').length === 1)
  t.deepEqual(log.notes, ['one CREATE 1', 'all CREATE 1'])
})

test('of two handlers only the one that rejected is run again', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  await client.on('DB', '#', message => log.note(`all ${nameOf(message)}`))
  await client.on('DB', 'CREATE', message => {
    log.note(`one ${nameOf(message)}`)
    if (message.attempt === 1) throw new Error('not yet')
  })
  await publish('CREATE', 1)
  await tap.until(() => tap.sentOf('puback').length === 1)
  t.deepEqual(log.notes, ['all CREATE 1', 'one CREATE 1', 'one CREATE 1'])
})
