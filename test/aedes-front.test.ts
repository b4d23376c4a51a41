import { type Duplex, duplexPair } from 'node:stream'
import type { Aedes, Client } from 'aedes'
import test, { type ExecutionContext } from 'ava'
import { event, openClient, startAedes, VERSIONS } from './helpers/aedes.ts'
import { startCore } from './helpers/core.ts'
import { RawClient, type RawConnect } from './helpers/raw-client.ts'

interface Started {
  readonly aedes: Aedes
  handle(stream: Duplex): unknown
}

type Start = (t: ExecutionContext, connectTimeoutMs?: number) => Promise<Started>

/** What Aedes says at CONNECT, and what its hooks and listeners do, is the same alone and through the front. */
const SERVERS: readonly [string, Start][] = [
  [
    'Aedes',
    async (t, connectTimeoutMs = 10_000) => {
      const aedes = await startAedes(t, { connectTimeout: connectTimeoutMs })
      return { aedes, handle: aedes.handle }
    }
  ],
  [
    'the front',
    async (t, connectTimeoutMs = 10_000) => {
      const { core } = await startCore(t, { settings: { connectTimeoutMs } })
      return { aedes: core.broker.aedes, handle: stream => core.front.handle(stream) }
    }
  ]
]

interface Refusal {
  readonly title: string
  /** What the hook `authenticate` calls back with. */
  readonly error?: { readonly returnCode?: number }
  /** Return code of 3.1.1, reason code of 5. */
  readonly codes: readonly [number, number]
}

const REFUSALS: readonly Refusal[] = [
  { title: 'false', codes: [5, 0x87] },
  { title: 'an error', error: {}, codes: [5, 0x87] },
  { title: 'return code 2', error: { returnCode: 2 }, codes: [2, 0x85] },
  { title: 'return code 3', error: { returnCode: 3 }, codes: [3, 0x88] },
  { title: 'return code 4', error: { returnCode: 4 }, codes: [4, 0x86] }
]

for (const [server, start] of SERVERS) {
  for (const { title, error, codes } of REFUSALS) {
    test(`${server} answers CONNACK ${codes[0]} or 0x${codes[1].toString(16)} when authenticate says ${title}, and closes`, async t => {
      const { aedes, handle } = await start(t)
      aedes.authenticate = (_client, _name, _password, done) =>
        done(error ? (Object.assign(new Error('refused'), error) as never) : null, false)
      for (const [at, [, protocolVersion]] of VERSIONS.entries()) {
        const client = openClient(t, handle)
        const connack = await client.login({ protocolVersion })
        t.is(protocolVersion === 5 ? connack.reasonCode : connack.returnCode, codes[at])
        t.false(connack.sessionPresent)
        await client.closed()
      }
    })
  }

  test(`${server} closes without an answer when preConnect refuses, and names another server to a client of MQTT 5`, async t => {
    const { aedes, handle } = await start(t)
    aedes.preConnect = (_client, _packet, done) => done(new Error('go away'), false)
    const four = openClient(t, handle)
    await t.throwsAsync(four.login({}), { message: /closed/ })
    aedes.preConnect = (_client, _packet, done) =>
      done(Object.assign(new Error('moved'), { serverReference: 'other.example' }), false)
    const five = openClient(t, handle)
    const connack = await five.login({ protocolVersion: 5 })
    t.deepEqual([connack.reasonCode, connack.properties?.serverReference], [0x9c, 'other.example'])
    await five.closed()
  })

  test(`${server} refuses enhanced authentication with 0x8C`, async t => {
    const { handle } = await start(t)
    const client = openClient(t, handle)
    const properties = { authenticationMethod: 'SCRAM' }
    t.is((await client.login({ protocolVersion: 5, properties })).reasonCode, 0x8c)
    await client.closed()
  })

  test(`${server} closes a connection that does not send a whole CONNECT in time`, async t => {
    const { aedes, handle } = await start(t, 20)
    const silent = openClient(t, handle)
    const failed = event(aedes, 'connectionError')
    silent.sendBytes(Buffer.from([0x10, 20, 0, 4]))
    await failed
    await silent.closed()
    t.deepEqual(silent.received, [])
  })

  test(`${server} takes the end of a stream for the end of the connection, also of one that stays half open`, async t => {
    const { aedes, handle } = await start(t)
    const [ours, theirs] = duplexPair()
    t.teardown(() => ours.destroy())
    handle(theirs)
    t.is((await RawClient.open(ours).login({ clientId: 'a' })).returnCode, 0)
    const gone = event(aedes, 'clientDisconnect')
    ours.end()
    await gone
    t.is(aedes.connectedClients, 0)
  })

  test(`${server} lets hooks and listeners close a client, tell it why, and send it a message`, async t => {
    const { aedes, handle } = await start(t)
    aedes.on('clientReady', client => client.publish(hello, () => {}))
    const clients = (aedes as unknown as { clients: Record<string, Client> }).clients
    const connect = async (options: RawConnect) => {
      const client = openClient(t, handle)
      await client.login(options)
      const { topic, payload } = await client.next('publish')
      t.deepEqual([topic, String(payload)], ['greeting', 'hello'])
      return client
    }
    const hello = {
      cmd: 'publish',
      topic: 'greeting',
      payload: 'hello',
      qos: 0,
      dup: false,
      retain: false
    } as const
    const four = await connect({ clientId: 'four' })
    clients.four!.close()
    await four.closed()
    const five = await connect({ clientId: 'five', protocolVersion: 5 })
    clients.five!.disconnect({ reasonCode: 0x98 })
    t.is((await five.next('disconnect')).reasonCode, 0x98)
    await five.closed()
  })

  test(`${server} fires the events of a connection in their order`, async t => {
    const { aedes, handle } = await start(t)
    const fired: string[] = []
    for (const name of ['client', 'connackSent', 'clientReady', 'ping', 'clientDisconnect', 'clientError']) {
      aedes.on(name as 'client', (...args: unknown[]) => {
        const client = args.find(arg => arg instanceof Object && 'conn' in arg) as unknown as Client
        fired.push(`${name} ${client.id}`)
      })
    }
    aedes.on('subscribe', (subscriptions, client) =>
      fired.push(`subscribe ${client.id} ${subscriptions[0]?.topic}`)
    )
    aedes.on('unsubscribe', (filters, client) => fired.push(`unsubscribe ${client.id} ${filters[0]}`))
    const client = openClient(t, handle)
    await client.login({ clientId: 'a' })
    await client.subscribe('b')
    await client.ping()
    await client.unsubscribe('b')
    const gone = event(aedes, 'clientDisconnect')
    await client.disconnect()
    await gone
    t.deepEqual([...fired].sort(), [...EVENTS].sort())
    t.deepEqual(fired[0], 'client a')
    t.deepEqual(fired.slice(-4), EVENTS.slice(-4))
  })
}

