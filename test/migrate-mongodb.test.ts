import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { silentLog } from '../src/log.ts'
import { storeAt } from '../src/migrate/open-store.ts'
import { placeOf } from '../src/migrate/place.ts'
import { contentsOf, fillStore } from './helpers/filled-store.ts'
import { startMongodb, type TestMongodb } from './helpers/mongodb.ts'
import { MAIN, startProgram, startServer, testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'
import { DEADLINE_MS } from './helpers/signal.ts'
import { testRandom } from './helpers/tools-random.ts'

test('what goes from a folder to MongoDB and back is as it was', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const folder = testFolder(t)
  const first = await open(join(folder, 'first'))
  await fillStore(first.store, testRandom(t), { messages: 1_500, sessions: 20 })
  await first.store.close()
  const wanted = await contents(join(folder, 'first'))
  await moved(t, join(folder, 'first'), mongodb.url)
  await moved(t, mongodb.url, join(folder, 'second'))
  t.deepEqual(await contents(join(folder, 'second')), wanted)
  const again = await move(t, join(folder, 'first'), mongodb.url)
  t.is(again.exit?.code, 3)
  t.regex(again.stderr, /holds messages or sessions already/)
})

test('clients go on with what was moved to MongoDB and back, and new ids are new', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const folder = testFolder(t)
  const first = await startServer(t, { dataDirectory: join(folder, 'first') })
  const sent = await leave(first.mqttPort)
  await first.program.kill('SIGTERM')
  await moved(t, join(folder, 'first'), mongodb.url)

  const second = await startOn(t, mongodb)
  t.deepEqual(await take(t, second.mqttPort, 2), sent)
  await publish(second.mqttPort, '5')
  const late = await RawClient.connect(second.mqttPort, { clientId: 'late', clean: false })
  await late.subscribe('DB/CREATE')
  await publish(second.mqttPort, '6')
  t.deepEqual(await late.payloads(1), ['6'])
  await late.disconnect()
  const running = await move(t, mongodb.url, join(folder, 'second'))
  t.is(running.exit?.code, 3)
  t.regex(running.stderr, /a server runs on mongodb:\/\//)
  await second.program.kill('SIGTERM')

  await moved(t, mongodb.url, join(folder, 'second'))
  const third = await startServer(t, { dataDirectory: join(folder, 'second') })
  t.deepEqual(
    (await take(t, third.mqttPort, 5)).map(([payload]) => payload),
    ['2', '3', '4', '5', '6']
  )
  const client = await RawClient.connect(third.mqttPort, { clientId: 'late', clean: false })
  await publish(third.mqttPort, '7')
  t.deepEqual(await client.payloads(1), ['7'])
})

test('what two brokers have left is moved once both have stopped, unless both keep messages', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const folder = testFolder(t)
  const [a, b] = [await startOn(t, mongodb, 'a'), await startOn(t, mongodb, 'b')]
  for (const [clientId, { mqttPort }] of [
    ['at-a', a],
    ['at-b', b]
  ] as const) {
    const client = await RawClient.connect(mqttPort, { clientId, clean: false })
    await client.subscribe('DB/CREATE')
    await client.disconnect()
  }
  await publishExactly(a.mqttPort, '0')
  await publish(a.mqttPort, '1')
  const early = await move(t, mongodb.url, join(folder, 'early'), 'c')
  t.is(early.exit?.code, 3)
  t.regex(early.stderr, /brokers live on .* \(a, b\): stop them first/)
  await Promise.all([a.program.kill('SIGTERM'), b.program.kill('SIGTERM')])
  // also under a name that no broker had
  for (const name of ['a', 'new']) {
    await moved(t, mongodb.url, join(folder, name), name)
    const { mqttPort, program } = await startServer(t, { dataDirectory: join(folder, name) })
    await publishExactly(mqttPort, '2') // the packet id of the first one is free
    for (const clientId of ['at-a', 'at-b']) {
      const client = await RawClient.connect(mqttPort, { clientId, clean: false })
      t.deepEqual(await client.payloads(3), ['0', '1', '2'])
      await client.disconnect()
    }
    await program.kill('SIGTERM')
  }

  const again = await startOn(t, mongodb, 'b')
  await publish(again.mqttPort, '3')
  await again.program.kill('SIGTERM')
  const mixed = await move(t, mongodb.url, join(folder, 'mixed'), 'a')
  t.is(mixed.exit?.code, 3)
  t.regex(mixed.stderr, /accepted by several brokers \(b besides a\)/)
})

/** A session that was sent two of five messages. */
async function leave(port: number) {
  const client = await RawClient.connect(port, {
    clientId: 'away',
    clean: false,
    protocolVersion: 5,
    expirySeconds: 0xffff_ffff,
    receiveMaximum: 2,
    isAcking: false
  })
  await client.subscribe('DB/#')
  for (let i = 0; i < 5; i++) await publish(port, `${i}`)
  return described(await client.messages(2), true)
}

/** The next messages of the session, with packet id and DUP; the last one shows that no more was acked. */
async function take(t: ExecutionContext, port: number, count: number) {
  const client = await RawClient.connect(port, { clientId: 'away', clean: false, isAcking: false })
  t.true(client.connack?.sessionPresent)
  const messages = await client.messages(count)
  for (const message of messages) client.ack(message)
  await client.ping()
  const found = described(messages)
  await client.disconnect()
  return found
}

function described(messages: Awaited<ReturnType<RawClient['messages']>>, isAgain?: boolean) {
  return messages.map(({ payload, messageId, dup }) => [payload.toString(), messageId, isAgain ?? dup])
}

async function publish(port: number, payload: string): Promise<void> {
  const client = await RawClient.connect(port)
  await client.publish({ topic: 'DB/CREATE', payload, qos: 1 })
  await client.disconnect()
}

/** With QoS 2, always as the same client under the same packet id. */
async function publishExactly(port: number, payload: string): Promise<void> {
  const client = await RawClient.connect(port, { clientId: 'exact', clean: false })
  await client.publish({ topic: 'DB/CREATE', payload, qos: 2, messageId: 9 })
  await client.disconnect()
}

function startOn(t: ExecutionContext, { url }: TestMongodb, name?: string) {
  const broker = name === undefined ? [] : ['--broker-name', name]
  return startServer(t, { args: ['--store', 'mongodb', '--mongodb-url', url, ...broker] })
}

async function moved(t: ExecutionContext, from: string, to: string, broker?: string): Promise<void> {
  const program = await move(t, from, to, broker)
  t.is(program.exit?.code, 0, program.story())
}

async function move(t: ExecutionContext, from: string, to: string, broker?: string) {
  const name = broker === undefined ? [] : ['--broker-name', broker]
  const program = startProgram(t, process.execPath, [MAIN, 'migrate', '--from', from, '--to', to, ...name])
  await program.exited(3 * DEADLINE_MS) // a database that is new to it, twice
  return program
}

async function open(folder: string) {
  const store = await storeAt(placeOf(folder), { brokerName: '', log: silentLog })
  return { store, contents: await store.open() }
}

async function contents(folder: string) {
  const { store, contents } = await open(folder)
  const found = await contentsOf(store, contents)
  await store.close()
  return found
}
