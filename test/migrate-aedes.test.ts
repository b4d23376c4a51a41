import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import type { AedesClientPacket, AedesPacket } from '../src/migrate/aedes-documents.ts'
import { QueueSorter } from '../src/migrate/aedes-queue.ts'
import { startMongodb, type TestMongodb } from './helpers/mongodb.ts'
import { type Program, runCommand, startProgram, startServer, testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'
import { randomOf, testRandom } from './helpers/tools-random.ts'

const BROKER = fileURLToPath(new URL('./helpers/aedes-mongodb-broker.js', import.meta.url))
const MESSAGES = 120

test('clients of a plain Aedes get what it left for them: in order, once, under the same packet ids', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const { expected, exact } = await leave(t, mongodb)
  const data = join(testFolder(t), 'data')
  const imported = await runCommand(t, ['import', 'aedes-mongodb', '--from', mongodb.url, '--to', data])
  t.is(imported.exit?.code, 0, imported.story())
  t.regex(imported.stdout, /^sessions +4\nsubscriptions +6\nretained +2\nwills +1\n/m)
  t.regex(imported.stdout, /^left out: \d+ copies of messages that a client had twice$/m)
  t.regex(imported.stdout, /^left out: subscription of twice to "\$share\/group\/x": shared/m)
  const shared = await runCommand(t, [
    'import',
    'aedes-mongodb',
    '--from',
    mongodb.url,
    '--to',
    besides(t, mongodb)
  ])
  t.is(shared.exit?.code, 0, shared.story())
  t.is(shared.stdout, imported.stdout)

  const { mqttPort } = await startServer(t, { dataDirectory: data, args: ['--will-grace-seconds', '0'] })
  t.deepEqual(await collect(t, mqttPort, 'plain', 2 * MESSAGES), expected)
  t.deepEqual(await collect(t, mqttPort, 'twice', 2 * MESSAGES), expected)
  await checkExact(t, mqttPort, exact)
  await checkRetained(t, mqttPort)
  const watcher = await RawClient.connect(mqttPort, { clientId: 'watcher', clean: false })
  t.is((await watcher.next('publish')).payload.toString(), 'gone')
})

test('an import is refused where something is, and of what is no database of Aedes', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const folder = testFolder(t)
  const words = (from: string, to: string) => ['import', 'aedes-mongodb', '--from', from, '--to', to]
  const empty = await runCommand(t, words(mongodb.url, join(folder, 'data')))
  t.is(empty.exit?.code, 3)
  t.regex(empty.stderr, /there is nothing in mongodb:\/\//)
  const local = await runCommand(t, words(folder, join(folder, 'data')))
  t.is(local.exit?.code, 2)
  t.regex(local.stderr, /is no address of a MongoDB/)
  await mongodb.client
    .db(mongodb.databaseName)
    .collection('subscriptions')
    .insertOne({ clientId: 'a', topic: 'a', qos: 1 })
  t.is((await runCommand(t, words(mongodb.url, join(folder, 'data')))).exit?.code, 0)
  const again = await runCommand(t, words(mongodb.url, join(folder, 'data')))
  t.is(again.exit?.code, 3)
  t.regex(again.stderr, /holds messages or sessions already/)
})

test('copies are sorted by broker and number, and each message is there once for a client', t => {
  const random = testRandom(t)
  const copies = [
    copy({ seconds: 10, clientId: 'a', counter: 1 }),
    copy({ seconds: 10, clientId: 'a', counter: 2 }),
    copy({ seconds: 10, clientId: 'a', counter: 2, messageId: 9 }),
    copy({ seconds: 10, clientId: 'b', counter: 2 }),
    copy({ seconds: 12, clientId: 'a', counter: 3 }),
    copy({ seconds: 11, clientId: 'a', counter: 12 }), // made by another process under the same name
    copy({ seconds: 11, clientId: 'a', counter: 1, process: 'ff00000001' }),
    copy({ seconds: 11, clientId: 'a', cmd: 'pubrel', messageId: 4 })
  ]
  for (let run = 0; run < 20; run++) {
    const sorter = new QueueSorter()
    for (const one of shuffled(copies, random.below(1_000_000))) sorter.add(one)
    const { sent, queued, released, duplicates } = sorter.finish()
    t.deepEqual(
      sent.map(({ packetIds }) => [...packetIds]),
      [[['a', 9]]]
    )
    t.deepEqual(
      queued.map(({ clientIds }) => clientIds),
      [['a'], ['b'], ['a'], ['a'], ['a']]
    )
    t.deepEqual([...released], [['a', [4]]])
    t.is(duplicates, 1)
    t.deepEqual(
      queued.map(({ id }) => id.toHexString().slice(0, 8)),
      ['0a', '0a', '0b', '0c', '0b'].map(hex => hex.padStart(8, '0'))
    )
  }
})

