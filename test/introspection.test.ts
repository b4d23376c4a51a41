import test, { type ExecutionContext } from 'ava'
import { connectAsync, connect as connectLater, type IClientOptions } from 'mqtt'
import { builtinPlugins } from '../src/builtin.ts'
import { defaultSettings } from '../src/config/settings.ts'
import { createServer } from '../src/server.ts'
import { type StartOptions, startServer } from './helpers/process.ts'

/** A row of an answer. */
type Row = Readonly<Record<string, unknown>>

/** A server in this process, that keeps nothing. */
async function startWorld(t: ExecutionContext) {
  const settings = defaultSettings({ mqttPort: 0, httpPort: 0, store: 'memory' })
  const server = await createServer({ settings, plugins: builtinPlugins(settings) })
  t.teardown(() => server.stop())
  return world(t, server.mqttAddress.port, server.httpAddress.port)
}

/** A server in a process of its own, that can be killed. */
async function startProcess(t: ExecutionContext, options: StartOptions = {}) {
  const { mqttPort, httpPort, program, dataDirectory } = await startServer(t, options)
  return { ...world(t, mqttPort, httpPort), program, dataDirectory }
}

/** Clients of a server, and what is asked of it over HTTP. */
function world(t: ExecutionContext, mqttPort: number, httpPort: number) {
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { 'content-type': 'application/json' }
    const init = body ? { method, headers, body: JSON.stringify(body) } : { method }
    const response = await fetch(`http://127.0.0.1:${httpPort}/v1/${path}`, init)
    const text = await response.text()
    return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Row }
  }
  const get = async (path: string) => (await ask('GET', path)).body
  const list = async (path: string) => {
    const body = await get(path)
    return (body[path.split('?')[0]!.split('/').at(-1)!] as Row[]) ?? t.fail(JSON.stringify(body))
  }
  const connect = async (clientId: string, more: IClientOptions = {}) => {
    const client = await connectAsync({ port: mqttPort, clientId, clean: false, reconnectPeriod: 0, ...more })
    t.teardown(() => client.endAsync(true))
    return client
  }
  /** A durable session that is away. */
  const leave = async (clientId: string, filters: readonly string[], more: IClientOptions = {}) => {
    const client = await connect(clientId, more)
    for (const filter of filters) await client.subscribeAsync(filter, { qos: 1 })
    await client.endAsync()
  }
  /** The topic of the first message that a session gets when its client comes back. */
  const comeBack = (clientId: string) => {
    const client = connectLater({ port: mqttPort, clientId, clean: false, reconnectPeriod: 0 })
    t.teardown(() => client.endAsync(true))
    return new Promise<string>(resolve => client.once('message', topic => resolve(topic)))
  }
  return { ask, get, list, connect, leave, comeBack }
}

test('backlogs are exact for wildcards and overlapping filters, by session and by queue', async t => {
  const { get, list, connect, leave } = await startWorld(t)
  await leave('one', ['DB/CREATE', 'DB/#', '+/CREATE'])
  await leave('all', ['#'])
  await leave('mail', ['MAIL/#', 'DB/UPDATE'])
  const app = await connect('app')
  for (const topic of ['DB/CREATE', 'DB/CREATE', 'DB/UPDATE', 'MAIL/CREATE', 'MAIL/x', 'OTHER']) {
    await app.publishAsync(topic, 'x', { qos: 1 })
  }
  const sessions = await list('sessions?sort=backlog')
  t.deepEqual(
    sessions.map(({ id, backlog }) => [id, backlog]),
    [
      ['all', 6],
      ['one', 4],
      ['mail', 3],
      ['app', 0]
    ]
  )
  const queues = await list('queues')
  t.deepEqual(
    queues.map(({ queue, attached, backlog, accepted }) => [queue, attached, backlog, accepted]),
    [
      ['DB', 3, 7, 3],
      ['MAIL', 3, 5, 2],
      ['OTHER', 2, 1, 1]
    ]
  )
  t.like(await get('queues/DB'), { backlog: 7, eventCount: 2 })
  t.true((queues[0]?.ratePerSecond as number) > 0)
})

