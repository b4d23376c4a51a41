import test from 'ava'
import { connect } from '../../src/client/index.ts'
import { nameOf, newClient, openClient, QUICK, startScene } from '../helpers/client-scene.ts'
import { startTap } from '../helpers/client-tap.ts'
import { Gate } from '../helpers/gate.ts'
import { listen } from '../helpers/listen.ts'

test('durable session keeps what comes while the program is away', async t => {
  const { url, publish } = await startScene(t)
  const first = await openClient(t, url, { clientId: 'logger' })
  await first.client.on('DB', 'CREATE', () => {})
  await first.client.close()
  await publish('CREATE', 1, 2)
  const { client, log } = newClient(t, url, { clientId: 'logger' })
  await client.on('DB', 'CREATE', message => log.note(nameOf(message)))
  await client.open()
  t.true(log.connected[0]!.isSessionResumed)
  t.deepEqual(await log.noted(2), ['CREATE 1', 'CREATE 2'])
})

test('message of a resumed session waits, unacked, for a handler that is added later', async t => {
  const { url, tap, publish } = await startScene(t)
  const first = await openClient(t, url, { clientId: 'logger' })
  await first.client.on('DB', 'CREATE', () => {})
  await first.client.close()
  await publish('CREATE', 1, 2)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  await tap.until(() => tap.receivedOf('publish').length === 2)
  await client.publish('OTHER', 'ping', 1) // a round trip
  t.is(tap.sentOf('puback').length, 0)
  await client.on('DB', 'CREATE', message => log.note(nameOf(message)))
  t.deepEqual(await log.noted(2), ['CREATE 1', 'CREATE 2'])
  await tap.until(() => tap.sentOf('puback').length === 2)
})

test('message that no handler wants is reported, and acked when its subscription is forgotten', async t => {
  const { url, tap, publish } = await startScene(t)
  const first = await openClient(t, url, { clientId: 'logger' })
  await first.client.on('DB', 'OLD', () => {})
  await first.client.close()
  await publish('OLD', 1)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  await log.until(() => log.errors.length === 1)
  t.deepEqual(log.codes(), ['CLIENT_NO_HANDLER'])
  t.regex(log.errors[0]!.message, /DB\/OLD waits for a handler/)
  t.is(tap.sentOf('puback').length, 0)
  t.is(await client.forget('DB', 'OLD'), 1)
  await tap.until(() => tap.sentOf('puback').length === 1)
  await publish('OLD', 2)
  await client.publish('OTHER', 'ping', 1) // a round trip
  t.is(tap.receivedOf('publish').length, 1)
})

test('subscriptions are made again when the server has lost the session, and only then', async t => {
  const one = await listen(t)
  const other = await listen(t)
  const tap = await startTap(t, one.port)
  const { client, log } = await openClient(t, tap.url, { clientId: 'logger' })
  await client.on('DB', 'CREATE', message => log.note(nameOf(message)))
  tap.cut()
  await log.until(() => log.connected.length === 2)
  t.true(log.connected[1]!.isSessionResumed)
  t.is(tap.sentOf('subscribe').length, 1)
  tap.aim(other.port)
  tap.cut()
  await log.until(() => log.connected.length === 3)
  t.false(log.connected[2]!.isSessionResumed)
  await tap.until(() => tap.receivedOf('suback').length === 2)
  await client.publish('DB', 'CREATE', { id: 7 })
  t.deepEqual(await log.noted(1), ['CREATE 7'])
})

test('client whose session is taken over stops with a clear error and does not fight', async t => {
  const { url, tap } = await startScene(t)
  const first = await openClient(t, url, { clientId: 'logger' })
  const second = await openClient(t, url, { clientId: 'logger' })
  await first.log.until(() => first.log.closed.length === 1)
  t.is(first.log.closed[0]!.error?.code, 'CLIENT_TAKEN_OVER')
  t.regex(first.log.closed[0]!.error!.message, /id logger/)
  t.is(first.client.state, 'closed')
  await t.throwsAsync(first.client.publish('DB', 'CREATE', 1), { code: 'CLIENT_TAKEN_OVER' })
  await second.client.publish('DB', 'CREATE', 1)
  t.is(tap.connections, 2)
})

