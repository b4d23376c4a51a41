import { createServer } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import Database from 'libsql'
import type { Summary } from '../../examples/logger/event-log.ts'
import { MongodbLog } from '../../examples/logger/mongodb-log.ts'
import type { Customer } from '../../examples/shared/customer.ts'
import {
  CustomerSource,
  customerOf,
  runExample,
  startExample,
  untilConnected
} from '../helpers/example-follower.ts'
import { listen } from '../helpers/listen.ts'
import { startMongodb } from '../helpers/mongodb.ts'
import { type Program, startServer, testFolder } from '../helpers/process.ts'
import { RawClient } from '../helpers/raw-client.ts'

/** What the summary of these customers has to be. */
function expectedSummary(customers: readonly Customer[]): Summary {
  const count = (names: readonly string[]) => {
    const counts = new Map<string, number>()
    for (const name of [...names].sort()) counts.set(name, (counts.get(name) ?? 0) + 1)
    return Object.fromEntries(counts)
  }
  return {
    events: customers.length,
    lastNumber: Math.max(0, ...customers.map(({ number }) => number)),
    byDay: count(customers.map(({ createdAt }) => createdAt.slice(0, 10))),
    byUser: count(customers.map(({ createdBy }) => createdBy))
  }
}

async function summaryOf(t: ExecutionContext, storage: readonly string[]): Promise<Summary> {
  const program = await runExample(t, 'logger', ['--summary', '--json', ...storage])
  return JSON.parse(program.stdout) as Summary
}

/** Numbers in the logging database, in the order in which they were logged. */
function loggedNumbers(data: string): number[] {
  const database = new Database(join(data, 'events.db'), { readonly: true })
  const rows = database.prepare('SELECT number FROM events ORDER BY position').all() as { number: number }[]
  database.close()
  return rows.map(({ number }) => number)
}

function loggedLines({ stdout }: Program): number {
  return stdout.split('\n').filter(line => / logged$/.test(line)).length
}

test('logger catches up after being away, logs each customer once, and sums up', async t => {
  const { port } = await listen(t)
  const data = join(testFolder(t), 'logger')
  const args = ['--url', `mqtt://127.0.0.1:${port}`, '--data', data]
  const source = new CustomerSource(port)
  const first = startExample(t, 'logger', args)
  await untilConnected(first)
  await source.create(3)
  await first.until(() => loggedLines(first) === 3)
  t.deepEqual(await first.kill('SIGTERM'), { code: 0, signal: null })
  t.regex(first.stdout, /^logger: connected to mqtt:\/\/127\.0\.0\.1:\d+, 0 events so far\n/)
  t.regex(first.stdout, /\nlogger: #1 Customer 1 <customer-1@example\.org> logged\n/)
  t.regex(first.stdout, /logger: stopping\nlogger: stopped\n$/)

  await source.create(2)
  const second = startExample(t, 'logger', args)
  await second.until(() => loggedLines(second) === 2)
  t.regex(second.stdout, /^logger: connected to .*, 3 events so far\n/)
  const again = await RawClient.connect(port)
  await again.publish({ topic: 'DB/CREATE', payload: JSON.stringify(source.created[0]), qos: 1 })
  await second.until(() => second.stdout.includes('#1 Customer 1 <customer-1@example.org> came again'))
  t.deepEqual(await second.kill('SIGINT'), { code: 0, signal: null })
  t.deepEqual(loggedNumbers(data), [1, 2, 3, 4, 5])
  t.deepEqual(await summaryOf(t, ['--data', data]), expectedSummary(source.created))
  const text = (await runExample(t, 'logger', ['--summary', '--data', data])).stdout
  t.regex(text, /^5 customers logged, the last with number 5\n\nby day\n {2}2026-01-01 {2}1\n/)
  t.regex(text, /by user\n {2}ann {9}2\n {2}bob\.miller {2}3\n$/)
})

test('logging database is exactly right after kills of logger and server', async t => {
  let server = await startServer(t)
  const data = join(testFolder(t), 'logger')
  const start = () =>
    startExample(t, 'logger', [
      '--url',
      `mqtt://127.0.0.1:${server.mqttPort}`,
      '--data',
      data,
      '--client-id',
      'log'
    ])
  const source = new CustomerSource(server.mqttPort)
  let logger = start()
  await untilConnected(logger)
  const publishing = source.create(150)
  for (const count of [5, 15]) {
    await logger.until(() => loggedLines(logger) >= count)
    await logger.kill('SIGKILL')
    logger = start()
  }
  await logger.until(() => loggedLines(logger) >= 5)
  await Promise.all([server.program.kill('SIGKILL'), logger.kill('SIGKILL')])
  server = await startServer(t, { dataDirectory: server.dataDirectory })
  source.move(server.mqttPort)
  logger = start()
  await publishing
  const last = source.created.length
  await logger.until(() => logger.stdout.includes(`#${last} `), undefined, `customer ${last}`)
  await logger.kill('SIGTERM')
  t.deepEqual(
    loggedNumbers(data),
    source.created.map(({ number }) => number)
  )
  t.deepEqual(await summaryOf(t, ['--data', data]), expectedSummary(source.created))
})

test('summary in MongoDB is exactly that of the events, also after kills between their writes', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const { port } = await listen(t)
  const storage = ['--mongodb-url', mongodb.url]
  const start = () => startExample(t, 'logger', ['--url', `mqtt://127.0.0.1:${port}`, ...storage])
  const source = new CustomerSource(port)
  let logger = start()
  await untilConnected(logger)
  const publishing = source.create(60)
  for (const count of [3, 6, 9]) {
    await logger.until(() => loggedLines(logger) >= count)
    await logger.kill('SIGKILL')
    logger = start()
  }
  await publishing
  await logger.until(() => logger.stdout.includes('#60 '), undefined, 'customer 60')
  await logger.kill('SIGTERM')
  const events = await mongodb.client.db().collection('logger_events').find().sort({ position: 1 }).toArray()
  t.deepEqual(
    events.map(({ number }) => number),
    source.created.map(({ number }) => number)
  )
  t.deepEqual(await summaryOf(t, storage), expectedSummary(source.created))
})