test('backlogs and ages are the same after a kill and a restart', async t => {
  const first = await startProcess(t)
  await first.leave('one', ['DB/#', '+/CREATE'])
  await first.leave('all', ['#', 'DB/#'])
  const app = await first.connect('app')
  for (let i = 0; i < 30; i++) await app.publishAsync(i % 3 ? 'DB/CREATE' : 'MAIL/x', String(i), { qos: 1 })
  const figures = async ({ list }: typeof first) => {
    const rows = [...(await list('sessions')), ...(await list('queues'))].filter(({ id }) => id !== 'app')
    return rows.map(({ id, queue, backlog, inflight, oldestAt }) => [
      id ?? queue,
      backlog,
      inflight,
      oldestAt
    ])
  }
  const before = await figures(first)
  t.deepEqual(
    before.map(([name, backlog]) => [name, backlog]),
    [
      ['all', 30],
      ['one', 20],
      ['DB', 40],
      ['MAIL', 10]
    ]
  )
  await first.program.kill('SIGKILL')
  const second = await startProcess(t, { dataDirectory: first.dataDirectory })
  const after = await figures(second)
  // topics are counted anew: the queues are those that filters name
  t.deepEqual(after.slice(0, 2), before.slice(0, 2))
  t.deepEqual(after[2], ['DB', 40, undefined, undefined])
})

test('what has expired is in no backlog and not the oldest', async t => {
  const { get, connect, leave } = await startWorld(t)
  await leave('logger', ['DB/#'])
  const app = await connect('app', { protocolVersion: 5 })
  const properties = { messageExpiryInterval: 1 }
  await app.publishAsync('DB/CREATE', 'soon gone', { qos: 1, properties })
  await app.publishAsync('DB/CREATE', 'stays', { qos: 1 })
  t.like(await get('sessions/logger'), { backlog: 2 })
  const [stays] = (await get('messages?limit=1')).messages as Row[]
  let session = await get('sessions/logger')
  while (session.backlog === 2) session = await get('sessions/logger')
  t.like(session, { backlog: 1, inflight: 0, oldestAt: stays?.acceptedAt })
  t.like(await get('queues/DB'), { backlog: 1 })
})

test('what is inflight is told apart from what is queued, in numbers and by looking', async t => {
  const { get, list, connect } = await startWorld(t)
  const logger = await connect('logger', {
    protocolVersion: 5,
    properties: { receiveMaximum: 2, sessionExpiryInterval: 600 }
  })
  logger.handleMessage = () => {} // acks nothing
  await logger.subscribeAsync('DB/#', { qos: 1 })
  const app = await connect('app')
  for (let i = 0; i < 5; i++) await app.publishAsync(`DB/e${i}`, `{"i":${i}}`, { qos: 1 })
  t.like(await get('sessions/logger'), { connected: true, state: 'inflight-full', backlog: 3, inflight: 2 })
  const looked = await list('sessions/logger/messages')
  t.deepEqual(
    looked.map(({ status, message }) => [status, (message as Row).topic]),
    [
      ['inflight', 'DB/e0'],
      ['inflight', 'DB/e1'],
      ['queued', 'DB/e2'],
      ['queued', 'DB/e3'],
      ['queued', 'DB/e4']
    ]
  )
  const page = await get('sessions/logger/messages?status=queued&limit=2')
  t.is((page.messages as Row[]).length, 2)
  t.is((await list(`sessions/logger/messages?status=queued&limit=2&cursor=${page.next}`)).length, 1)
  t.like(await get('sessions/logger'), { backlog: 3, inflight: 2 }, 'looking changes nothing')
})

test('kept messages are found by queue, topic filter, publisher and time, with their payload', async t => {
  const { get, list, connect, leave, ask } = await startWorld(t)
  await leave('keeper', ['#'])
  const app = await connect('app', { protocolVersion: 5 })
  const other = await connect('other')
  await app.publishAsync('DB/CREATE/users', '{"n":"ü"}', {
    ...{ qos: 1, properties: { contentType: 'application/json', userProperties: { trace: ['1', '2'] } } }
  })
  await other.publishAsync('MAIL/x', Buffer.from([0xff]), { qos: 2 })
  const topics = async (query: string) => (await list(`messages?${query}`)).map(({ topic }) => topic)
  t.deepEqual(await topics(''), ['MAIL/x', 'DB/CREATE/users'])
  t.deepEqual(await topics('queue=DB'), ['DB/CREATE/users'])
  t.deepEqual(await topics('queue=DB&event=CREATE'), [])
  t.deepEqual(await topics('topic=%2B/x'), ['MAIL/x'])
  t.deepEqual(await topics('publisher=app'), ['DB/CREATE/users'])
  t.deepEqual(await topics('to=2020-01-01T00:00:00Z'), [])
  const [mail, user] = await list('messages')
  t.deepEqual(await topics(`from=${user?.acceptedAt}`), ['MAIL/x', 'DB/CREATE/users'])
  t.like(mail, { payload: '/w==', encoding: 'base64', qos: 2, publisher: 'other', event: 'x' })
  t.deepEqual(await get(`messages/${user?.id}`), user)
  t.like(user, {
    payload: '{"n":"ü"}',
    properties: { contentType: 'application/json', userProperties: { trace: ['1', '2'] } }
  })
  for (const id of ['nowhere:1', 'x', `${String(user?.id).split(':')[0]}:99`, `${user?.id}x`]) {
    t.is((await ask('GET', `messages/${id}`)).status, 404, id)
  }
})

