import { randomInt } from 'node:crypto'
import test from 'ava'
import { Registry } from 'prom-client'
import { addClusterMetrics } from '../plugins/metrics/cluster-metrics.ts'
import { type FakeBroker, startFakeCluster } from './helpers/fake-cluster.ts'

const SEED = Number(process.env.RESTANTE_TEST_SEED ?? randomInt(2 ** 31))

/** Reproducible numbers from 0 up to 1. */
function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** A durable session on a broker, away. */
async function leave(broker: FakeBroker, clientId: string, filters: readonly string[]): Promise<void> {
  const client = await broker.connect({ clientId, clean: false })
  if (filters.length > 0) await client.subscribe(filters)
  await client.disconnect()
}

async function publish(broker: FakeBroker, topics: readonly string[]): Promise<void> {
  const client = await broker.connect()
  for (const topic of topics) await client.publish({ topic, payload: 'x', qos: 1 })
  await client.disconnect()
}

async function pages(broker: FakeBroker, path: string, name: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = []
  let next: unknown = null
  do {
    const cursor = next === null ? '' : `&cursor=${next}`
    const body = await broker.get(`${path}${cursor}`)
    rows.push(...(body[name] as Record<string, unknown>[]))
    next = body.next
  } while (next !== null)
  return rows
}

test('clients, sessions and subscriptions of all brokers are listed on each, with the broker that has them', async t => {
  const brokers = await startFakeCluster(t, 3)
  for (const [i, broker] of brokers.entries()) {
    await leave(broker, `away-${2 - i}`, ['DB/#'])
    const client = await broker.connect({ clientId: `here-${i}` })
    await client.subscribe('MAIL/CREATE')
  }
  for (const broker of brokers) {
    const ids = async (path: string, id: string) =>
      (await broker.list(path)).map(row => [row[id], row.broker])
    t.deepEqual(await ids('clients', 'id'), [
      ['here-0', 'b0'],
      ['here-1', 'b1'],
      ['here-2', 'b2']
    ])
    const away = [
      ['away-0', 'b2'],
      ['away-1', 'b1'],
      ['away-2', 'b0']
    ]
    t.deepEqual(await ids('sessions?connected=false', 'id'), away)
    t.deepEqual(await ids('subscriptions?filter=DB/%23', 'client'), away)
    t.like(await broker.get('sessions/away-0'), { id: 'away-0', broker: 'b2', queues: ['DB'] })
    t.like(await broker.get('clients/here-2'), { id: 'here-2', broker: 'b2' })
    t.like(await broker.get('sessions/nobody'), { code: 'QUEUE_NOT_FOUND' })
    t.like(await broker.get('server'), { broker: broker.name, connectedClients: 1 })
  }
})

test('pages over all brokers have every entry once and in order, however it is sorted', async t => {
  t.log(`RESTANTE_TEST_SEED=${SEED}`)
  const next = random(SEED)
  const brokers = await startFakeCluster(t, 3)
  const backlogs = new Map<string, number>()
  for (let i = 0; i < 30; i++) {
    const id = `s${Math.floor(next() * 1e9).toString(36)}`
    await leave(brokers[Math.floor(next() * 3)]!, id, [`Q${i % 5}/#`])
    backlogs.set(id, i % 5)
  }
  for (let queue = 1; queue < 5; queue++) await publish(brokers[queue % 3]!, Array(queue).fill(`Q${queue}/x`))
  const byId = [...backlogs.keys()].sort()
  const byBacklog = [...byId].sort((a, b) => backlogs.get(b)! - backlogs.get(a)!)
  for (const limit of [1, 4, 7, 30, 100]) {
    const broker = brokers[Math.floor(next() * 3)]!
    const read = async (more: string) =>
      (await pages(broker, `sessions?limit=${limit}${more}`, 'sessions')).map(({ id }) => id)
    t.deepEqual(await read(''), byId, `limit ${limit}`)
    t.deepEqual(await read('&order=desc'), [...byId].reverse())
    t.deepEqual(await read('&sort=backlog'), byBacklog)
    const reached = byId.filter(id => backlogs.get(id)! >= 3)
    t.deepEqual(await read('&minBacklog=3'), reached)
    const subscriptions = await pages(broker, `subscriptions?limit=${limit}&queue=Q2`, 'subscriptions')
    t.deepEqual(
      subscriptions.map(({ client }) => client),
      byId.filter(id => backlogs.get(id) === 2)
    )
  }
  t.like(await brokers[0]!.get('sessions?cursor=bad'), { code: 'QUEUE_REQUEST_INVALID' })
})

