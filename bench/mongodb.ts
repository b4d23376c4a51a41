import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { drain, latencies, leaveSessions, live, publishAll } from './mongodb-scenarios.ts'
import {
  aedesMongodb,
  type BenchDatabase,
  Mongodb,
  type MongodbPeer,
  restanteOn,
  withPeers
} from './mongodb-server.ts'
import { freePort } from './servers.ts'

/**
 * This server on MongoDB against Aedes with aedes-persistence-mongodb on the same server, each run on a fresh process and
 * database, in turn and in changing order; then two brokers against one. Prints medians with their range, and the median of
 * the ratios within one round: those are what can be compared.
 *
 * BENCH_ROUNDS (5), BENCH_SCALE (1: times all numbers of messages), BENCH_ONLY (part of the title of what is run),
 * MONGODB_URL
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const SCALE = Number(process.env.BENCH_SCALE ?? 1)
const ONLY = process.env.BENCH_ONLY ?? ''
/** From one look into the database to the next. */
const LOOK_MS = 100
/**
 * Messages by sessions that are away; Aedes writes one document for each of both, so it gets fewer. It acks before it
 * stores: what it can keep up is what it has stored a second.
 */
const PUBLISHED = [
  { sessions: 1, own: 20_000, aedes: 1_600 },
  { sessions: 10, own: 20_000, aedes: 800 },
  { sessions: 100, own: 20_000, aedes: 160 },
  { sessions: 1_000, own: 20_000, aedes: 40 }
]
const LOAD = { publishers: 8, window: 100 }
const CATCH_UP = { own: 10_000, aedes: 1_000 }
const SUBSCRIBERS = 10
const LIVE = { own: 2_000, aedes: 200 }
const LATENCIES = 300

const restante = restanteOn('restante')
const peers = [restante, aedesMongodb]
const mongodb = await Mongodb.start()

/** Named figures of one run. */
type Figures = Readonly<Record<string, number>>

console.log(
  `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model}, ${mongodb.name}, ${ROUNDS} rounds\n`
)
try {
  for (const { sessions, own, aedes } of PUBLISHED) {
    await compare(`publish to ack, 8 x 100 unacked, ${sessions} sessions away`, (peer, database) =>
      publishAway(peer, database, sessions, shareOf(peer, { own, aedes }))
    )
  }
  await compare(`catch-up of ${scaled(CATCH_UP.own)} (Aedes: ${scaled(CATCH_UP.aedes)})`, catchUp)
  await compare('live, 1 publisher to 10 subscribers', liveOn)
  await compareBrokers()
} finally {
  await mongodb.stop()
}

function publishAway(peer: MongodbPeer, database: BenchDatabase, sessions: number, total: number) {
  return withPeers(peer, database, 1, async ports => {
    await leaveSessions(ports[0]!, sessions)
    const before = await database.held()
    const { rate, ackMs } = await publishAll(ports, { ...LOAD, total })
    const ackedMs = performance.now()
    await untilStored(peer, database, total, sessions)
    const storedSeconds = total / rate + (performance.now() - ackedMs) / 1000
    const after = await database.held()
    return {
      'acked/s': rate,
      'stored/s': total / storedSeconds,
      'ack ms': ackMs,
      'documents/message': (after.documents - before.documents) / total,
      'bytes/message': (after.bytes - before.bytes) / total
    }
  })
}

function catchUp(peer: MongodbPeer, database: BenchDatabase): Promise<Figures> {
  const total = shareOf(peer, CATCH_UP)
  return withPeers(peer, database, 1, async ports => {
    await leaveSessions(ports[0]!, 1)
    await publishAll(ports, { publishers: 1, window: 100, total })
    await untilStored(peer, database, total, 1)
    const { received, ms, inversions } = await drain(ports[0]!, 'away-0', total)
    return { 'messages/s': received / (ms / 1000), 'received %': (100 * received) / total, inversions }
  })
}

