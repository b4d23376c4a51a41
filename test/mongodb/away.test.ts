import { setTimeout as wait } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Cluster, type ClusterBroker, type ClusterOptions } from '../helpers/cluster.ts'
import { ClusterLoad } from '../helpers/cluster-load.ts'
import type { MongodbRule } from '../helpers/mongodb-faults.ts'
import { mosquittoSub, mosquittoSubscribe } from '../helpers/mqtt-tools.ts'
import { startProgram } from '../helpers/process.ts'
import { RawClient } from '../helpers/raw-client.ts'
import { needs } from '../helpers/tools.ts'
import { testRandom } from '../helpers/tools-random.ts'

const SHORT_MS = 1_000
const DRAIN_MS = 20_000
/** How long a fault waits for its command. */
const PATIENCE_MS = 1_500
/** How many of the faults come up, chosen by the seed; with RESTANTE_TEST_LONG all. */
const QUICK_FAULTS = 14

test('a start without the database waits, says so, and goes on when it is there', async t => {
  const scene = await start(t, { isStarted: false })
  if (!scene) return
  const { broker } = scene
  broker.mongodbLink.drop()
  const program = broker.launch()
  await program.until(() => /MongoDB.*tried again/.test(program.stderr), undefined, 'a message that it waits')
  t.is(program.stdout, '')
  await broker.mongodbLink.resume()
  await program.until(() => /MQTT +mqtt:/.test(program.stdout), undefined, 'the first screen')
  await program.kill('SIGTERM')
  t.is(program.exit?.code, 0, program.story())
})

test('SIGTERM ends a start that waits for the database', async t => {
  const scene = await start(t, { isStarted: false })
  if (!scene) return
  const { broker } = scene
  broker.mongodbLink.drop()
  const program = broker.launch()
  await program.until(() => /MongoDB.*tried again/.test(program.stderr), undefined, 'a message that it waits')
  await program.kill('SIGTERM')
  t.is(program.exit?.code, 0, program.story())
  t.regex(program.stdout, /SIGTERM: stopped while it was starting/)
})

test('a start without the database gives up after storeTimeoutMs with a clear error', async t => {
  const scene = await start(t, { isStarted: false, storeTimeoutMs: SHORT_MS })
  if (!scene) return
  const { broker } = scene
  broker.mongodbLink.drop()
  const began = performance.now()
  const program = broker.launch()
  await program.exited()
  t.is(program.exit?.code, 1, program.story())
  t.true(performance.now() - began >= SHORT_MS)
  const lastLine = program.stderr.trim().split('\n').at(-1)!
  t.regex(lastLine, /no MongoDB at mongodb:\/\/127\.0\.0\.1:\d+\/\w+ within 1000 ms/)
  t.regex(lastLine, /ECONNREFUSED/)
  t.is(program.stdout, '')
})

test('while the database is away for a moment publishers are held, and then acked in order on their connections', async t => {
  const scene = await start(t)
  if (!scene) return
  const { broker } = scene
  const subscriber = await RawClient.connect(broker.mqttPort, { clientId: 'subscriber', clean: false })
  await subscriber.subscribe('DB/#')
  const publishers = [await publisherOf(broker, 4), await publisherOf(broker, 5)]
  broker.mongodbLink.drop()
  for (const publisher of publishers) {
    for (let n = 1; n <= 5; n++) publisher.publishOnly({ topic: 'DB/CREATE', payload: `${n}`, qos: 1 })
  }
  await untilNotReady(t, broker)
  t.deepEqual(
    publishers.map(({ unread }) => unread),
    [[], []]
  )
  t.deepEqual(subscriber.unread, [])
  await broker.mongodbLink.resume()
  for (const publisher of publishers) {
    for (let n = 1; n <= 5; n++) t.falsy((await publisher.next('puback')).reasonCode)
  }
  const payloads = await subscriber.payloads(10)
  t.deepEqual(payloads.toSorted(), ['1', '1', '2', '2', '3', '3', '4', '4', '5', '5'])
  await untilReady(broker)
})