const EVENTS = [
  'client a',
  'connackSent a',
  'clientReady a',
  'subscribe a b',
  'ping a',
  'unsubscribe a b',
  'clientDisconnect a'
]

// ---- what we make of it

test('hooks are asked about publishes and subscriptions only once one is set', async t => {
  const { core } = await startCore(t)
  const { broker } = core
  t.deepEqual([broker.hasPublishHook, broker.hasSubscribeHook], [false, false])
  broker.aedes.authorizePublish = (_client, _packet, done) => done(null)
  broker.aedes.authorizeSubscribe = (_client, subscription, done) => done(null, subscription)
  t.deepEqual([broker.hasPublishHook, broker.hasSubscribeHook], [true, true])
})

test('an error event of Aedes is logged and does not end the process', async t => {
  const { core, log } = await startCore(t)
  core.broker.aedes.emit('error', new Error('its store is gone'))
  t.deepEqual(log.texts('error'), ['Aedes: its store is gone'])
})

test('the tables that Aedes looks ids up in have no prototype', async t => {
  const { core } = await startCore(t)
  const tables = core.broker.aedes as unknown as Record<string, object>
  t.deepEqual([Object.getPrototypeOf(tables.clients), Object.getPrototypeOf(tables.brokers)], [null, null])
})

test('a client object tells its session and its subscriptions, and Aedes keeps neither', async t => {
  const { core, connect } = await startCore(t)
  const { aedes } = core.broker
  const disconnected = event(aedes, 'clientDisconnect')
  const five = { clientId: 'five', protocolVersion: 5, clean: false, expirySeconds: 100 } as const
  const client = await connect({ ...five, keepaliveSeconds: 60 })
  await client.subscribe(['a', 'b'])
  const [known] = Object.values((aedes as unknown as { clients: Record<string, Client> }).clients)
  t.deepEqual([known?.clean, known?.sessionExpiryInterval], [false, 100])
  t.deepEqual(Object.keys((known as unknown as { subscriptions: object }).subscriptions), ['a', 'b'])
  await client.disconnect()
  await disconnected
  const expiring = (aedes as unknown as { expiringSessions: Map<string, unknown> }).expiringSessions
  t.is(expiring.size, 0)
})

test('hooks see a connection with its address, its request and its CONNECT as the client sent it', async t => {
  const { core } = await startCore(t)
  const { aedes } = core.broker
  const seen: unknown[] = []
  aedes.preConnect = (client, packet, done) => {
    const { remoteAddress, remotePort } = client.conn as unknown as Record<string, unknown>
    const { clientId, username, password, will, clean, keepalive } = packet
    seen.push(
      remoteAddress,
      remotePort,
      client.req,
      clientId,
      username,
      String(password),
      will?.topic,
      clean,
      keepalive
    )
    done(null, true)
  }
  const request = { url: '/mqtt' } as never
  const client = openClient(t, stream =>
    core.front.handle(Object.assign(stream, { remoteAddress: '192.0.2.7', remotePort: 7 }), request)
  )
  const will = { topic: 'last', payload: Buffer.from('words'), qos: 1 as const, retain: false }
  const login = {
    clientId: 'a',
    username: 'user',
    password: 'secret',
    will,
    clean: false,
    keepaliveSeconds: 60
  }
  t.is((await client.login(login)).returnCode, 0)
  t.deepEqual(seen, ['192.0.2.7', 7, request, 'a', 'user', 'secret', 'last', false, 60])
  t.true(core.directory.client('a')?.isPersistent)
})

test('closing the core closes every client and Aedes', async t => {
  const { core, connect } = await startCore(t)
  const client = await connect()
  const closed = event(core.broker.aedes, 'closed')
  await core.close()
  await closed
  await client.closed()
  t.is(core.broker.aedes.connectedClients, 0)
})