async function untilStored(peer: MongodbPeer, database: BenchDatabase, total: number, sessions: number) {
  while (!(await peer.hasStored(database, total, sessions))) {
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}

function liveOn(peer: MongodbPeer, database: BenchDatabase): Promise<Figures> {
  const total = shareOf(peer, LIVE)
  return withPeers(peer, database, 1, async ports => {
    const { rate, received } = await live(ports[0]!, SUBSCRIBERS, total)
    return { 'deliveries/s': rate, 'received %': (100 * received) / (total * SUBSCRIBERS) }
  })
}

/** How many messages a peer gets. */
function shareOf(peer: MongodbPeer, { own, aedes }: { own: number; aedes: number }): number {
  return scaled(peer === restante ? own : aedes)
}

/** Runs a scenario on both, round by round, and tells of it. */
async function compare(
  title: string,
  run: (peer: MongodbPeer, database: BenchDatabase) => Promise<Figures>
): Promise<void> {
  if (!title.includes(ONLY)) return
  const runs = new Map<string, Figures[]>(peers.map(({ name }) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const peer of round % 2 === 0 ? peers : peers.toReversed()) {
      const figures = await mongodb.withDatabase(database => run(peer, database))
      runs.get(peer.name)!.push(figures)
      process.stderr.write(`${title}: ${peer.name} ${JSON.stringify(figures)}\n`)
    }
  }
  report(title, runs)
}

/** Two brokers on one database against one, with a Redis between them and without. */
async function compareBrokers(): Promise<void> {
  const title =
    'two brokers against one: 8 x 100 unacked over all of them; publish on one, receive on the other'
  if (!title.includes(ONLY)) return
  const redis = await startRedis()
  if (!redis) console.log('redis-server is not installed: left out\n')
  const cases = [
    { name: 'restante', brokers: 1, options: [] },
    { name: 'two brokers', brokers: 2, options: [] },
    ...(redis ? [{ name: 'two brokers and Redis', brokers: 2, options: ['--redis-url', redis.url] }] : [])
  ]
  const runs = new Map<string, Figures[]>(cases.map(({ name }) => [name, []]))
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const { name, brokers, options } of round % 2 === 0 ? cases : cases.toReversed()) {
        const peer = restanteOn(name, options)
        const figures = await mongodb.withDatabase(database =>
          withPeers(peer, database, brokers, ports => withBrokers(ports))
        )
        runs.get(name)!.push(figures)
        process.stderr.write(`brokers: ${name} ${JSON.stringify(figures)}\n`)
      }
    }
  } finally {
    await redis?.end()
  }
  report(
    'two brokers against one: 8 x 100 unacked over all of them; publish on one, receive on the other',
    runs
  )
}

async function withBrokers(ports: readonly number[]): Promise<Figures> {
  const times = await latencies(ports[0]!, ports.at(-1)!, scaled(LATENCIES))
  await leaveSessions(ports[0]!, 1)
  const { rate, ackMs } = await publishAll(ports, { ...LOAD, total: scaled(20_000) })
  return {
    'messages/s': rate,
    'ack ms': ackMs,
    'live ms, median': times[times.length >> 1] ?? Number.NaN,
    'live ms, 99 %': times[Math.floor(times.length * 0.99)] ?? Number.NaN
  }
}

async function startRedis() {
  if (spawnSync('redis-server', ['--version']).error) return null
  const port = await freePort()
  const words = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', words, { stdio: 'ignore' })
  return {
    url: `redis://127.0.0.1:${port}`,
    async end() {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

/** @param runs by the name of what ran, round by round; the first is what the others are compared with. */
function report(title: string, runs: ReadonlyMap<string, readonly Figures[]>): void {
  const [own] = runs.values()
  const names = Object.keys(own![0]!)
  console.log(`${title}\n`)
  console.log(`| | ${names.join(' | ')} |`)
  console.log(`|---|${names.map(() => '---|').join('')}`)
  for (const [name, list] of runs) {
    const cells = names.map(key =>
      cellText(
        list.map(figures => figures[key]!),
        own!.map(figures => figures[key]!)
      )
    )
    console.log(`| ${name} | ${cells.join(' | ')} |`)
  }
  console.log('')
}

/** Median, range, and how many times that of the first it is. */
function cellText(values: readonly number[], own: readonly number[]): string {
  const text = `${short(median(values))} (${short(Math.min(...values))} to ${short(Math.max(...values))})`
  const ratio = median(values.map((value, i) => value / own[i]!))
  return values.every((value, i) => value === own[i]) || !Number.isFinite(ratio)
    ? text
    : `${text}, ${short(ratio)} x`
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

function short(value: number): string {
  return Math.abs(value) >= 1000 ? `${Math.round(value)}` : `${Number(value.toPrecision(3))}`
}

function scaled(count: number): number {
  return LOAD.publishers * Math.max(1, Math.round((count * SCALE) / LOAD.publishers))
}
