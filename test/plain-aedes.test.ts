import { createServer } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Aedes } from 'aedes'
// @ts-expect-error it has no types
import mongoPersistence from 'aedes-persistence-mongodb'
import test, { type ExecutionContext } from 'ava'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { type AttachOptions, attachIntrospection } from '../plugins/introspection/plain-aedes.ts'
import { startMongodb } from './helpers/mongodb.ts'

/** A row of an answer. */
type Row = Readonly<Record<string, unknown>>

const PERSISTENCES = ['memory', 'mongodb'] as const

/** A plain Aedes on TCP, and the introspection beside it; undefined when the persistence cannot be had. */
async function startPlain(t: ExecutionContext, persistence: (typeof PERSISTENCES)[number]) {
  const options: { persistence?: unknown; attach: AttachOptions } = { attach: {} }
  if (persistence === 'mongodb') {
    const mongodb = await startMongodb(t)
    if (!mongodb) return undefined
    const db = mongodb.client.db(mongodb.databaseName)
    const collectionPrefix = 'plain_'
    options.persistence = mongoPersistence({ db, collectionPrefix })
    options.attach = { db, collectionPrefix }
  }
  const aedes = await Aedes.createBroker(options.persistence ? { persistence: options.persistence } : {})
  const introspection = await attachIntrospection({ port: 0 }, aedes, options.attach)
  const server = createServer(aedes.handle)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  t.teardown(async () => {
    await introspection.close()
    server.close()
    await new Promise<void>(resolve => aedes.close(() => resolve()))
  })
  const get = async (path: string): Promise<Record<string, unknown>> => {
    const response = await fetch(`${introspection.address}/v1/${path}`)
    return (await response.json()) as Record<string, unknown>
  }
  const connect = async (clientId: string, more: IClientOptions = {}): Promise<MqttClient> => {
    const client = await connectAsync({ host: '127.0.0.1', port, clientId, reconnectPeriod: 0, ...more })
    t.teardown(() => client.endAsync(true))
    return client
  }
  return { aedes, introspection, get, connect }
}

for (const persistence of PERSISTENCES) {
  test(`clients, sessions, queues and queued messages of a plain Aedes are shown (${persistence})`, async t => {
    const plain = await startPlain(t, persistence)
    if (!plain) return
    const { get, connect } = plain
    const logger = await connect('logger', { clean: false })
    await logger.subscribeAsync({ 'DB/CREATE': { qos: 1 }, 'MAIL/#': { qos: 1 } })
    await logger.endAsync()
    const app = await connect('app')
    await app.subscribeAsync('DB/+', { qos: 0 })
    for (const topic of ['DB/CREATE', 'DB/CREATE', 'MAIL/new', 'OTHER/x']) {
      await app.publishAsync(topic, `{"at":"${topic}"}`, { qos: 1 })
    }
    const { clients } = (await get('clients')) as { clients: Row[] }
    t.is(clients.length, 1)
    t.like(clients[0], {
      ...{ id: 'app', transport: 'tcp', protocol: '3.1.1', persistent: false, queues: ['DB'] },
      ...{ username: null, keepAliveSeconds: null, dropped: null }
    })
    t.true((clients[0]?.receivedBytes as number) > 0)
    t.like(await get('clients/app'), { id: 'app' })
    await untilLeft(get, 'logger')
    const { sessions } = (await get('sessions')) as { sessions: Row[] }
    t.deepEqual(
      sessions.map(({ id, connected, persistent }) => [id, connected, persistent]),
      [
        ['app', true, false],
        ['logger', false, true]
      ]
    )
    t.like(sessions[0], { backlog: null, inflight: null })
    t.like(await get('sessions/logger'), {
      ...{ queues: ['DB', 'MAIL'], backlog: 3, inflight: 0, state: 'offline', createdAt: null },
      subscriptions: [
        { filter: 'DB/CREATE', qos: 1, queue: 'DB', event: 'CREATE', createdAt: null },
        { filter: 'MAIL/#', qos: 1, queue: 'MAIL', event: '#', createdAt: null }
      ]
    })
    t.like(await get('queues/DB'), { attached: 2, connected: 1, accepted: 2, backlog: null })
    t.like(await get('queues/MAIL'), { attached: 1, connected: 0, accepted: 1, backlog: 1 })
    const { subscriptions } = (await get('subscriptions?matches=DB/CREATE')) as { subscriptions: Row[] }
    t.deepEqual(
      subscriptions.map(({ client, filter }) => `${client} ${filter}`),
      ['app DB/+', 'logger DB/CREATE']
    )
    t.like(await get('server'), { connectedClients: 1, persistentSessions: 1, accepted: 4, lane: null })
  })

  test(`what a client of a plain Aedes has still to ack can be looked at (${persistence})`, async t => {
    const plain = await startPlain(t, persistence)
    if (!plain) return
    const { get, connect } = plain
    const logger = await connect('logger', { clean: false })
    await logger.subscribeAsync('DB/#', { qos: 1 })
    await logger.endAsync()
    const app = await connect('app')
    for (let i = 0; i < 3; i++) await app.publishAsync(`DB/e${i}`, Buffer.from([0xff, i]), { qos: 1 })
    await untilLeft(get, 'logger')
    const first = (await get('sessions/logger/messages?limit=2')) as { messages: Row[]; next: string }
    t.deepEqual(
      first.messages.map(({ status, message }) => [status, (message as Row).topic, (message as Row).payload]),
      [
        ['queued', 'DB/e0', '/wA='],
        ['queued', 'DB/e1', '/wE=']
      ]
    )
    const { messages, next } = await get(`sessions/logger/messages?limit=2&cursor=${first.next}`)
    t.is((messages as Row[]).length, 1)
    t.is(next, null)
    // it comes back and acks nothing
    const silent = await connect('logger', { clean: false })
    silent.handleMessage = () => {} // the callback would ack
    await until(async () => (await get('sessions/logger')).inflight === 3)
    t.like(await get('sessions/logger'), { backlog: 0, inflight: 3, connected: true })
    t.is(((await get('sessions/logger/messages?status=inflight')).messages as Row[]).length, 3)
  })
}

