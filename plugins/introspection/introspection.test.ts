import test from 'ava'
import { FAKE_NOW, FakeDirectory, mountPlugin } from '../../test/helpers/http-directory.ts'
import { introspection } from './index.ts'

const NOW_TEXT = '2026-01-02T03:04:05.678Z'

async function start() {
  const directory = new FakeDirectory()
  const app = await mountPlugin(introspection, directory)
  return { directory, get: async (url: string) => (await app.inject(url)).json(), app }
}

test('a client is shown with the queues of its session', async t => {
  const { directory, get } = await start()
  directory.addClient('logger', {
    ...{ receivedBytes: 10, sentBytes: 20, droppedMessages: 3, receivedMessages: 4, sentMessages: 5 },
    ...{ username: 'alice', lastActivityAt: FAKE_NOW - 678 }
  })
  directory.addSession('logger', { filters: ['DB/CREATE', 'DB/UPDATE', 'AUTH/#', '+/x', '#'] })
  directory.addClient('bare', {
    address: null,
    transport: 'websocket',
    protocolVersion: 5,
    isPersistent: false
  })
  const logger = {
    id: 'logger',
    broker: null,
    username: 'alice',
    address: '192.0.2.1:50000',
    transport: 'tcp',
    protocol: '3.1.1',
    connectedAt: NOW_TEXT,
    lastActivityAt: '2026-01-02T03:04:05.000Z',
    keepAliveSeconds: 60,
    persistent: true,
    queues: ['#', '+', 'AUTH', 'DB'],
    receivedBytes: 10,
    sentBytes: 20,
    receivedMessages: 4,
    sentMessages: 5,
    dropped: 3
  }
  const { clients, next } = await get('/v1/clients')
  t.is(next, null)
  t.deepEqual(clients[1], logger)
  t.like(clients[0], {
    id: 'bare',
    address: null,
    transport: 'websocket',
    protocol: '5.0',
    persistent: false
  })
  t.deepEqual(clients[0].queues, [])
  t.deepEqual(await get('/v1/clients/logger'), logger)
})

test('a session is shown with subscriptions, backlog, inflight and the age of its oldest message', async t => {
  const { directory, get } = await start()
  directory.addSession('logger', {
    filters: ['DB/CREATE', 'DB'],
    backlog: 4,
    inflight: 2,
    oldestAt: FAKE_NOW - 1_500,
    state: 'inflight-full',
    isConnected: true,
    connectedAt: FAKE_NOW,
    lastActivityAt: FAKE_NOW,
    expirySeconds: 60,
    expiresAt: FAKE_NOW
  })
  const logger = {
    id: 'logger',
    broker: null,
    connected: true,
    persistent: true,
    state: 'inflight-full',
    queues: ['DB'],
    subscriptions: [
      { filter: 'DB', qos: 1, queue: 'DB', event: '', createdAt: NOW_TEXT },
      { filter: 'DB/CREATE', qos: 1, queue: 'DB', event: 'CREATE', createdAt: NOW_TEXT }
    ],
    backlog: 4,
    inflight: 2,
    oldestAt: '2026-01-02T03:04:04.178Z',
    oldestAgeMs: 1_500,
    createdAt: NOW_TEXT,
    connectedAt: NOW_TEXT,
    disconnectedAt: null,
    lastActivityAt: NOW_TEXT,
    expirySeconds: 60,
    expiresAt: NOW_TEXT
  }
  t.deepEqual(await get('/v1/sessions/logger'), logger)
  t.deepEqual(await get('/v1/sessions'), { sessions: [logger], next: null })
})

test('an oldest message that was acked while it was looked for is not shown', async t => {
  const { directory, get } = await start()
  directory.addSession('a', { oldestAt: FAKE_NOW - 10 })
  t.like(await get('/v1/sessions/a'), { backlog: 0, oldestAt: null, oldestAgeMs: null })
})