test('when the database is away for longer than storeTimeoutMs publishers are refused with the reason', async t => {
  const scene = await start(t, { storeTimeoutMs: SHORT_MS })
  if (!scene) return
  const { broker } = scene
  const subscriber = await RawClient.connect(broker.mqttPort, { clientId: 'subscriber', clean: false })
  await subscriber.subscribe('DB/#')
  const old = await publisherOf(broker, 4)
  const one = await publisherOf(broker, 5)
  const two = await publisherOf(broker, 5)
  await one.publish({ topic: 'DB/CREATE', payload: 'before', qos: 1 })
  broker.mongodbLink.drop()
  one.publishOnly({ topic: 'DB/CREATE', payload: 'one', qos: 1 })
  two.publishOnly({ topic: 'DB/CREATE', payload: 'two', qos: 2 })
  old.publishOnly({ topic: 'DB/CREATE', payload: 'old', qos: 1 })
  const http = post(broker, 'DB/CREATE', 'http')
  const { reasonCode, properties } = await one.next('puback')
  t.is(reasonCode, 0x97)
  t.regex(String(properties?.reasonString), /the store cannot be reached/)
  t.false(
    two.received.some(({ cmd }) => cmd === 'pubrec'),
    'whether it is stored is not certain, and it must be so once'
  )
  await old.closed()
  t.false(old.received.some(({ cmd }) => cmd === 'puback'))
  t.is((await http).status, 503)
  t.regex((await http).text, /the store cannot be reached/)
  // the next ones are refused at once
  const third = one.publishOnly({ topic: 'DB/CREATE', payload: 'three', qos: 1 })
  t.is((await one.next('puback', ({ messageId }) => messageId === third)).reasonCode, 0x97)
  await untilNotReady(t, broker)

  await broker.mongodbLink.resume()
  await untilReady(broker)
  await one.publish({ topic: 'DB/CREATE', payload: 'after', qos: 1 })
  const seen: string[] = []
  while (seen.at(-1) !== 'after') seen.push(...(await subscriber.payloads(1)))
  // whether those that were refused had come to the database nobody knew; a refused one that was kept aside is never stored
  const sure = seen.filter(payload => ['before', 'three', 'after'].includes(payload))
  t.deepEqual(sure, ['before', 'after'])
  t.is(new Set(seen).size, seen.length, 'nothing came twice')
})

for (const [name, storeTimeoutMs, hows] of [
  ['within', 30_000, ['drop', 'hold']],
  ['over', 600, ['drop', 'swallow']]
] as const) {
  test(`the database goes away ${name} storeTimeoutMs in the middle of traffic: nothing is lost or out of order`, async t => {
    const scene = await start(t, { storeTimeoutMs })
    if (!scene) return
    const { broker, cluster } = scene
    const load = await startLoad(t, cluster)
    const { history } = load
    for (const how of hows) {
      broker.mongodbLink[how]()
      await untilNotReady(t, broker)
      const accepted = history.count('accept')
      await wait(name === 'over' ? storeTimeoutMs * 2 : 500) // this time is what is tested
      t.is(history.count('accept'), accepted, `${how}: nothing is acked without storage`)
      await broker.mongodbLink.resume()
      await load.more(100, 10_000)
      t.true(history.count('accept') > accepted + 50, `${how}: it goes on by itself`)
      await untilReady(broker)
    }
    await finish(t, load, cluster)
  })
}

test('the database is killed and started again in the middle of traffic: nothing is lost or out of order', async t => {
  const scene = await start(t)
  if (!scene) return
  const { broker, cluster } = scene
  if (process.env.MONGODB_URL) {
    t.pass('it is not ours to kill')
    return
  }
  const load = await startLoad(t, cluster)
  for (let kills = 0; kills < 2; kills++) {
    await cluster.mongodb.stop()
    await untilNotReady(t, broker)
    await cluster.mongodb.restart()
    await load.more(100, 10_000)
  }
  await untilReady(broker)
  await finish(t, load, cluster)
})

