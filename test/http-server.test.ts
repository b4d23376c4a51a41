import test, { type ExecutionContext } from 'ava'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { createWebSocketStream } from 'ws'
import { builtinPlugins } from '../src/builtin.ts'
import { systemClock } from '../src/clock.ts'
import { defaultSettings, type Settings } from '../src/config/settings.ts'
import { createServer } from '../src/server.ts'
import { openWebSocket } from './helpers/http-server.ts'
import { RawClient, type RawConnect } from './helpers/raw-client.ts'
import { DEADLINE_MS } from './helpers/signal.ts'

type Row = Record<string, unknown>

/** A whole server in memory, whose clock the test can put forward. */
async function startServer(t: ExecutionContext, changes: Partial<Settings> = {}) {
  const settings = defaultSettings({ mqttPort: 0, httpPort: 0, store: 'memory', ...changes })
  const clock = { ...systemClock, now: () => Date.now() + aheadMs }
  let aheadMs = 0
  const server = await createServer({ settings, plugins: builtinPlugins(settings), clock })
  t.teardown(() => server.stop())
  const base = `http://127.0.0.1:${server.httpAddress.port}`
  const get = async (path: string): Promise<Row> => {
    const response = await fetch(base + path)
    return { status: response.status, ...((await response.json()) as Row) }
  }
  return {
    get,
    mqttPort: server.mqttAddress.port,
    httpPort: server.httpAddress.port,
    putForward: (byMs: number) => {
      aheadMs += byMs
    },
    /** Asks again until the answer has these values. */
    async untilShown(path: string, wanted: Row): Promise<Row> {
      const deadline = Date.now() + DEADLINE_MS
      for (;;) {
        const row = await get(path)
        if (Object.keys(wanted).every(key => row[key] === wanted[key])) return row
        if (Date.now() > deadline)
          throw new Error(`${path}: ${JSON.stringify(row)}, not ${JSON.stringify(wanted)}`)
      }
    }
  }
}

async function connectMqtt(t: ExecutionContext, url: string, options: IClientOptions): Promise<MqttClient> {
  const client = await connectAsync(url, { reconnectPeriod: 0, ...options })
  t.teardown(() => client.endAsync(true))
  return client
}

for (const [name, options] of [
  ['MQTT 3.1', { protocolVersion: 3, protocolId: 'MQIsdp' }],
  ['MQTT 3.1.1', { protocolVersion: 4 }],
  ['MQTT 5', { protocolVersion: 5 }]
] as const) {
  test(`an ${name} client publishes and subscribes over WebSocket`, async t => {
    const server = await startServer(t)
    const url = `ws://127.0.0.1:${server.httpPort}/mqtt`
    const subscriber = await connectMqtt(t, url, { clientId: 'browser', ...options })
    const publisher = await connectMqtt(t, url, { clientId: 'shop', ...options })
    const payloads = ['{"id":1}', 'x'.repeat(200_000), '', '{"id":2}']
    const got: string[] = []
    const all = new Promise<void>(resolve => {
      subscriber.on('message', (topic, payload) => {
        got.push(`${topic} ${payload}`)
        if (got.length === payloads.length) resolve()
      })
    })
    await subscriber.subscribeAsync('DB/#', { qos: 1 })
    for (const payload of payloads) await publisher.publishAsync('DB/CREATE', payload, { qos: 1 })
    await all
    t.deepEqual(
      got,
      payloads.map(payload => `DB/CREATE ${payload}`)
    )
    t.like(await server.get('/v1/clients/browser'), {
      transport: 'websocket',
      persistent: false,
      queues: ['DB']
    })
  })
}