test('queues and their events are added up over all brokers', async t => {
  const brokers = await startFakeCluster(t, 3)
  const [a, b, c] = brokers as [FakeBroker, FakeBroker, FakeBroker]
  await leave(a, 'one', ['DB/#'])
  await leave(b, 'two', ['DB/CREATE', 'MAIL/#'])
  await leave(c, 'all', ['#'])
  await publish(a, ['DB/CREATE', 'DB/CREATE', 'DB/UPDATE'])
  await publish(b, ['DB/CREATE', 'MAIL/SENT'])
  await publish(c, ['LOG/x'])
  const wanted = [
    { queue: 'DB', attached: 3, backlog: 11, accepted: 4, eventCount: 2 },
    { queue: 'LOG', attached: 1, backlog: 1, accepted: 1, eventCount: 1 },
    { queue: 'MAIL', attached: 2, backlog: 2, accepted: 1, eventCount: 1 }
  ] as const
  const brief = (rows: readonly Record<string, unknown>[]) =>
    rows.map(({ queue, attached, backlog, accepted, eventCount }) => ({
      ...{ queue, attached, backlog, accepted, eventCount }
    }))
  for (const broker of brokers) {
    t.deepEqual(brief(await broker.list('queues')), [...wanted])
    t.deepEqual(brief(await pages(broker, 'queues?limit=1', 'queues')), [...wanted])
    const byBacklog = await broker.list('queues?sort=backlog')
    t.deepEqual(brief(byBacklog), [wanted[0], wanted[2], wanted[1]])
    const events = (row: unknown) =>
      (row as { events: Record<string, unknown>[] }).events.map(({ event, accepted }) => [event, accepted])
    const ofDb = [
      ['CREATE', 3],
      ['UPDATE', 1]
    ]
    t.deepEqual(events(byBacklog[0]), ofDb)
    t.deepEqual(events(await broker.get('queues/DB')), ofDb)
    t.deepEqual(events(await broker.get('queues/DB/events?sort=accepted')), ofDb)
    t.like(await broker.get('queues/none'), { code: 'QUEUE_NOT_FOUND' })
    t.like(await broker.get('queues/none/events'), { code: 'QUEUE_NOT_FOUND' })
  }
})

test('a broker that does not answer is named, and the rest is shown', async t => {
  const brokers = await startFakeCluster(t, 3)
  const [a, b, c] = brokers as [FakeBroker, FakeBroker, FakeBroker]
  await leave(a, 'one', ['DB/#'])
  await leave(b, 'two', ['DB/#'])
  await leave(c, 'three', ['DB/#'])
  b.answers = 'never'
  t.like(await a.get('sessions'), { incomplete: ['b1'] })
  b.answers = 'none'
  for (const path of [
    'clients',
    'sessions',
    'subscriptions',
    'queues',
    'queues?sort=backlog',
    'queues/DB/events'
  ]) {
    const { incomplete } = await a.get(path)
    t.deepEqual(incomplete, ['b1'], path)
  }
  t.deepEqual(
    (await a.list('sessions')).map(({ id }) => id),
    ['one', 'three']
  )
  t.like(await a.get('queues/DB'), { attached: 2, incomplete: ['b1'] })
  // it may be there: not found would be a lie
  for (const path of ['sessions/two', 'clients/two', 'sessions/two/messages', 'queues/none']) {
    t.like(await a.get(path), { code: 'QUEUE_BROKER_AWAY', statusCode: 503 }, path)
  }
  t.like(await a.get('sessions/three'), { id: 'three' })
  // who has ended is not asked
  b.row = { state: 'dead' }
  b.calls.length = 0
  t.false('incomplete' in (await a.get('sessions')))
  t.deepEqual(b.calls, [])
  t.like(await a.get('sessions/two'), { code: 'QUEUE_NOT_FOUND' })
  t.true(a.core.peers!.counts.missed > 0)
  t.is(a.core.peers!.counts.failed, 0)
})

