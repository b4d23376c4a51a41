import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { readSalesPeople } from '../../examples/monitor/sales-people.ts'
import { CustomerSource, runExample, startExample, untilConnected } from '../helpers/example-follower.ts'
import { type FakeTwilio, startFakeTwilio } from '../helpers/example-twilio.ts'
import { listen } from '../helpers/listen.ts'
import { startMongodb } from '../helpers/mongodb.ts'
import { type Program, startServer, testFolder } from '../helpers/process.ts'

const ANN = '+15550100001'
const BOB = '+15550100002'
const EVA = '+15550100003'
const PEOPLE = [`Ann=${ANN}`, `Bob=${BOB}`, `Eva=${EVA}`].flatMap(person => ['--sales-person', person])

/**
 * A pretended Twilio, and a way to start monitors with the same notes; the server is in this process if none is
 * given.
 */
async function startScene(t: ExecutionContext, parts: { mqttPort?: number; notes?: readonly string[] } = {}) {
  const port = parts.mqttPort ?? (await listen(t)).port
  const twilio = await startFakeTwilio(t)
  const notes = parts.notes ?? ['--data', join(testFolder(t), 'monitor')]
  const start = (mqttPort = port): Program => {
    const args = ['--url', `mqtt://127.0.0.1:${mqttPort}`, ...PEOPLE, ...notes, ...twilio.args]
    return startExample(t, 'monitor', args, twilio.env)
  }
  return { twilio, start, source: new CustomerSource(port) }
}

/** How often each customer number was texted to each phone: `+15550100001 #1` -> 1. */
function counts({ taken }: FakeTwilio): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { to, body } of taken) {
    const name = `${to} ${/#\d+/.exec(body)?.[0]}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

/** One text to each of these phones about each customer up to a number. */
function onceEach(customers: number, phones = [ANN, BOB, EVA]): Record<string, number> {
  const numbers = Array.from({ length: customers }, (_, index) => index + 1)
  return Object.fromEntries(numbers.flatMap(number => phones.map(phone => [`${phone} #${number}`, 1])))
}

async function untilTold(monitor: Program, number: number): Promise<void> {
  const line = new RegExp(`^monitor: #${number} .* told$`, 'm')
  await monitor.until(() => line.test(monitor.stdout), undefined, `customer ${number}`)
}

test('everybody gets one text about each customer, by a Twilio that fails at first', async t => {
  const { twilio, start, source } = await startScene(t)
  twilio.fateOf = (_to, request) => (request <= 2 ? 503 : request === 5 ? 429 : 'take')
  const monitor = start()
  await untilConnected(monitor)
  await source.create(2)
  await untilTold(monitor, 2)
  t.deepEqual(counts(twilio), onceEach(2))
  t.is(twilio.requests, 9)
  t.deepEqual(twilio.taken[0], {
    to: ANN,
    from: '+15550100000',
    body: 'New customer #1 Customer 1 <customer-1@example.org>, account created by bob.miller'
  })
  t.deepEqual(await monitor.kill('SIGTERM'), { code: 0, signal: null })
  t.regex(monitor.stdout, /^monitor: connected to mqtt:\/\/127\.0\.0\.1:\d+, 0 texts so far\n/)
  t.regex(monitor.stdout, /\nmonitor: #1 Customer 1 <customer-1@example\.org>: Ann, Bob, Eva told\n/)
})

test('customer comes again until the last person has a text, and nobody gets two', async t => {
  const { twilio, start, source } = await startScene(t)
  let isDown = true
  twilio.fateOf = to => (to === BOB && isDown ? 503 : 'take')
  const monitor = start()
  await untilConnected(monitor)
  await source.create(2)
  await monitor.until(() => /attempt 1.*1 of 3 not texted: Twilio answered 503/.test(monitor.stderr))
  t.deepEqual(
    counts(twilio),
    onceEach(1, [ANN, EVA]),
    'the others have theirs, and the second customer waits'
  )
  isDown = false
  await untilTold(monitor, 2)
  t.deepEqual(counts(twilio), onceEach(2))
})

test('number that does not exist is reported and holds nobody up', async t => {
  const { twilio, start, source } = await startScene(t)
  twilio.fateOf = to => (to === BOB ? 400 : 'take')
  const monitor = start()
  await untilConnected(monitor)
  await source.create(2)
  await untilTold(monitor, 2)
  t.deepEqual(counts(twilio), onceEach(2, [ANN, EVA]))
  t.is(twilio.requests, 6)
  t.regex(
    monitor.stderr,
    /monitor: Bob \(\+15550100002\) was not texted: Twilio answered 400: no such luck \(21211\)/
  )
})

test('text whose answer got lost is looked up before it is sent again', async t => {
  const { twilio, start, source } = await startScene(t)
  twilio.fateOf = (_to, request) => (request === 2 ? 'take-and-hang-up' : 'take')
  const monitor = start()
  await untilConnected(monitor)
  await source.create(1)
  await untilTold(monitor, 1)
  t.deepEqual(counts(twilio), onceEach(1))
  t.deepEqual([twilio.requests, twilio.lists], [3, 1])
})

test('text that was taken before a kill is not sent again', async t => {
  const { twilio, start, source } = await startScene(t)
  twilio.fateOf = to => (to === BOB && twilio.lists === 0 ? 'take-silently' : 'take')
  const first = start()
  await untilConnected(first)
  await source.create(1)
  await twilio.until(() => twilio.taken.length === 2, 'the text to Bob')
  await first.kill('SIGKILL')
  const second = start()
  await untilTold(second, 1)
  t.deepEqual(counts(twilio), onceEach(1))
})

test('text that was lost with a kill is sent', async t => {
  const { twilio, start, source } = await startScene(t)
  twilio.fateOf = to => (to === BOB && twilio.lists === 0 ? 'lose' : 'take')
  const first = start()
  await untilConnected(first)
  await source.create(1)
  await twilio.until(() => twilio.requests === 2, 'the request for Bob')
  await first.kill('SIGKILL')
  const second = start()
  await untilTold(second, 1)
  t.deepEqual(counts(twilio), onceEach(1))
})

test('one text per person and customer over kills of monitor and server', async t => {
  const server = await startServer(t)
  const { twilio, start, source } = await startScene(t, server)
  let monitor = start()
  await untilConnected(monitor)
  const publishing = source.create(40)
  for (const texts of [10, 31]) {
    await twilio.until(() => twilio.taken.length >= texts, `${texts} texts`)
    await monitor.kill('SIGKILL')
    monitor = start()
  }
  await twilio.until(() => twilio.taken.length >= 50, '50 texts')
  await Promise.all([server.program.kill('SIGKILL'), monitor.kill('SIGKILL')])
  const next = await startServer(t, { dataDirectory: server.dataDirectory })
  source.move(next.mqttPort)
  monitor = start(next.mqttPort)
  await publishing
  await untilTold(monitor, 40)
  t.deepEqual(counts(twilio), onceEach(40))
})

test('notes about texts are kept in MongoDB when it is given', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  const { twilio, start, source } = await startScene(t, { notes: ['--mongodb-url', mongodb.url] })
  const first = start()
  await untilConnected(first)
  await source.create(2)
  await untilTold(first, 2)
  await first.kill('SIGKILL')
  await source.create(1)
  const second = start()
  await untilTold(second, 3)
  t.regex(second.stdout, /connected to .*, [6-9] texts so far/)
  t.deepEqual(counts(twilio), onceEach(3))
})