test('offline sessions that were there before are found in the database', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const db = mongodb.client.db(mongodb.databaseName)
  const before = await Aedes.createBroker({ persistence: mongoPersistence({ db }) })
  const packet = {
    cmd: 'publish',
    topic: 'DB/x',
    payload: Buffer.from('1'),
    qos: 1,
    retain: false,
    dup: false
  } as const
  await db.collection('subscriptions').insertOne({ clientId: 'old', topic: 'DB/#', qos: 1 })
  await db.collection('outgoing').insertOne({ clientId: 'old', packet })
  await new Promise<void>(resolve => before.close(() => resolve()))
  const aedes = await Aedes.createBroker({ persistence: mongoPersistence({ db }) })
  const { address, close } = await attachIntrospection({ port: 0 }, aedes, { db })
  t.teardown(async () => {
    await close()
    await new Promise<void>(resolve => aedes.close(() => resolve()))
  })
  const session = (await (await fetch(`${address}/v1/sessions/old`)).json()) as Row
  t.like(session, { id: 'old', connected: false, backlog: 1, disconnectedAt: null })
  t.true((session.oldestAgeMs as number) < 60_000)
  const { sessions } = (await (await fetch(`${address}/v1/sessions?sort=backlog`)).json()) as {
    sessions: Row[]
  }
  t.is(sessions[0]?.id, 'old')
})

test('what a plain Aedes cannot do is 501, what it does not have 404, in problem details', async t => {
  const plain = await startPlain(t, 'memory')
  if (!plain) return
  const { introspection } = plain
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { 'content-type': 'application/json' }
    const init = body ? { method, headers, body: JSON.stringify(body) } : { method }
    const response = await fetch(`${introspection.address}/v1/${path}`, init)
    t.is(response.headers.get('content-type'), 'application/problem+json')
    const problem = (await response.json()) as Row
    return [response.status, problem.code]
  }
  const unable = [501, 'QUEUE_NOT_SUPPORTED']
  t.deepEqual(await ask('GET', 'messages'), unable)
  t.deepEqual(await ask('GET', 'messages/lane-1:1'), unable)
  t.deepEqual(await ask('DELETE', 'clients/x'), unable)
  t.deepEqual(await ask('DELETE', 'sessions/x'), unable)
  t.deepEqual(await ask('DELETE', 'sessions/x/messages'), unable)
  t.deepEqual(await ask('POST', 'sessions/x/subscriptions', { subscriptions: [{ filter: 'a' }] }), unable)
  const missing = [404, 'QUEUE_NOT_FOUND']
  for (const path of [
    'clients/x',
    'sessions/constructor',
    'clients/__proto__',
    'queues/x',
    'sessions/x/messages',
    'no'
  ]) {
    t.deepEqual(await ask('GET', path), missing, path)
  }
  t.deepEqual(await ask('GET', 'clients?limit=0'), [400, 'QUEUE_REQUEST_INVALID'])
  t.deepEqual(await ask('GET', 'clients?nobody=1'), [400, 'QUEUE_REQUEST_INVALID'])
})

test('an own server beside a plain Aedes does not answer web pages', async t => {
  const plain = await startPlain(t, 'memory')
  if (!plain) return
  const { app } = plain.introspection
  const ask = async (headers: Record<string, string>) =>
    (await app.inject({ url: '/v1/clients', headers })).statusCode
  t.is(await ask({ host: '127.0.0.1:8080' }), 200)
  t.is(await ask({ host: 'localhost' }), 200)
  t.is(await ask({ host: 'evil.example' }), 403)
  t.is(await ask({ host: 'localhost', origin: 'http://evil.example' }), 403)
})

test('a plain Aedes is listened to no more after the close', async t => {
  const aedes = await Aedes.createBroker()
  t.teardown(() => new Promise<void>(resolve => aedes.close(() => resolve())))
  const counts = () => ['clientReady', 'clientDisconnect', 'publish'].map(name => aedes.listenerCount(name))
  const before = counts()
  const { close } = await attachIntrospection({ port: 0 }, aedes)
  t.notDeepEqual(counts(), before)
  await close()
  t.deepEqual(counts(), before)
})

/** Waits until the broker has seen that a client is gone. */
function untilLeft(get: (path: string) => Promise<Row>, clientId: string): Promise<void> {
  return until(async () => (await get(`sessions/${clientId}`)).connected === false)
}

/** Asks again and again; the runner ends what never comes. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await turn()
}
