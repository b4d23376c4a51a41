import test from 'ava'
import { nameOf, openClient, startScene } from '../helpers/client-scene.ts'
import { Gate } from '../helpers/gate.ts'

test('message is acked when its handler has resolved, and not before', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const gate = new Gate()
  gate.close()
  await client.on('DB', 'CREATE', async message => {
    log.note(nameOf(message))
    await gate.pass()
  })
  await publish('CREATE', 1)
  await log.noted(1)
  await client.publish('OTHER', 'ping', 1) // a round trip
  t.is(tap.sentOf('puback').length, 0)
  gate.open()
  await tap.until(() => tap.sentOf('puback').length === 1)
  t.deepEqual(log.codes(), [])
})

test('slow handler does not stall the connection: pings, publishes and subscribes go on', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger', keepAliveSeconds: 1 })
  const gate = new Gate()
  gate.close()
  await client.on('DB', 'CREATE', async message => {
    log.note(nameOf(message))
    await gate.pass()
  })
  await publish('CREATE', ...Array.from({ length: 60 }, (_, n) => n))
  await tap.until(() => tap.receivedOf('publish').length === 60)
  await client.publish('DB', 'DELETE', { id: 1 })
  await client.on('DB', 'UPDATE', () => {})
  await tap.until(() => tap.receivedOf('pingresp').length >= 3, 'three answers to pings')
  t.is(tap.connections, 1)
  t.deepEqual(log.notes, ['CREATE 0'])
  gate.open()
  await tap.until(() => tap.sentOf('puback').length === 60)
})

test('rejected message is not acked and comes again on a new connection of the same session', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  await client.on<{ id: number }>('DB', 'CREATE', async message => {
    log.note(`${nameOf(message)} attempt ${message.attempt}${message.isRedelivered ? ' again' : ''}`)
    if (message.payload.id === 2 && message.attempt < 3) throw new Error('database is away')
  })
  await publish('CREATE', 1, 2, 3)
  await log.noted(5)
  await tap.until(() => tap.sentOf('puback').length === 3)
  t.deepEqual(log.notes, [
    'CREATE 1 attempt 1',
    'CREATE 2 attempt 1',
    'CREATE 2 attempt 2 again',
    'CREATE 2 attempt 3 again',
    'CREATE 3 attempt 1 again' // it was sent before, so it has DUP; no handler saw it, for the order's sake
  ])
  t.deepEqual(log.codes(), ['CLIENT_HANDLER_REJECTED', 'CLIENT_HANDLER_REJECTED'])
  t.regex(log.errors[0]!.message, /DB\/CREATE.*database is away/)
  t.is(tap.connections, 3)
  t.true(
    tap.sentOf('puback').every(({ reasonCode = 0 }) => reasonCode === 0),
    'no negative PUBACK'
  )
  t.is(tap.sentOf('subscribe').length, 1, 'the session has its subscription')
  t.true(log.disconnected.every(({ isPlanned }) => isPlanned))
})

test('handlers in hand finish while a rejected message waits, and are not run twice', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const gate = new Gate()
  gate.close()
  const handler = async (message: Parameters<typeof nameOf>[0]) => {
    log.note(nameOf(message))
    if (nameOf(message) === 'CREATE 1' && message.attempt < 3) throw new Error('not yet')
    if (nameOf(message) === 'CREATE 2') await gate.pass()
  }
  await client.on('DB', 'CREATE', handler, { concurrency: 3, order: 'none' })
  await publish('CREATE', 1, 2, 3)
  await tap.until(() => tap.connections === 3 && tap.sentOf('puback').length === 2)
  t.is(log.notes.filter(note => note === 'CREATE 2').length, 1)
  gate.open()
  await tap.until(() => tap.sentOf('puback').length === 3)
  t.is(log.notes.filter(note => note === 'CREATE 2').length, 1)
  t.is(tap.sentOf('puback').at(-1)!.connection, 3, 'acked on the connection that is there')
})

test('handler that finishes while the connection is gone is acked on the next one, without running again', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const gate = new Gate()
  gate.close()
  await client.on('DB', 'CREATE', async message => {
    log.note(nameOf(message))
    if (log.notes.length === 1) await gate.pass()
  })
  await publish('CREATE', 1)
  await log.noted(1)
  client.listen('disconnected', () => gate.open())
  tap.cut()
  await tap.until(() => tap.sentOf('puback').length === 1)
  await publish('CREATE', 2)
  await tap.until(() => tap.sentOf('puback').length === 2)
  t.deepEqual(log.notes, ['CREATE 1', 'CREATE 2'])
  t.is(tap.connections, 2)
})

test('rejected message of a clean session is tried again from memory', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url)
  await client.on('DB', 'CREATE', message => {
    log.note(nameOf(message))
    if (message.attempt < 3) throw new Error('not yet')
  })
  await publish('CREATE', 1)
  await tap.until(() => tap.sentOf('puback').length === 1)
  t.deepEqual(log.notes, ['CREATE 1', 'CREATE 1', 'CREATE 1'])
  t.is(tap.connections, 1)
})

test('delay before a rejected message comes again grows to its limit', async t => {
  const { url, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger', retry: { minMs: 8, maxMs: 30 } })
  await client.on('DB', 'CREATE', message => {
    log.note(nameOf(message))
    if (message.attempt < 6) throw new Error('not yet')
  })
  await publish('CREATE', 1)
  await log.noted(6)
  const delaysMs = log.errors.map(({ detail }) => detail.retryInMs as number)
  const limitsMs = [8, 16, 30, 30, 30]
  t.is(delaysMs.length, 5)
  for (const [index, delayMs] of delaysMs.entries()) {
    t.true(delayMs >= limitsMs[index]! / 2 && delayMs <= limitsMs[index]!, `${delaysMs}`)
  }
})

test('publish that waits for its ack is not sent twice by the reconnect for a rejected message', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  await client.on('DB', 'CREATE', async message => {
    log.note(nameOf(message))
    if (message.attempt === 1) throw new Error('not yet')
  })
  const publishes: Promise<void>[] = []
  client.listen('error', () => {
    for (let n = 0; n < 100; n++) publishes.push(client.publish('OUT', 'x', n))
  })
  await publish('CREATE', 1)
  await log.noted(2)
  await Promise.all(publishes)
  t.is(tap.sentOf('publish').length, 100)
  t.deepEqual(
    tap.sentOf('publish').map(({ payload }) => Number(payload.toString())),
    [...Array(100).keys()]
  )
})