test('summary in MongoDB takes up an event that a crash has left uncounted', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const storage = ['--mongodb-url', mongodb.url]
  t.is((await summaryOf(t, storage)).events, 0)
  const { id, ...rest } = customerOf(1)
  const document = { _id: id as never, position: 1, ...rest, loggedAt: new Date() }
  await mongodb.client.db().collection('logger_events').insertOne(document)
  t.deepEqual(await summaryOf(t, storage), expectedSummary([{ id, ...rest }]))
  t.deepEqual(await summaryOf(t, storage), expectedSummary([{ id, ...rest }]))
})

test('two loggers on one MongoDB log each customer once, and sum up exactly', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const logs = await Promise.all([MongodbLog.open(mongodb.url), MongodbLog.open(mongodb.url)])
  t.teardown(() => Promise.all(logs.map(log => log.close())))
  const customers = Array.from({ length: 30 }, (_, index) => customerOf(index + 1))
  const added: boolean[] = []
  const addAll = async (log: MongodbLog) => {
    for (const customer of customers) added.push(await log.add(customer))
  }
  await Promise.all(logs.map(addAll))
  t.is(added.filter(isNew => isNew).length, 30)
  t.deepEqual(await logs[0]!.summary(), expectedSummary(customers))
})

test('event that is no customer is reported, and the next one is logged', async t => {
  const { port } = await listen(t)
  const data = join(testFolder(t), 'logger')
  const logger = startExample(t, 'logger', ['--url', `mqtt://127.0.0.1:${port}`, '--data', data])
  await untilConnected(logger)
  const client = await RawClient.connect(port)
  await client.publish({ topic: 'DB/CREATE', payload: '{"id":7}', qos: 1 })
  await client.publish({ topic: 'DB/CREATE', payload: JSON.stringify(customerOf(1)), qos: 1 })
  await logger.until(() => loggedLines(logger) === 1)
  t.regex(logger.stderr, /^logger: a message of DB\/CREATE does not fit: id: /)
})

test('logger waits for a server that is not there, says so once, and stops when it is told', async t => {
  const taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  await new Promise(resolve => taken.close(resolve))
  const logger = startExample(t, 'logger', ['--url', `mqtt://127.0.0.1:${port}`, '--data', testFolder(t)])
  await logger.until(() => logger.stderr.includes('waiting for'))
  t.deepEqual(await logger.kill('SIGTERM'), { code: 0, signal: null })
  t.regex(
    logger.stderr,
    new RegExp(`^logger: waiting for mqtt://127\\.0\\.0\\.1:${port}: .*ECONNREFUSED.*\n$`)
  )
})

test('second logger with the same name takes over, and the first one says so', async t => {
  const { port } = await listen(t)
  const args = ['--url', `mqtt://127.0.0.1:${port}`]
  const first = startExample(t, 'logger', [...args, '--data', join(testFolder(t), 'first')])
  await untilConnected(first)
  const second = startExample(t, 'logger', [...args, '--data', join(testFolder(t), 'second')])
  t.deepEqual(await first.exited(), { code: 1, signal: null })
  t.regex(first.stderr, /another client has connected with the id logger/)
  t.is(second.exit, undefined)
})

test('logger tells what it takes', async t => {
  const help = await runExample(t, 'logger', ['--help'])
  t.is(help.exit?.code, 0)
  for (const option of ['--queue-url', '--client-id', '--data', '--mongodb-url', '--summary', '--json']) {
    t.true(help.stdout.includes(option), option)
  }
  const wrong = await runExample(t, 'logger', ['--sumary'])
  t.is(wrong.exit?.code, 2)
  t.is(wrong.stderr, 'logger: Unknown argument: sumary\nlogger --help tells what it takes\n')
})
