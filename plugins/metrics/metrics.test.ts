import test, { type ExecutionContext } from 'ava'
import { QueueError } from '../../src/plugin.ts'
import { type Figures, scrape } from '../../test/helpers/http-metrics.ts'
import { type HttpScene, startScene, untilAnswered } from '../../test/helpers/http-scene.ts'

/** Scrapes until these series have these values. */
async function shows(
  t: ExecutionContext,
  scene: HttpScene,
  wanted: Readonly<Record<string, number>>
): Promise<void> {
  const ask = async () => {
    const figures = await scrape(scene)
    return JSON.stringify(Object.fromEntries(Object.keys(wanted).map(series => [series, figures.of(series)])))
  }
  const all = JSON.stringify(wanted)
  t.is(await untilAnswered(ask, shown => shown === all), all)
}

test('connections, sessions and subscriptions are shown', async t => {
  const scene = await startScene(t)
  const logger = await scene.connect({ clientId: 'logger', clean: false })
  await logger.subscribe(['DB/CREATE', 'DB/UPDATE'])
  const passing = await scene.connect({ clientId: 'passing' })
  await passing.subscribe('#')
  await shows(t, scene, {
    restante_connected_clients: 2,
    'restante_sessions{state="connected"}': 2,
    'restante_sessions{state="away"}': 0,
    restante_persistent_sessions: 1,
    restante_subscriptions: 3,
    restante_connections_total: 2
  })
  await logger.disconnect()
  passing.destroy()
  await shows(t, scene, {
    restante_connected_clients: 0,
    'restante_sessions{state="connected"}': 0,
    'restante_sessions{state="away"}': 1,
    restante_persistent_sessions: 1,
    restante_subscriptions: 2,
    restante_connections_total: 2,
    'restante_disconnections_total{reason="client"}': 1,
    'restante_disconnections_total{reason="lost"}': 1,
    'restante_sessions_ended_total{reason="disconnected"}': 1
  })
})

test('messages in and out by QoS, backlog, inflight and retained are shown', async t => {
  const scene = await startScene(t, { settings: { maxInflight: 2 } })
  const away = await scene.connect({ clientId: 'away', clean: false })
  await away.subscribe('DB/#', 2)
  await away.disconnect()
  const here = await scene.connect({ clientId: 'here', clean: false, isAcking: false })
  await here.subscribe('DB/#', 1)
  const publisher = await scene.connect()
  await publisher.publish({ topic: 'DB/CREATE', payload: 'a', qos: 1 })
  await publisher.publish({ topic: 'DB/CREATE', payload: 'b', qos: 1, retain: true })
  await publisher.publish({ topic: 'DB/CREATE', payload: 'c', qos: 2 })
  await publisher.publish({ topic: 'DB/CREATE', payload: 'd', qos: 0 })
  await scene.post('/v1/queues/DB/events/CREATE', 'e')
  await here.messages(3)
  await shows(t, scene, {
    'restante_messages_received_total{qos="0"}': 1,
    'restante_messages_received_total{qos="1"}': 2,
    'restante_messages_received_total{qos="2"}': 1,
    'restante_messages_sent_total{qos="0"}': 1,
    'restante_messages_sent_total{qos="1"}': 2,
    'restante_messages_sent_total{qos="2"}': 0,
    restante_messages_accepted_total: 5,
    restante_messages_refused_total: 0,
    restante_backlog_messages: 4 + 2,
    restante_inflight_messages: 2,
    restante_retained_messages: 1
  })
})

test('bytes on disk and on the network, and the time of the backlog, are shown', async t => {
  const scene = await startScene(t)
  Object.assign(scene.store.lane, { sizeBytes: () => 12_345 })
  const client = await scene.connect() // CONNECT of 14 bytes, CONNACK of 4
  await client.ping() // 2 bytes each way
  await shows(t, scene, {
    restante_store_bytes: 12_345,
    restante_received_bytes_total: 14 + 2,
    restante_sent_bytes_total: 4 + 2
  })
  const figures = await scrape(scene)
  t.true(Math.abs(figures.of('restante_backlog_counted_timestamp_seconds')! - Date.now() / 1_000) < 60)
})