test('a session is shown although its oldest message cannot be read', async t => {
  const { directory, get } = await start()
  directory.addSession('a', { backlog: 3, oldestAt: async () => Promise.reject(new Error('EIO')) })
  t.like(await get('/v1/sessions/a'), { backlog: 3, oldestAt: null, oldestAgeMs: null })
})

test('a queue is shown with its events, rates, and the sessions that are attached', async t => {
  const { directory, get } = await start()
  directory.topicMap.set('DB/CREATE', 5).set('DB/UPDATE', 2).set('DB', 1).set('/odd', 3).set('$x/y', 1)
  directory.topicParts.set('DB/CREATE', { recentMessages: 3 }).set('DB', { lastAcceptedAt: FAKE_NOW - 678 })
  directory.topicParts.set('DB/UPDATE', { recentMessages: 1, lastAcceptedAt: FAKE_NOW - 1_678 })
  directory.addSession('one', { filters: ['DB/CREATE', 'DB/+'], backlog: 5, isConnected: true })
  directory.addSession('two', { filters: ['DB/#'], backlog: 7 })
  directory.addSession('mail', { filters: ['MAIL/#'], backlog: 1 })
  const db = {
    queue: 'DB',
    attached: 2,
    connected: 1,
    backlog: 12,
    accepted: 8,
    ratePerSecond: 0.067,
    lastAcceptedAt: NOW_TEXT,
    eventCount: 3,
    events: [
      { event: '', accepted: 1, ratePerSecond: 0, lastAcceptedAt: '2026-01-02T03:04:05.000Z' },
      { event: 'CREATE', accepted: 5, ratePerSecond: 0.05, lastAcceptedAt: NOW_TEXT },
      { event: 'UPDATE', accepted: 2, ratePerSecond: 0.017, lastAcceptedAt: '2026-01-02T03:04:04.000Z' }
    ]
  }
  const { queues } = await get('/v1/queues')
  t.deepEqual(
    queues.map(({ queue }: { queue: string }) => queue),
    ['', '$x', 'DB', 'MAIL']
  )
  t.deepEqual(queues[2], db)
  t.deepEqual(await get('/v1/queues/DB'), db)
  t.like(await get('/v1/queues/'), { queue: '', accepted: 3, attached: 0, backlog: 0 })
  const unused = { events: [], attached: 1, connected: 0, backlog: 1, accepted: 0, lastAcceptedAt: null }
  t.like(await get('/v1/queues/MAIL'), unused)
})

test('rates are messages of the last minute by sixty', async t => {
  const { directory, get } = await start()
  directory.serverParts = { startedAt: FAKE_NOW - 3_600_000, recentMessages: 90 }
  directory.topicMap.set('DB/CREATE', 500)
  directory.topicParts.set('DB/CREATE', { recentMessages: 30 })
  t.like(await get('/v1/queues/DB'), { ratePerSecond: 0.5 })
  t.like(await get('/v1/server'), { ratePerSecond: 1.5 })
})

test('the backlog of a queue is that of its own messages, whatever else a session is attached to', async t => {
  const { directory, get } = await start()
  directory.addSession('both', { filters: ['DB/#', 'MAIL/#'], backlogs: { DB: 2, MAIL: 3 } })
  directory.addSession('db', { filters: ['DB/#'], backlog: 5 })
  directory.addSession('all', { filters: ['#', 'LOG/x'], backlogs: { DB: 10, LOG: 4, OTHER: 100 } })
  directory.addSession('system', { filters: ['#', '$x/y'], backlogs: { $x: 3, DB: 1 } })
  directory.addSession('idle', { filters: ['+/x'], backlog: 0, isConnected: true })
  const figures = async (queue: string) => {
    const { attached, connected, backlog } = await get(`/v1/queues/${queue}`)
    return [attached, connected, backlog]
  }
  t.deepEqual(await figures('DB'), [5, 1, 18])
  t.deepEqual(await figures('MAIL'), [4, 1, 3])
  t.deepEqual(await figures('LOG'), [3, 1, 4])
  t.deepEqual(await figures('$x'), [1, 0, 3])
  const { queues } = await get('/v1/queues')
  t.deepEqual(
    queues.map(({ backlog }: { backlog: number }) => backlog),
    [3, 18, 4, 3] // $x, DB, LOG, MAIL
  )
})