test('a session that is away is subscribed on behalf, and gets it when it comes back', async t => {
  const { ask, get, connect, leave, comeBack } = await startWorld(t)
  await leave('logger', [])
  const subscriptions = [{ filter: 'DB/#', qos: 1 }]
  t.like(await ask('POST', 'sessions/logger/subscriptions', { subscriptions }), {
    ...{ status: 200, body: { subscriptions, refused: [] } }
  })
  const app = await connect('app')
  await app.publishAsync('DB/CREATE', 'kept', { qos: 1 })
  t.like(await get('sessions/logger'), { backlog: 1, queues: ['DB'] })
  t.is(await comeBack('logger'), 'DB/CREATE')
  t.is((await ask('DELETE', 'sessions/logger/subscriptions?filter=DB/%23')).status, 204)
  t.like(await get('sessions/logger'), { subscriptions: [] })
})

test('a purge drops what is queued and inflight, and a session that is ended is gone', async t => {
  const { ask, get, connect, leave } = await startWorld(t)
  await leave('logger', ['DB/#'])
  const app = await connect('app')
  for (let i = 0; i < 4; i++) await app.publishAsync('DB/CREATE', 'x', { qos: 1 })
  t.like(await ask('DELETE', 'sessions/logger/messages'), { status: 200, body: { dropped: 4 } })
  t.like(await get('sessions/logger'), { backlog: 0, inflight: 0, oldestAt: null })
  t.like(await get('server'), { dropped: 4, drops: { purged: 4 } })
  await app.publishAsync('DB/CREATE', 'x', { qos: 1 })
  t.like(await ask('DELETE', 'sessions/logger'), { status: 200, body: { dropped: 1 } })
  t.is((await ask('GET', 'sessions/logger')).status, 404)
  t.is((await ask('DELETE', 'sessions/logger')).status, 404)
})

test('a client is disconnected with 0x98, and its session stays', async t => {
  const { ask, get, connect } = await startWorld(t)
  const properties = { sessionExpiryInterval: 600 }
  const logger = await connect('logger', { protocolVersion: 5, properties })
  t.like(await get('clients/logger'), { protocol: '5.0', persistent: true, transport: 'tcp' })
  const told = new Promise<number | undefined>(resolve => {
    logger.once('disconnect', ({ reasonCode }) => resolve(reasonCode))
  })
  t.is((await ask('DELETE', 'clients/logger')).status, 204)
  t.is(await told, 0x98)
  let session = await get('sessions/logger')
  while (session.connected) session = await get('sessions/logger')
  t.like(session, { connected: false, expirySeconds: 600 })
  const left = Date.parse(String(session.disconnectedAt))
  t.is(Date.parse(String(session.expiresAt)) - left, 600_000)
  t.is(session.lastActivityAt, session.disconnectedAt)
  t.is((await ask('DELETE', 'clients/logger')).status, 404)
})

test('traffic, rate and last activity of clients and queues are told', async t => {
  const { get, list, connect } = await startWorld(t)
  const app = await connect('app', { username: 'alice', password: 'x' })
  const before = await get('clients/app')
  await app.subscribeAsync('DB/#', { qos: 0 })
  const arrived = new Promise<void>(resolve => app.once('message', () => resolve()))
  await app.publishAsync('DB/CREATE', 'x', { qos: 1 })
  await arrived
  const after = await get('clients/app')
  t.like(after, { username: 'alice', receivedMessages: 1, sentMessages: 1, queues: ['DB'] })
  t.true((after.receivedBytes as number) > (before.receivedBytes as number))
  t.true(Date.parse(String(after.lastActivityAt)) >= Date.parse(String(before.lastActivityAt)))
  t.like((await list('clients?username=alice&queue=DB'))[0], { id: 'app' })
  const queue = await get('queues/DB')
  t.true((queue.ratePerSecond as number) > 0)
  t.true(Math.abs(Date.parse(String(queue.lastAcceptedAt)) - Date.now()) < 60_000)
  t.like((await list('queues/DB/events'))[0], { event: 'CREATE', accepted: 1, topic: 'DB/CREATE' })
  t.like(await get('server'), { receivedByQos: [0, 1, 0], sentByQos: [1, 0, 0], connectedClients: 1 })
})