test('clients are disconnected, and sessions changed and ended, from any broker', async t => {
  const brokers = await startFakeCluster(t, 2)
  const [a, b] = brokers as [FakeBroker, FakeBroker]
  await leave(b, 'logger', ['DB/#'])
  await publish(a, ['DB/CREATE', 'DB/UPDATE'])
  const ask = async (method: 'DELETE' | 'POST', path: string, payload?: object) => {
    const { statusCode, body } = await a.http.inject({
      method,
      url: `/v1/${path}`,
      ...(payload && { payload })
    })
    return { statusCode, body: body === '' ? null : (JSON.parse(body) as unknown) }
  }
  const wanted = { subscriptions: [{ filter: 'MAIL/#', qos: 1 }] }
  t.deepEqual(await ask('POST', 'sessions/logger/subscriptions', wanted), {
    statusCode: 200,
    body: { ...wanted, refused: [] }
  })
  t.is((await a.list('subscriptions?client=logger')).length, 2)
  t.like(await ask('POST', 'sessions/logger/subscriptions', { subscriptions: [{ filter: '$share/g/x' }] }), {
    statusCode: 400
  })
  t.is((await ask('DELETE', 'sessions/logger/subscriptions?filter=MAIL/%23')).statusCode, 204)
  t.is((await ask('DELETE', 'sessions/logger/subscriptions?filter=MAIL/%23')).statusCode, 404)

  const { messages } = (await a.get('sessions/logger/messages?limit=1')) as { messages: object[] }
  t.like(messages[0], { status: 'queued', message: { topic: 'DB/CREATE', payload: 'x' } })
  t.deepEqual((await ask('DELETE', 'sessions/logger/messages')).body, { dropped: 2 })

  const client = await b.connect({ clientId: 'logger', clean: false, protocolVersion: 5, expirySeconds: 100 })
  t.is((await ask('DELETE', 'clients/logger')).statusCode, 204)
  t.is((await client.next('disconnect')).reasonCode, 0x98)
  t.is((await ask('DELETE', 'clients/logger')).statusCode, 404)
  t.deepEqual((await ask('DELETE', 'sessions/logger')).body, { dropped: 0 })
  t.is((await ask('DELETE', 'sessions/logger')).statusCode, 404)
  t.deepEqual(await b.list('sessions?prefix=logger'), [])
  b.answers = 'none'
  t.like(await ask('DELETE', 'sessions/logger'), { statusCode: 503, body: { code: 'QUEUE_BROKER_AWAY' } })
})

test('brokers are listed with state, heartbeat and lag, and by each of them', async t => {
  const brokers = await startFakeCluster(t, 3)
  const [a, b, c] = brokers as [FakeBroker, FakeBroker, FakeBroker]
  b.row = { headSequence: 2 ** 40 + 25, followedSequence: 2 ** 40 + 5, heartbeatAgeMs: 800.4 }
  c.row = { state: 'dead' }
  const rows = await a.list('brokers')
  t.deepEqual(
    rows.map(({ broker, state, self, lag }) => [broker, state, self, lag]),
    [
      ['b0', 'live', true, 0],
      ['b1', 'live', false, 20],
      ['b2', 'dead', false, 0]
    ]
  )
  t.like(rows[1], { lane: 1, heartbeatAgeMs: 800, host: 'here', version: '1.2.3' })
  t.is((await a.list('brokers?sort=lag'))[0]!.broker, 'b1')
  t.deepEqual(
    (await a.list('brokers?state=dead')).map(({ broker }) => broker),
    ['b2']
  )
  t.is((await pages(b, 'brokers?limit=2', 'brokers')).length, 3)
})

test('an answer to another broker is cut before it gets too large, and the list is whole all the same', async t => {
  const [a, b] = (await startFakeCluster(t, 2)) as [FakeBroker, FakeBroker]
  const long = 'x'.repeat(60_000)
  const client = await b.connect({ clientId: 'many', clean: false })
  for (let i = 0; i < 80; i++) await client.subscribe(`Q${i}/${long}`)
  await leave(a, 'z', ['DB/#']) // behind what is cut off
  const first = await a.get('subscriptions?limit=1000')
  const { length } = first.subscriptions as object[]
  t.true(length > 0 && length < 80)
  const all = await pages(a, 'subscriptions?limit=1000', 'subscriptions')
  t.deepEqual(
    all.map(({ client }) => client),
    [...Array(80).fill('many'), 'z']
  )
})

test('brokers are counted by state, with their lag and the calls to them', async t => {
  const [a, b, c] = (await startFakeCluster(t, 3)) as [FakeBroker, FakeBroker, FakeBroker]
  b.row = { headSequence: 2 ** 40 + 25, followedSequence: 2 ** 40 + 5 }
  await a.get('sessions/nobody')
  c.row = { state: 'dead', headSequence: 2 ** 41 + 9, followedSequence: 2 ** 41 }
  b.answers = 'none'
  await a.get('sessions')
  const registry = new Registry()
  addClusterMetrics(registry, () => a.core.peers)
  const text = await registry.metrics()
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  t.deepEqual(lines, [
    'restante_brokers{state="live"} 2',
    'restante_brokers{state="silent"} 0',
    'restante_brokers{state="stopped"} 0',
    'restante_brokers{state="dead"} 1',
    'restante_broker_lag_messages 20',
    'restante_broker_calls_total{outcome="answered"} 2',
    'restante_broker_calls_total{outcome="failed"} 0',
    'restante_broker_calls_total{outcome="missed"} 1'
  ])
})