test('commits are shown by duration and by size', async t => {
  const scene = await startScene(t)
  const messages = Array.from({ length: 30 }, () => ({ topic: 'DB/CREATE', payload: 'x' }))
  await scene.post('/v1/queues/DB/events/CREATE', 'alone')
  await scene.post('/v1/publish/batch', JSON.stringify(messages), { 'content-type': 'application/json' })
  const figures = await scrape(scene)
  const { commits, recordBytes } = scene.store.calls
  t.is(figures.of('restante_commit_messages_sum'), 31)
  t.is(figures.of('restante_commit_messages_count'), commits)
  t.is(figures.of('restante_commit_duration_seconds_count'), commits)
  t.is(figures.of('restante_commit_duration_seconds_bucket{le="+Inf"}'), commits)
  t.true(figures.of('restante_commit_duration_seconds_sum')! > 0)
  t.true(figures.of('restante_commit_messages_bucket{le="1"}')! >= 1)
  t.is(figures.of('restante_committed_bytes_total'), recordBytes)
})

test('refused and dropped messages are shown by reason', async t => {
  const scene = await startScene(t)
  const small = await scene.connect({
    clientId: 'small',
    protocolVersion: 5,
    properties: { maximumPacketSize: 100 }
  })
  await small.subscribe('DB/#', 1)
  await scene.post('/v1/queues/DB/events/CREATE', 'x'.repeat(200))
  scene.store.faults.commit = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  await scene.post('/v1/queues/DB/events/CREATE')
  await shows(t, scene, {
    restante_messages_refused_total: 1,
    restante_store_accepting: 1,
    'restante_deliveries_dropped_total{reason="not-taken"}': 1,
    'restante_deliveries_dropped_total{reason="expired"}': 0,
    'restante_deliveries_dropped_total{reason="socket-full"}': 0
  })
  scene.store.faults.commit = new QueueError('QUEUE_STORE_FAILED', { detail: { problem: 'EIO' } })
  await scene.post('/v1/queues/DB/events/CREATE')
  await shows(t, scene, { restante_store_accepting: 0 })
})

test('version, process and event loop are shown', async t => {
  const scene = await startScene(t)
  const figures = await scrape(scene)
  t.regex(figures.text, /^restante_build_info\{version="\d+\.\d+\.\d+[^"]*"\} 1$/m)
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_eventloop_lag_p99_seconds'
  ]) {
    t.true(figures.of(name)! >= 0, name)
  }
})

test('two servers in one process have figures of their own', async t => {
  const [first, second] = [await startScene(t), await startScene(t)]
  await first.post('/v1/queues/DB/events/CREATE')
  t.is((await scrape(first)).of('restante_messages_accepted_total'), 1)
  t.is((await scrape(second)).of('restante_messages_accepted_total'), 0)
  t.true((await scrape(second)).of('process_resident_memory_bytes')! > 0)
})

test('a scrape asks nothing of the store and has as many series with 1 and with 1,000 sessions', async t => {
  const scene = await startScene(t)
  const addSession = async (clientId: string) => {
    const client = await scene.connect({ clientId, clean: false })
    await client.subscribe(['DB/CREATE', `${clientId}/#`])
    await client.disconnect()
  }
  const asked = async () => {
    const before = { ...scene.store.calls }
    const figures = await scrape(scene)
    t.deepEqual(scene.store.calls, before)
    return figures
  }
  await addSession('s0')
  await scene.post('/v1/queues/DB/events/CREATE')
  const one = await asked()
  t.is(one.of('restante_backlog_messages'), 1)
  // a few at a time, as fast as they are answered
  const rest = Array.from({ length: 999 }, (_, i) => `s${i + 1}`).values()
  const addRest = async () => {
    for (const clientId of rest) await addSession(clientId)
  }
  await Promise.all(Array.from({ length: 20 }, addRest))
  await scene.post('/v1/queues/DB/events/CREATE')
  const many = await asked()
  t.is(many.of('restante_backlog_messages'), 1_001)
  const own = (figures: Figures) => figures.series.filter(series => series.startsWith('restante_'))
  t.deepEqual(own(many), own(one))
})