test('close finishes what is in hand, acks it and says goodbye; what waits stays in the session', async t => {
  const { url, tap, publish, connect: raw } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const gate = new Gate()
  gate.close()
  await client.on('DB', 'CREATE', async message => {
    log.note(nameOf(message))
    await gate.pass()
    await client.publish('DONE', 'CREATE', message.payload)
  })
  await publish('CREATE', 1, 2, 3)
  await tap.until(() => tap.receivedOf('publish').length === 3)
  const closed = client.close()
  t.is(client.state, 'closing')
  gate.open()
  t.deepEqual(await closed, { unfinishedHandlers: 0, unfinishedPublishes: 0 })
  await tap.until(() => tap.sentOf('disconnect').length === 1)
  t.deepEqual(log.notes, ['CREATE 1'])
  t.deepEqual(
    tap.sent.slice(-3).map(({ cmd }) => cmd),
    ['publish', 'puback', 'disconnect']
  )
  const rest = await raw({ clientId: 'logger', clean: false })
  t.deepEqual(await rest.payloads(2), ['{"id":2}', '{"id":3}'])
})

test('handler that finishes during close is acked on the connection that is there then', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const gate = new Gate()
  gate.close()
  await client.on('DB', 'CREATE', async message => {
    log.note(nameOf(message))
    await gate.pass()
  })
  await publish('CREATE', 1, 2)
  await log.noted(1)
  const closed = client.close()
  tap.cut()
  await log.until(() => log.connected.length === 2)
  await client.publish('OTHER', 'ping', 1) // a round trip: what comes again has come
  gate.open()
  t.deepEqual(await closed, { unfinishedHandlers: 0, unfinishedPublishes: 0 })
  await tap.until(() => tap.sentOf('disconnect').length === 1)
  t.deepEqual(
    tap.sentOf('puback').map(({ connection }) => connection),
    [2]
  )
  t.deepEqual(log.notes, ['CREATE 1'])
})

test('close gives up on a handler after its time, and its message stays in the session', async t => {
  const { url, publish, connect: raw } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  await client.on('DB', 'CREATE', async message => {
    log.note(nameOf(message))
    await new Promise(() => {})
  })
  await publish('CREATE', 1)
  await log.noted(1)
  t.deepEqual(await client.close({ timeoutMs: 20 }), { unfinishedHandlers: 1, unfinishedPublishes: 0 })
  const rest = await raw({ clientId: 'logger', clean: false })
  t.deepEqual(await rest.payloads(1), ['{"id":1}'])
})

test('stop ends the subscription at the server and handles what had come', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const gate = new Gate()
  gate.close()
  const subscription = await client.on('DB', 'CREATE', async message => {
    await gate.pass()
    log.note(nameOf(message))
  })
  await publish('CREATE', 1, 2)
  await tap.until(() => tap.receivedOf('publish').length === 2)
  const stopped = subscription.stop()
  await tap.until(() => tap.receivedOf('unsuback').length === 1)
  await publish('CREATE', 3)
  gate.open()
  await stopped
  await client.publish('OTHER', 'ping', 1) // a round trip
  t.deepEqual(log.notes, ['CREATE 1', 'CREATE 2'])
  t.is(tap.sentOf('puback').length, 2)
})

test('subscription that is made or stopped without a connection is confirmed on the next one', async t => {
  const { url, tap, port, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  const old = await client.on('DB', 'OLD', () => {})
  tap.aim(1)
  tap.cut()
  await log.until(() => log.disconnected.length > 0)
  const added = client.on('DB', 'CREATE', message => log.note(nameOf(message)))
  const stopped = old.stop()
  tap.aim(port)
  await Promise.all([added, stopped])
  t.deepEqual(
    tap.sentOf('unsubscribe').map(({ unsubscriptions }) => unsubscriptions),
    [['DB/OLD']]
  )
  await publish('OLD', 1)
  await publish('CREATE', 2)
  t.deepEqual(await log.noted(1), ['CREATE 2'])
})

test('subscription that waits for the server is refused when the client is closed', async t => {
  const { url, tap } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger' })
  tap.aim(1)
  tap.cut()
  await log.until(() => log.disconnected.length > 0)
  const added = client.on('DB', 'CREATE', () => {})
  void client.close()
  await t.throwsAsync(added, { code: 'CLIENT_CLOSED' })
})

test('stop gives up a message that is rejected', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, {
    clientId: 'logger',
    retry: { minMs: 60_000, maxMs: 60_000 }
  })
  const subscription = await client.on('DB', 'CREATE', () => {
    throw new Error('never')
  })
  await publish('CREATE', 1, 2)
  await log.until(() => log.errors.length === 1)
  await subscription.stop()
  await tap.until(() => tap.sentOf('puback').length === 2)
  t.deepEqual(
    log.errors.map(({ detail }) => detail.retryInMs === null),
    [false, true]
  )
})