/** Single commands that fail as a replica set lets them fail. A rule without a command takes any. */
const FAULTS: readonly MongodbRule[] = [
  ...[
    { kind: 'partial', documents: 1, answer: 'reset' } as const,
    { kind: 'partial', documents: 0, answer: 'not-primary' } as const,
    { kind: 'partial', documents: 1, answer: 'not-primary' } as const,
    { kind: 'write-concern-error' } as const,
    { kind: 'write-concern-error', code: 91 } as const,
    { kind: 'lost-after' } as const,
    { kind: 'lost-before' } as const,
    { kind: 'error', code: 11602 } as const
  ].map(fault => ({ command: 'insert', collection: 'restante_messages', fault })),
  ...['restante_notes', 'restante_changes'].flatMap(collection =>
    [
      { kind: 'lost-after' } as const,
      { kind: 'lost-before' } as const,
      { kind: 'write-concern-error' } as const,
      { kind: 'error', code: 189 } as const
    ].map(fault => ({ command: 'insert', collection, fault }))
  ),
  ...['subscriptions', 'streams', 'sessions', 'cursors', 'brokers', 'meta'].flatMap(name =>
    [
      { kind: 'lost-after' } as const,
      { kind: 'lost-before' } as const,
      { kind: 'error', code: 189 } as const
    ].map(fault => ({ collection: `restante_${name}`, fault }))
  ),
  { command: 'find', collection: 'restante_messages', fault: { kind: 'error', code: 11602 } },
  { command: 'find', collection: 'restante_messages', fault: { kind: 'lost-after' } }
]

test('single commands to the database fail in the middle of traffic: nothing is lost or out of order', async t => {
  // so that cursors are written and messages are read back all the time
  const scene = await start(t, { args: ['--checkpoint-ms', '100', '--cache-bytes', '20000'] })
  if (!scene) return
  const { broker, cluster } = scene
  const random = testRandom(t)
  const load = await startLoad(t, cluster, random)
  const left = [...FAULTS]
  const never: string[] = []
  const quick = process.env.RESTANTE_TEST_LONG ? 0 : FAULTS.length - QUICK_FAULTS
  while (left.length > quick) {
    const [rule] = left.splice(random.below(left.length), 1)
    const injection = broker.faults.inject({ ...rule!, nth: 1 + random.below(2) })
    await Promise.race([injection.happened, wait(PATIENCE_MS, undefined, { ref: false })])
    if (injection.hasHappened) load.history.record({ kind: 'note', text: JSON.stringify(rule) })
    else never.push(`${rule!.command ?? 'any'} ${rule!.collection} ${rule!.fault.kind}`)
    injection.remove()
  }
  await load.more(50, 10_000)
  t.log(`never came up: ${never.join(', ') || 'none'}`)
  t.deepEqual(
    never.filter(rule => /^insert restante_(messages|notes)/.test(rule)),
    []
  )
  t.true(broker.isRunning)
  await untilReady(broker)
  await finish(t, load, cluster)
})

test('a primary steps down in the middle of traffic: nothing is lost or out of order', async t => {
  const scene = await start(t)
  if (!scene) return
  const { broker, cluster } = scene
  const load = await startLoad(t, cluster)
  for (const code of [189, 11602]) {
    broker.faults.failAll(code)
    await untilNotReady(t, broker)
    const accepted = load.history.count('accept')
    await wait(300) // this time is what is tested
    t.is(load.history.count('accept'), accepted)
    broker.faults.heal()
    await load.more(100, 10_000)
    await untilReady(broker)
  }
  await finish(t, load, cluster)
})