test('backlog, inflight and oldest age of a session rise and fall', async t => {
  const server = await startServer(t, { maxInflight: 2 })
  const path = '/v1/sessions/logger'
  t.like(await server.get(path), { status: 404, code: 'QUEUE_NOT_FOUND' })
  const first = await RawClient.connect(server.mqttPort, { clientId: 'logger', clean: false })
  await first.subscribe('DB/CREATE')
  t.like(await server.get(path), {
    connected: true,
    persistent: true,
    backlog: 0,
    inflight: 0,
    oldestAt: null
  })
  await first.disconnect()
  await server.untilShown(path, { connected: false, state: 'offline' })

  const publisher = await RawClient.connect(server.mqttPort)
  for (let i = 0; i < 5; i++) await publisher.publish({ topic: 'DB/CREATE', payload: `${i}`, qos: 1 })
  server.putForward(60_000)
  const away = await server.get(path)
  t.like(away, { backlog: 5, inflight: 0, queues: ['DB'] })
  t.true((away.oldestAgeMs as number) >= 60_000)
  t.true(typeof away.disconnectedAt === 'string' && away.connectedAt === null)

  const again = await reconnect(t, server.httpPort, { clientId: 'logger', clean: false, isAcking: false })
  const held = await again.messages(2)
  t.like(await server.untilShown(path, { inflight: 2 }), {
    connected: true,
    backlog: 3,
    state: 'inflight-full'
  })
  again.ack(held[0]!)
  t.is((await server.untilShown(path, { backlog: 2 })).inflight, 2)
  server.putForward(60_000)
  t.true(((await server.get(path)).oldestAgeMs as number) >= 120_000)
  await publisher.publish({ topic: 'DB/CREATE', payload: 'young', qos: 1 })
  again.ack(held[1]!)
  for (let i = 2; i < 5; i++) again.ack(await again.next('publish'))
  const young = await server.untilShown(path, { backlog: 0, inflight: 1 })
  t.true((young.oldestAgeMs as number) < 60_000, JSON.stringify(young))
  again.ack(await again.next('publish'))
  t.like(await server.untilShown(path, { inflight: 0 }), {
    backlog: 0,
    oldestAt: null,
    oldestAgeMs: null,
    state: 'caught-up'
  })
})

test('clients with any id are shown under their percent-encoded id', async t => {
  const server = await startServer(t)
  const ids = ['constructor', '__proto__', 'a/b', 'ü %2F', '?#;', '☃'.repeat(21_845)]
  for (const clientId of ids) {
    const client = await RawClient.connect(server.mqttPort, { clientId, clean: false })
    t.teardown(() => client.destroy())
    await client.subscribe('DB/CREATE')
    for (const list of ['clients', 'sessions']) {
      const row = await server.get(`/v1/${list}/${encodeURIComponent(clientId)}`)
      t.like(row, { status: 200, id: clientId, queues: ['DB'] }, clientId.slice(0, 20))
    }
  }
  const { sessions } = (await server.get('/v1/sessions')) as { sessions?: Row[] }
  t.deepEqual(
    sessions?.map(({ id }) => id),
    [...ids].sort()
  )
  for (const clientId of ids)
    t.is((await server.get(`/v1/clients/${encodeURIComponent(`${clientId}x`)}`)).status, 404)
})

test('queues and subscriptions of a running server are shown', async t => {
  const server = await startServer(t)
  const logger = await RawClient.connect(server.mqttPort, { clientId: 'logger', clean: false })
  await logger.subscribe('DB/CREATE')
  await logger.disconnect()
  const watcher = await RawClient.connect(server.mqttPort, { clientId: 'watcher' })
  await watcher.subscribe('MAIL/#', 0)
  const publisher = await RawClient.connect(server.mqttPort)
  for (const topic of ['DB/CREATE', 'DB/CREATE', 'DB/UPDATE']) await publisher.publish({ topic, qos: 1 })
  t.like(await server.get('/v1/queues/DB'), {
    events: [
      { event: 'CREATE', accepted: 2 },
      { event: 'UPDATE', accepted: 1 }
    ],
    attached: 1,
    connected: 0,
    backlog: 2,
    accepted: 3
  })
  const { subscriptions } = (await server.get('/v1/subscriptions')) as { subscriptions?: Row[] }
  t.like(subscriptions, [
    { client: 'logger', filter: 'DB/CREATE', queue: 'DB', event: 'CREATE', qos: 1, connected: false },
    { client: 'watcher', filter: 'MAIL/#', queue: 'MAIL', event: '#', qos: 0, connected: true }
  ])
  t.like(await server.get('/v1/server'), { accepted: 3, accepting: true })
  t.like(await server.get('/health/ready'), { status: 'ready' })
})

/** A raw client over WebSocket. */
async function reconnect(t: ExecutionContext, port: number, options: RawConnect): Promise<RawClient> {
  return RawClient.connect(createWebSocketStream(await openWebSocket(t, port)), options)
}