test('a packet id that two messages claim is that of the first', t => {
  const sorter = new QueueSorter()
  sorter.add(copy({ seconds: 10, clientId: 'a', counter: 2, messageId: 7 }))
  sorter.add(copy({ seconds: 10, clientId: 'a', counter: 1, messageId: 7 }))
  sorter.add(copy({ seconds: 10, clientId: 'b', counter: 2, messageId: 7 }))
  const { sent, queued } = sorter.finish()
  t.deepEqual(
    sent.map(({ clientIds }) => clientIds),
    [['a'], ['b']]
  )
  t.deepEqual(
    queued.map(({ clientIds }) => clientIds),
    [['a']]
  )
})

/** Two runs of Aedes after each other leave queues, QoS 2 half way, retained messages and a will. */
async function leave(t: ExecutionContext, mongodb: TestMongodb) {
  const first = await startAedes(t, mongodb, 'fixed')
  await subscribeAndLeave(first.port, 'plain', { 'DB/#': 1 })
  await subscribeAndLeave(first.port, 'twice', { 'DB/#': 1, 'DB/+': 2, 'DB/CREATE': 1, '$share/group/x': 1 })
  await subscribeAndLeave(first.port, 'exact', { 'exact/#': 2 })
  await subscribeAndLeave(first.port, 'watcher', { will: 1 })
  const payloads = (run: number) => Array.from({ length: MESSAGES }, (_, i) => `${run}.${i}`)
  await publishAll(first.port, 'DB/CREATE', payloads(1), 1)
  await stored(mongodb, 'DB/CREATE', 4 * MESSAGES)
  await first.program.kill('SIGKILL')
  await nextSecond() // what two processes have stored within the same one has no order

  // under the same name, so that its numbers are used again
  const second = await startAedes(t, mongodb, 'fixed')
  await publishAll(second.port, 'DB/CREATE', payloads(2), 1)
  // one by one: Aedes takes messages of QoS 2 in the order in which the database answers
  for (const payload of ['0', '1', '2', '3']) await publishAll(second.port, 'exact/x', [payload], 2)
  await stored(mongodb, 'DB/CREATE', 8 * MESSAGES)
  await stored(mongodb, 'exact/x', 4)
  const exact = await leaveExactHalfWay(t, second.port, mongodb)
  const publisher = await connectAsync(`mqtt://127.0.0.1:${second.port}`, { protocolVersion: 5 })
  await publisher.publishAsync('state/plain', 'on', { qos: 1, retain: true })
  const properties = {
    userProperties: { unit: 'K' },
    correlationData: Buffer.from([0, 255]),
    contentType: 'a/b'
  }
  await publisher.publishAsync('state/v5', '293', { qos: 1, retain: true, properties })
  await publisher.endAsync()
  await RawClient.connect(second.port, {
    clientId: 'mortal',
    will: { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false }
  })
  await until(async () => (await collection(mongodb, 'will').countDocuments()) === 1)
  await until(async () => (await collection(mongodb, 'retained').countDocuments()) === 2)
  await second.program.kill('SIGKILL')
  return { expected: [...payloads(1), ...payloads(2)], exact }
}

/** Of four messages the first two were received (PUBREC), the others only sent; one publish lacks its PUBREL. */
async function leaveExactHalfWay(t: ExecutionContext, port: number, mongodb: TestMongodb): Promise<Sent> {
  const client = await RawClient.connect(port, { clientId: 'exact', clean: false, isAcking: false })
  const messages = await client.messages(4)
  t.deepEqual(messages.map(({ payload }) => payload.toString()).sort(), ['0', '1', '2', '3'])
  for (const { messageId } of messages.slice(0, 2)) {
    client.send({ cmd: 'pubrec', messageId: messageId! })
    await client.next('pubrel')
  }
  client.publishOnly({ topic: 'inbound', payload: 'x', qos: 2, messageId: 77 })
  await client.next('pubrec')
  await until(async () => (await collection(mongodb, 'incoming').countDocuments()) === 1)
  return messages.map(({ messageId, payload }) => [messageId!, payload.toString()] as const)
}

/** What was sent, in the order in which it came. */
type Sent = readonly (readonly [packetId: number, payload: string])[]

