import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Aedes, type AedesOptions, type Client } from 'aedes'
import test, { type ExecutionContext } from 'ava'
import mqtt from 'mqtt'
import { type AdoptOptions, type QueueError, restante } from '../src/index.ts'
import { event, openClient, startAedes } from './helpers/aedes.ts'
import { publishInside, subscribeInside } from './helpers/aedes-server.ts'
import { RecordingLog } from './helpers/core.ts'
import { startProgram, testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'
import { withDeadline } from './helpers/signal.ts'

const EXAMPLE = fileURLToPath(new URL('../examples/adopt-aedes.js', import.meta.url))

/** An Aedes of an application, adopted. */
async function adopt(t: ExecutionContext, options: AedesOptions = {}, rest: Partial<AdoptOptions> = {}) {
  const aedes = await Aedes.createBroker(options)
  const adopted = await restante({ aedes, settings: { store: 'memory' }, ...rest })
  t.teardown(() => adopted.close())
  return { aedes, ...adopted }
}

test('an adopted Aedes keeps its hooks, and takes connections by its handle', async t => {
  const asked: string[] = []
  const { aedes, handle, directory } = await adopt(t, {
    authenticate: (client, name, _password, done) => {
      asked.push(`${client.id} ${name}`)
      done(null, true)
    }
  })
  t.is(aedes.handle, handle)
  const server = createServer(aedes.handle).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const away = { clientId: 'away', clean: false, username: 'alice' }
  const first = await RawClient.connect(port, away)
  await first.subscribe('queue/#')
  await first.disconnect()
  const publisher = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish({ topic: 'queue/a', payload: 'kept', qos: 1 })
  t.is(await directory.session('away')?.backlog(), 1)
  const again = await RawClient.connect(port, away)
  t.deepEqual(await again.payloads(1), ['kept'])
  t.deepEqual(asked, ['away alice', 'publisher undefined', 'away alice'])
  t.is(aedes.connectedClients, 2)
})

test('what Aedes does itself goes on: publishes of the process, subscribers in it, events, $SYS', async t => {
  const { aedes, handle } = await adopt(t, { id: 'my-broker' })
  const events: string[] = []
  aedes.on('client', ({ id }) => events.push(`client ${id}`))
  aedes.on('publish', ({ topic }, client) => events.push(`publish ${topic} ${client?.id}`))
  await subscribeInside(aedes, 'a', ({ payload }, done) => {
    events.push(`subscriber ${payload}`)
    done()
  })
  const client = openClient(t, handle)
  await client.login({ clientId: 'one' })
  await client.subscribe(['a', '$SYS/my-broker/new/#'])
  await client.publish({ topic: 'a', payload: 'x', qos: 1 })
  await publishInside(aedes, { payload: 'y', qos: 1 })
  const found = (await client.messages(3)).map(({ topic, payload }) => `${topic} ${payload}`)
  t.true(found.includes('a x') && found.includes('a y'))
  t.true(found.some(line => line.startsWith('$SYS/my-broker/new/subscribes ')))
  t.true(events.includes('client one') && events.includes('publish a one'))
  t.deepEqual(
    events.filter(line => line.startsWith('subscriber')),
    ['subscriber x', 'subscriber y']
  )
})

test('limits that Aedes was given hold, unless the settings say otherwise', async t => {
  const limits = {
    keepaliveLimit: 30,
    maximumPacketSize: 2_000,
    topicAliasMaximum: 3,
    receiveMaximum: 4,
    sessionExpiryIntervalLimit: 60,
    responseInformation: 'answers/'
  }
  const { handle } = await adopt(t, limits)
  const five = {
    clientId: 'five',
    protocolVersion: 5,
    clean: false,
    keepaliveSeconds: 100,
    expirySeconds: 1_000
  } as const
  const client = openClient(t, handle)
  const asks = { ...five, properties: { requestResponseInformation: true } }
  const { properties } = await client.login(asks)
  t.like(properties, {
    serverKeepAlive: 30,
    maximumPacketSize: 2_000,
    topicAliasMaximum: 3,
    receiveMaximum: 4,
    sessionExpiryInterval: 60,
    responseInformation: 'answers/'
  })
  // the limit is not shown to Aedes, which would refuse
  const four = openClient(t, handle)
  t.is((await four.login({ keepaliveSeconds: 100 })).returnCode, 0)
  const other = await adopt(t, limits, { settings: { store: 'memory', maxPacketBytes: 5_000 } })
  const second = openClient(t, other.handle)
  t.is((await second.login(five)).properties?.maximumPacketSize, 5_000)
})

test('a function of Aedes that gives Response Information is asked', async t => {
  const { handle } = await adopt(t, { responseInformation: client => `answers/${client.id}` })
  const client = openClient(t, handle)
  const asks = {
    protocolVersion: 5,
    clientId: 'one',
    properties: { requestResponseInformation: true }
  } as const
  t.is((await client.login(asks)).properties?.responseInformation, 'answers/one')
})

for (const how of ['aedes.close', 'close'] as const) {
  test(`${how} closes clients and store, and what was accepted is there at the next start`, async t => {
    const settings = { data: testFolder(t) }
    const first = await adopt(t, {}, { settings })
    const client = openClient(t, first.handle)
    await client.login({ clientId: 'away', clean: false })
    await client.subscribe('a')
    const publisher = openClient(t, first.handle)
    await publisher.login({})
    client.destroy()
    await event(first.aedes, 'clientDisconnect')
    await publisher.publish({ topic: 'a', payload: 'kept', qos: 2 })
    const closed = event(first.aedes, 'closed')
    if (how === 'close') await first.close()
    else await new Promise<void>(resolve => first.aedes.close(resolve))
    await closed
    t.true(first.aedes.closed)
    await publisher.closed()
    await first.close()
    const second = await adopt(t, {}, { settings })
    const again = openClient(t, second.handle)
    await again.login({ clientId: 'away', clean: false })
    t.deepEqual(await again.payloads(1), ['kept'])
  })
}

test('an Aedes that does not listen, is closed, or is adopted already, is refused', async t => {
  const settings = { store: 'memory' } as const
  const isRefused = async (aedes: Aedes, problem: RegExp) => {
    const error = await t.throwsAsync<QueueError>(restante({ aedes, settings }))
    t.is(error?.code, 'QUEUE_CONFIG_INVALID')
    t.regex(error?.message ?? '', problem)
  }
  await isRefused(new Aedes(), /does not listen/)
  const { aedes, close } = await adopt(t)
  await isRefused(aedes, /carries a server already/)
  await close()
  await isRefused(aedes, /carries a server already/)
  const plain = await startAedes(t)
  await new Promise<void>(resolve => plain.close(resolve))
  await isRefused(plain, /does not listen/)
})

test('a store that does not open leaves the broker as it was', async t => {
  const data = testFolder(t)
  await adopt(t, {}, { settings: { data } })
  const aedes = await startAedes(t)
  const { handle, close } = aedes
  const error = await t.throwsAsync<QueueError>(restante({ aedes, settings: { data } }))
  t.is(error?.code, 'QUEUE_DATA_IN_USE')
  t.is(aedes.handle, handle)
  t.is(aedes.close, close)
  const client = openClient(t, aedes.handle)
  t.is((await client.login({})).returnCode, 0)
  await t.notThrowsAsync(restante({ aedes, settings: { store: 'memory' } }))
})

test('client.conn answers as the connection of the client does', async t => {
  const { aedes, handle } = await adopt(t)
  const told = event(aedes, 'client')
  const certificate = { subject: { CN: 'client' } }
  const client = openClient(t, stream => {
    const members = { encrypted: true, authorized: true, remoteAddress: '192.0.2.7', localPort: 8883 }
    handle(Object.assign(stream, members, { getPeerCertificate: () => certificate }))
  })
  await client.login({})
  const [{ conn }] = (await told) as [Client]
  const { encrypted, authorized, remoteAddress, localPort, getPeerCertificate } = conn as unknown as {
    [name: string]: unknown
    getPeerCertificate(): object
  }
  t.deepEqual([encrypted, authorized, remoteAddress, localPort], [true, true, '192.0.2.7', 8883])
  t.is(getPeerCertificate(), certificate)
})

test('what goes wrong in a function of the application is written to the log that was given', async t => {
  const log = new RecordingLog()
  const { aedes, handle } = await adopt(t, {}, { log })
  aedes.on('client', () => {
    throw new Error('broken')
  })
  const client = openClient(t, handle)
  await client.login({})
  t.deepEqual(log.texts('error'), ['a listener of the event client failed: broken'])
})

test('the example keeps what is published while a subscriber is away, also when it is killed', async t => {
  const data = testFolder(t)
  const start = async () => {
    const program = startProgram(t, process.execPath, [EXAMPLE], { PORT: '0', DATA: data })
    const port = await program.until(() => /port: (\d+)/.exec(program.stdout)?.[1])
    return { program, port: Number(port) }
  }
  const options = { clientId: 'away', clean: false, username: 'alice', reconnectPeriod: 0 }
  const first = await start()
  const away = await mqtt.connectAsync(`mqtt://127.0.0.1:${first.port}`, options)
  await away.subscribeAsync('queue/#', { qos: 1 })
  await away.endAsync()
  const publisher = await mqtt.connectAsync(`mqtt://127.0.0.1:${first.port}`, { reconnectPeriod: 0 })
  await publisher.publishAsync('queue/a', 'kept', { qos: 1 })
  await first.program.kill('SIGKILL')
  publisher.end(true)
  const second = await start()
  await t.throwsAsync(
    mqtt.connectAsync(`mqtt://127.0.0.1:${second.port}`, { username: 'stranger', reconnectPeriod: 0 })
  )
  const again = mqtt.connect(`mqtt://127.0.0.1:${second.port}`, options)
  const got = new Promise<string>(resolve =>
    again.once('message', (topic, payload) => resolve(`${topic} ${payload}`))
  )
  t.is(await withDeadline(got, { describe: () => 'the kept message' }), 'queue/a kept')
  await again.endAsync()
  t.is((await second.program.kill('SIGTERM')).code, 0, second.program.story())
})