test('webhook gets each text with the same key at every attempt', async t => {
  const keys: string[] = []
  const bodies: { key: string; name: string; phone: string; text: string }[] = []
  const webhook = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    keys.push(String(request.headers['idempotency-key']))
    bodies.push(JSON.parse(body))
    response.writeHead(keys.length === 1 ? 500 : 204).end()
  })
  await new Promise<void>(resolve => webhook.listen(0, '127.0.0.1', resolve))
  t.teardown(() => webhook.close())
  const url = `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/texts`
  const { port } = await listen(t)
  const people = join(testFolder(t), 'people.json')
  writeFileSync(people, JSON.stringify([{ name: 'Ann', phone: ANN }]))
  const monitor = startExample(t, 'monitor', [
    ...['--url', `mqtt://127.0.0.1:${port}`, '--data', testFolder(t)],
    ...['--sales-people', people, '--transport', 'webhook', '--webhook-url', url]
  ])
  await untilConnected(monitor)
  const source = new CustomerSource(port)
  await source.create(1)
  await untilTold(monitor, 1)
  const key = `${source.created[0]!.id} ${ANN}`
  t.deepEqual(keys, [key, key])
  t.is(bodies[1]!.key, key)
  t.deepEqual([bodies[1]!.name, bodies[1]!.phone], ['Ann', ANN])
  t.regex(bodies[1]!.text, /^New customer #1 /)
  await monitor.kill('SIGTERM')
})

test('texts are printed when nothing else is asked for', async t => {
  const { port } = await listen(t)
  const monitor = startExample(t, 'monitor', ['--url', `mqtt://127.0.0.1:${port}`, '--data', testFolder(t)])
  await untilConnected(monitor)
  await new CustomerSource(port).create(1)
  await untilTold(monitor, 1)
  t.regex(
    monitor.stdout,
    /^text to Sam \(\+15550100101\): New customer #1 Customer 1 <customer-1@example\.org>/m
  )
  t.regex(monitor.stdout, /^text to Kim /m)
  t.deepEqual(await monitor.kill('SIGINT'), { code: 0, signal: null })
})

test('sales people that are none are refused with a clear error', t => {
  t.throws(() => readSalesPeople(undefined, ['Ann']), {
    message: '--sales-person: expected one such as Ann=+15550100123, found Ann'
  })
  t.throws(() => readSalesPeople('/nowhere/people.json', []), {
    message: /sales people in \/nowhere\/people\.json: expected .*ENOENT/
  })
  const file = join(testFolder(t), 'people.json')
  writeFileSync(file, '[{"name": "Ann", "phone": "110"}]')
  t.throws(() => readSalesPeople(file, []), { message: /expected a number such as \+15550100123/ })
})

test('somebody who is named twice gets one text', t => {
  t.is(readSalesPeople(undefined, [`Ann=${ANN}`, `Ann Smith=${ANN}`]).length, 1)
})

test('wrong command line is refused with a clear error', async t => {
  const [webhook, pigeon] = await Promise.all([
    runExample(t, 'monitor', ['--transport', 'webhook', '--data', testFolder(t)]),
    runExample(t, 'monitor', ['--transport', 'pigeon'])
  ])
  t.deepEqual([webhook.exit?.code, webhook.stderr], [1, 'monitor: this transport needs --webhook-url\n'])
  t.is(pigeon.exit?.code, 2)
  t.regex(pigeon.stderr, /Choices: "console", "webhook", "twilio"/)
})

test('monitor tells what it takes', async t => {
  const help = await runExample(t, 'monitor', ['--help'])
  t.is(help.exit?.code, 0)
  for (const option of [
    '--queue-url',
    '--client-id',
    '--sales-people',
    '--sales-person',
    '--transport',
    '--data'
  ]) {
    t.true(help.stdout.includes(option), option)
  }
})