async function checkExact(t: ExecutionContext, port: number, sent: Sent): Promise<void> {
  const client = await RawClient.connect(port, { clientId: 'exact', clean: false, isAcking: false })
  t.true(client.connack?.sessionPresent)
  const released = [await client.next('pubrel'), await client.next('pubrel')]
  t.deepEqual(
    new Set(released.map(({ messageId }) => messageId)),
    new Set(sent.slice(0, 2).map(([messageId]) => messageId))
  )
  const messages = await client.messages(2)
  const again = messages.map(({ messageId, payload, qos, dup }) => [messageId, payload.toString(), qos, dup])
  const wanted = sent.slice(2).sort(([, a], [, b]) => Number(a) - Number(b))
  t.deepEqual(
    again,
    wanted.map(([messageId, payload]) => [messageId, payload, 2, true])
  )
  // the message was taken by Aedes: what comes again under its packet id is not published again
  client.publishOnly({ topic: 'exact/again', payload: 'x', qos: 2, messageId: 77, dup: true })
  await client.next('pubrec', ({ messageId }) => messageId === 77)
  client.send({ cmd: 'pubrel', messageId: 77 })
  await client.next('pubcomp', ({ messageId }) => messageId === 77)
  for (const packetId of released) client.send({ cmd: 'pubcomp', messageId: packetId.messageId! })
  for (const { messageId } of messages) {
    client.send({ cmd: 'pubrec', messageId: messageId! })
    await client.next('pubrel', ack => ack.messageId === messageId)
    client.send({ cmd: 'pubcomp', messageId: messageId! })
  }
  await client.ping()
  t.deepEqual(client.unreadMessages(), [])
}

async function checkRetained(t: ExecutionContext, port: number): Promise<void> {
  const client = await RawClient.connect(port, { protocolVersion: 5 })
  await client.subscribe('state/#')
  const found = new Map((await client.messages(2)).map(message => [message.topic, message]))
  t.like(found.get('state/plain'), { payload: Buffer.from('on'), retain: true, qos: 1 })
  t.is(found.get('state/v5')?.payload.toString(), '293')
  t.like(found.get('state/v5')?.properties, { contentType: 'a/b', correlationData: Buffer.from([0, 255]) })
  t.deepEqual({ ...found.get('state/v5')?.properties?.userProperties }, { unit: 'K' })
}

/** What comes to a client until there is no more, checked for repetitions. */
async function collect(
  t: ExecutionContext,
  port: number,
  clientId: string,
  count: number
): Promise<string[]> {
  const client = await RawClient.connect(port, { clientId, clean: false })
  t.true(client.connack?.sessionPresent)
  const payloads = await client.payloads(count)
  await client.ping()
  t.deepEqual(client.unreadMessages(), [])
  await client.disconnect()
  return payloads
}

/** Another database of the same server. */
function besides(t: ExecutionContext, { url, databaseName, client }: TestMongodb): string {
  t.teardown(() => client.db(`${databaseName}_r`).dropDatabase())
  return url.replace(databaseName, `${databaseName}_r`)
}

async function startAedes(t: ExecutionContext, { url }: TestMongodb, id: string) {
  const program: Program = startProgram(t, process.execPath, [BROKER, url, id])
  const found = await program.until(() => /^port (\d+)/.exec(program.stdout) ?? undefined)
  return { program, port: Number(found[1]) }
}

async function subscribeAndLeave(
  port: number,
  clientId: string,
  filters: Record<string, 0 | 1 | 2>
): Promise<void> {
  const client = await client311(port, { clientId, clean: false })
  for (const [filter, qos] of Object.entries(filters)) await client.subscribeAsync(filter, { qos })
  await client.endAsync()
}

async function publishAll(
  port: number,
  topic: string,
  payloads: readonly string[],
  qos: 1 | 2
): Promise<void> {
  const client = await client311(port, {})
  await Promise.all(payloads.map(payload => client.publishAsync(topic, payload, { qos })))
  await client.endAsync()
}

function client311(port: number, options: IClientOptions): Promise<MqttClient> {
  return connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4, reconnectPeriod: 0, ...options })
}

/** Aedes acks before it stores. */
function stored(mongodb: TestMongodb, topic: string, copies: number): Promise<void> {
  const outgoing = collection(mongodb, 'outgoing')
  return until(async () => (await outgoing.countDocuments({ 'packet.topic': topic })) === copies)
}

function collection({ client, databaseName }: TestMongodb, name: string) {
  return client.db(databaseName).collection(name)
}

/** Asks the database until it says so. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition()));
}

/** Waits until ids of MongoDB, which tell the second they were made in, tell another one. */
async function nextSecond(): Promise<void> {
  const next = Math.floor(Date.now() / 1_000) * 1_000 + 1_000
  while (Date.now() < next) await sleep(next - Date.now())
}

interface Copy {
  readonly seconds: number
  readonly clientId: string
  readonly counter?: number
  readonly messageId?: number
  readonly cmd?: string
  readonly process?: string
}

let copies = 0

function copy({ seconds, clientId, counter, process = '0000000001', ...rest }: Copy): AedesClientPacket {
  const hex = `${seconds.toString(16).padStart(8, '0')}${process}${(copies++).toString(16).padStart(6, '0')}`
  const packet: AedesPacket = {
    ...rest,
    qos: 1,
    ...(counter ? { brokerId: 'b', brokerCounter: counter } : {})
  }
  return { _id: { toHexString: () => hex }, clientId, packet }
}

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const random = randomOf(seed)
  return [...list]
    .map(one => [random.fraction(), one] as const)
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one)
}