test('of very many events those with the most messages are shown', async t => {
  const { directory, get } = await start()
  for (let i = 0; i < 2_000; i++) directory.topicMap.set(`Q/${i}`, i)
  const [listed] = (await get('/v1/queues')).queues
  t.is(listed.events.length, 100)
  t.is(listed.eventCount, 2_000)
  t.is(listed.accepted, 1_999_000)
  t.true(listed.events.every(({ accepted }: { accepted: number }) => accepted >= 1_900))
  t.is((await get('/v1/queues/Q')).events.length, 1_000)
})

test('subscriptions are shown by client, then by filter', async t => {
  const { directory, get } = await start()
  directory.addSession('b', { filters: ['z', '#'], isConnected: true })
  directory.addSession('a!', { filters: ['DB/CREATE/users'] })
  directory.addSession('a', { filters: ['x'] })
  const { subscriptions, next } = await get('/v1/subscriptions')
  t.is(next, null)
  t.deepEqual(
    subscriptions.map(({ client, filter }: { client: string; filter: string }) => `${client} ${filter}`),
    ['a x', 'a! DB/CREATE/users', 'b #', 'b z']
  )
  t.deepEqual(subscriptions[1], {
    client: 'a!',
    broker: null,
    filter: 'DB/CREATE/users',
    queue: 'DB',
    event: 'CREATE/users',
    qos: 1,
    connected: false,
    createdAt: NOW_TEXT
  })
  t.like(subscriptions[2], { queue: '#', event: '', connected: true })
})

test('the server is shown', async t => {
  const { get } = await start()
  t.deepEqual(await get('/v1/server'), {
    broker: null,
    lane: 'lane-1',
    startedAt: '2026-01-02T03:04:00.678Z',
    uptimeMs: 5_000,
    accepting: true,
    connectedClients: 0,
    connections: 12,
    sessions: 0,
    persistentSessions: 0,
    subscriptions: 0,
    inflight: 3,
    retained: 9,
    headSequence: 9,
    storedBytes: 1_234,
    accepted: 8,
    ratePerSecond: 0.083,
    delivered: 7,
    refused: 6,
    dropped: 5,
    expired: 7,
    drops: { 'socket-full': 1, 'not-taken': 2, expired: 7, purged: 1, replaced: 1, lost: 0 },
    receivedByQos: [1, 2, 3],
    sentByQos: [4, 5, 6],
    receivedBytes: 100,
    sentBytes: 200
  })
})

test('an unknown id is QUEUE_NOT_FOUND, also when it is a name of Object', async t => {
  const { app } = await start()
  for (const resource of ['clients', 'sessions', 'queues']) {
    for (const id of ['nobody', 'constructor', '__proto__', 'toString']) {
      const response = await app.inject(`/v1/${resource}/${id}`)
      t.is(response.statusCode, 404, `${resource}/${id}`)
      t.is(response.json().code, 'QUEUE_NOT_FOUND')
      t.true(response.json().message.includes(JSON.stringify(id)), response.body)
    }
  }
})

test('ids with any character are found', async t => {
  const { directory, get } = await start()
  for (const id of ['constructor', '__proto__', 'a/b', 'ü %2F', '☃'.repeat(21_845)]) {
    directory.addClient(id)
    directory.addSession(id)
    directory.topicMap.set(`${id.replace('/', '')}/x`, 1)
    t.is((await get(`/v1/clients/${encodeURIComponent(id)}`)).id, id)
    t.is((await get(`/v1/sessions/${encodeURIComponent(id)}`)).id, id)
    t.is((await get(`/v1/queues/${encodeURIComponent(id.replace('/', ''))}`)).queue, id.replace('/', ''))
  }
})