test('an insert that reaches the database late, after it was sent again, changes nothing', async t => {
  const scene = await start(t)
  if (!scene) return
  const { broker, cluster } = scene
  const load = await startLoad(t, cluster)
  for (let times = 0; times < 3; times++) {
    const rule = { command: 'insert', collection: 'restante_messages', fault: { kind: 'late' } } as const
    const injection = broker.faults.inject(rule)
    await injection.happened
    await load.more(50, 10_000)
    const answer = await injection.deliver()
    t.is(answer.n, 0)
    t.is(answer.writeErrors?.[0]?.code, 11000)
  }
  await finish(t, load, cluster)
})

test('mosquitto_pub waits while the database is away, and mosquitto_sub gets its message', async t => {
  if (!needs(t, 'mosquitto_sub', 'mosquitto_pub')) return
  const scene = await start(t)
  if (!scene) return
  const { broker } = scene
  const session = ['-i', 'logger', '-c', '-q', '1', '-t', 'DB/CREATE'] as const
  await mosquittoSubscribe(t, broker.mqttPort, ...session)
  broker.mongodbLink.drop()
  const port = String(broker.mqttPort)
  const pub = startProgram(t, 'mosquitto_pub', ['-p', port, '-q', '1', '-t', 'DB/CREATE', '-m', 'held'])
  await untilNotReady(t, broker)
  t.is(pub.exit, undefined)
  await broker.mongodbLink.resume()
  t.is((await pub.exited()).code, 0, pub.story())
  const sub = mosquittoSub(t, broker.mqttPort, ...session)
  t.deepEqual(await sub.lines(1), ['held'])
})

interface Scene {
  readonly cluster: Cluster
  readonly broker: ClusterBroker
}

async function start(t: ExecutionContext, options: Partial<ClusterOptions> = {}): Promise<Scene | undefined> {
  const cluster = await Cluster.start(t, { brokers: 1, hasRedis: false, hasFaults: true, ...options })
  return cluster && { cluster, broker: cluster.brokers[0]! }
}

function publisherOf(broker: ClusterBroker, protocolVersion: 4 | 5): Promise<RawClient> {
  return RawClient.connect(broker.mqttPort, { protocolVersion })
}

async function startLoad(
  t: ExecutionContext,
  cluster: Cluster,
  random = testRandom(t)
): Promise<ClusterLoad> {
  const load = new ClusterLoad(random, cluster.brokers)
  t.teardown(() => load.end())
  load.run()
  await load.more(100, 10_000)
  return load
}

async function finish(t: ExecutionContext, load: ClusterLoad, cluster: Cluster): Promise<void> {
  await load.drain(DRAIN_MS)
  await load.end()
  t.log(`${load.accepted} acked, ${load.history.count('receive')} received`)
  const problems = load.problems()
  t.deepEqual(problems.slice(0, 20), [], `${problems.length} problems\n${load.stories()}\n${cluster.story()}`)
}

/** Asks for readiness until it is refused; the reason names the database. */
async function untilNotReady(t: ExecutionContext, broker: ClusterBroker): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const { status, body } = await broker.get('/health/ready')
    if (status === 503) {
      const { code, detail } = body as { code?: string; detail?: string }
      t.is(code, 'QUEUE_NOT_READY')
      t.regex(String(detail), /the store cannot be reached/)
      return
    }
    await wait(20)
  }
  t.fail(`it says that it is ready: ${broker.story()}`)
}

async function untilReady(broker: ClusterBroker): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await broker.isReady()) return
    await wait(20)
  }
  throw new Error(`it does not get ready: ${broker.story()}`)
}

async function post(
  broker: ClusterBroker,
  event: string,
  body: string
): Promise<{ status: number; text: string }> {
  const url = `http://127.0.0.1:${broker.server.httpPort}/v1/queues/${event.replace('/', '/events/')}`
  const answer = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'text/plain' } })
  return { status: answer.status, text: await answer.text() }
}