test('publishes wait for the connection and go out in their order', async t => {
  const { url, tap, port } = await startScene(t)
  const closedPort = await listen(t)
  const { client, log } = await openClient(t, url, { clientId: 'api' })
  await client.on('DB', '#', message => log.note(String(message.payload)))
  tap.aim(closedPort.port) // another server: without the session
  tap.aim(port)
  tap.cut()
  const publishes = Array.from({ length: 50 }, (_, n) => client.publish('DB', 'CREATE', n))
  await Promise.all(publishes)
  await log.until(() => new Set(log.notes).size === 50)
  t.deepEqual(
    [...new Set(log.notes)],
    Array.from({ length: 50 }, (_, n) => String(n))
  )
})

test('no more publishes are sent without their acks than the server takes', async t => {
  const { url } = await startScene(t, { settings: { receiveMaximum: 3 } })
  const { client, log } = await openClient(t, url, { clientId: 'api' })
  await Promise.all(Array.from({ length: 200 }, (_, n) => client.publish('DB', 'CREATE', n)))
  t.is(log.disconnected.length, 0)
})

test('publish that is larger than the server takes is refused, and the connection stays', async t => {
  const { url } = await startScene(t, { settings: { maxPacketBytes: 2_000 } })
  const { client, log } = await openClient(t, url, { clientId: 'api' })
  await t.throwsAsync(client.publish('DB', 'CREATE', 'x'.repeat(3_000)), {
    code: 'CLIENT_PUBLISH_REFUSED',
    message: /3000 bytes are more than the server takes \(packets of 2000 bytes\)/
  })
  await client.publish('DB', 'CREATE', 'x'.repeat(1_000))
  t.is(log.disconnected.length, 0)
})

test('MQTT 3.1.1 does all of it but what only MQTT 5 can say', async t => {
  const { url, tap, publish } = await startScene(t)
  const { client, log } = await openClient(t, url, { clientId: 'logger', protocol: 4 })
  await client.on('DB', 'CREATE', message => {
    log.note(`${nameOf(message)} ${message.attempt}`)
    if (message.attempt === 1) throw new Error('not yet')
  })
  await publish('CREATE', 1)
  await tap.until(() => tap.sentOf('puback').length === 1)
  t.deepEqual(log.notes, ['CREATE 1 1', 'CREATE 1 2'])
  t.is(tap.connections, 2)
  await client.publish('DB', 'OTHER', 1, { qos: 2, retain: true })
  await t.throwsAsync(client.publish('DB', 'OTHER', 1, { expirySeconds: 5 }), {
    code: 'CLIENT_OPTIONS_INVALID',
    message: /needs MQTT 5/
  })
})

test('close ends an open that waits for its server', async t => {
  const { client, log } = newClient(t, 'mqtt://127.0.0.1:1', { openTimeoutMs: Number.POSITIVE_INFINITY })
  const opened = client.open()
  await log.until(() => log.disconnected.length === 1)
  void client.close()
  await t.throwsAsync(opened, { code: 'CLIENT_CLOSED' })
  t.is(client.state, 'closed')
})

test('connect rejects when nothing listens, and says for how long it tried', async t => {
  const error = await t.throwsAsync(connect('mqtt://127.0.0.1:1', { ...QUICK, openTimeoutMs: 1_000 }), {
    code: 'CLIENT_UNREACHABLE'
  })
  t.regex(error!.message, /mqtt:\/\/127\.0\.0\.1:1 cannot be reached.*ECONNREFUSED.*1000 ms/)
})
