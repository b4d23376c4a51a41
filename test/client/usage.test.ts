import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { Client } from '../../src/client/index.ts'
import { filterMatches } from '../../src/client/topic.ts'
import { startFakeBroker } from '../helpers/cli-fake-broker.ts'
import { newClient, openClient, startScene } from '../helpers/client-scene.ts'

const URL_OF_NOBODY = 'mqtt://127.0.0.1:1'

const WRONG_OPTIONS: readonly [string, ConstructorParameters<typeof Client>, RegExp][] = [
  ['a URL of another kind', ['http://localhost'], /url: expected one such as mqtt:\/\/localhost:1883/],
  ['no URL', ['localhost:1883'], /url: expected/],
  [
    'a durable session without a name',
    [URL_OF_NOBODY, { session: 'durable' }],
    /clientId: a durable session needs one/
  ],
  [
    'a version that is not there',
    [URL_OF_NOBODY, { protocol: 3 as 4 }],
    /protocol: expected 4 \(3\.1\.1\) or 5, found 3/
  ],
  [
    'a window of nothing',
    [URL_OF_NOBODY, { prefetch: 0 }],
    /prefetch: expected a whole number from 1 to 65535, found 0/
  ],
  [
    'limits upside down',
    [URL_OF_NOBODY, { retry: { minMs: 9, maxMs: 1 } }],
    /retry: expected 0 <= minMs <= maxMs/
  ]
]

for (const [what, args, message] of WRONG_OPTIONS) {
  test(`${what} is refused with a clear error`, t => {
    t.throws(() => new Client(...args), { code: 'CLIENT_OPTIONS_INVALID', message })
  })
}

const nothing = () => {}
const WRONG_SUBSCRIPTIONS: readonly [string, Parameters<Client['on']>, RegExp][] = [
  ['QoS 2', ['DB', 'CREATE', nothing, { qos: 2 as 1 }], /qos: expected 0 or 1, found 2/],
  ['more handlers than prefetch', ['DB', 'CREATE', nothing, { concurrency: 101 }], /raise prefetch \(100\)/],
  ['order of all side by side', ['DB', 'CREATE', nothing, { concurrency: 2, order: 'all' }], /one at a time/],
  ['a queue of two levels', ['DB/CREATE', '', nothing], /a queue is one level/],
  ['no queue', ['', 'CREATE', nothing], /the queue is empty/],
  ['# in the middle', ['DB', '#/x', nothing], /has # before its last level/],
  ['no handler', ['DB', 'CREATE', undefined as unknown as () => void], /handler: expected a function/]
]

for (const [what, args, message] of WRONG_SUBSCRIPTIONS) {
  test(`subscription with ${what} is refused with a clear error`, async t => {
    const { client } = newClient(t, URL_OF_NOBODY)
    await t.throwsAsync(client.on(...args), { message })
  })
}

test('publish to a wildcard is refused', async t => {
  const { client } = newClient(t, URL_OF_NOBODY)
  await t.throwsAsync(client.publish('DB', '#', 1), {
    code: 'CLIENT_TOPIC_INVALID',
    message: /has a wildcard/
  })
})

test('closed client refuses to publish and to subscribe', async t => {
  const { url } = await startScene(t)
  const { client } = await openClient(t, url)
  await client.close()
  await t.throwsAsync(client.publish('DB', 'CREATE', 1), { code: 'CLIENT_CLOSED' })
  await t.throwsAsync(client.on('DB', 'CREATE', nothing), { code: 'CLIENT_CLOSED' })
})

test('server that knows only MQTT 3.1.1 is spoken to in it', async t => {
  let isFirst = true
  const broker = await startFakeBroker(t, {
    get connect() {
      const answer = isFirst ? { reasonCode: 1 } : undefined
      isFirst = false
      return answer
    }
  } as Parameters<typeof startFakeBroker>[1])
  const { client, log } = await openClient(t, broker.url)
  t.is(log.connected[0]!.protocol, 4)
  await client.publish('DB', 'CREATE', 1)
})

const REFUSALS = [
  { code: 0x86, name: 'Bad User Name or Password' },
  { code: 0x87, name: 'Not authorized' },
  { code: 0x8a, name: 'Banned' }
]

for (const { code, name } of REFUSALS) {
  test(`open rejects when the server answers "${name}"`, async t => {
    const broker = await startFakeBroker(t, { connect: { reasonCode: code, reasonString: 'go away' } })
    const { client, log } = newClient(t, broker.url, { clientId: 'x' })
    const error = await t.throwsAsync(client.open(), { code: 'CLIENT_REFUSED' })
    t.true(error!.message.includes(`${name} (go away)`), error!.message)
    t.is(log.disconnected.length, 0)
    t.is(client.state, 'closed')
  })
}

test('open rejects in its time when a server does not answer', async t => {
  const broker = await startFakeBroker(t, { connect: 'silence' })
  const { client } = newClient(t, broker.url, { openTimeoutMs: 100 })
  await t.throwsAsync(client.open(), {
    code: 'CLIENT_UNREACHABLE',
    message: /cannot be reached \(no answer\): tried for 100 ms/
  })
  t.is(client.state, 'closed')
})

test('server that is busy is asked again', async t => {
  const answers = [{ reasonCode: 0x89 }, { reasonCode: 0x88 }, undefined]
  const broker = await startFakeBroker(t, {
    get connect() {
      return answers.shift()
    }
  } as Parameters<typeof startFakeBroker>[1])
  const { log } = await openClient(t, broker.url)
  t.deepEqual(
    log.disconnected.map(({ reason }) => reason),
    ['0x89 Server busy', '0x88 Server unavailable']
  )
})

test('close says goodbye although a publish has no ack, and tells', async t => {
  const broker = await startFakeBroker(t, { publish: 'silence' })
  const { client } = await openClient(t, broker.url)
  const published = client.publish('DB', 'CREATE', 1)
  await broker.receives('publish')
  t.deepEqual(await client.close({ timeoutMs: 10 }), { unfinishedHandlers: 0, unfinishedPublishes: 1 })
  await t.throwsAsync(published, { code: 'CLIENT_CLOSED' })
  await broker.receives('disconnect')
})

test('publishes that got no ack go out again once, in their order, after a dead connection', async t => {
  const isFirst = () => broker.received.filter(({ cmd }) => cmd === 'connect').length === 1
  const broker = await startFakeBroker(t, {
    get publish() {
      return isFirst() ? 'silence' : undefined // nor does it answer pings
    }
  } as Parameters<typeof startFakeBroker>[1])
  const { client } = await openClient(t, broker.url, { keepAliveSeconds: 1 })
  const publishes = Array.from({ length: 1_005 }, (_, n) => client.publish('DB', 'CREATE', n))
  await Promise.all(publishes)
  const numbers = broker.received.flatMap(packet =>
    packet.cmd === 'publish' ? [Number(packet.payload)] : []
  )
  t.deepEqual(numbers.slice(1_000), [...Array(1_005).keys()])
})

test('refused publish rejects with the words of the server', async t => {
  const broker = await startFakeBroker(t, { publish: { reasonCode: 0x97 } })
  const { client } = await openClient(t, broker.url)
  await t.throwsAsync(client.publish('DB', 'CREATE', 1), {
    code: 'CLIENT_PUBLISH_REFUSED',
    message: /DB\/CREATE was not published: 0x97 Quota exceeded/
  })
})

test('refused subscription rejects, and its handler is gone', async t => {
  const broker = await startFakeBroker(t, { subscribe: { reasonCode: 0x87 } })
  const { client } = await openClient(t, broker.url)
  await t.throwsAsync(client.on('DB', 'CREATE', nothing), {
    code: 'CLIENT_SUBSCRIBE_REFUSED',
    message: /DB\/CREATE was refused: 0x87 Not authorized/
  })
})

test('filters match as MQTT says', t => {
  const matching = [
    ['DB/#', 'DB'],
    ['DB/#', 'DB/a/b'],
    ['+/CREATE', 'DB/CREATE'],
    ['#', 'a/b'],
    ['DB/+', 'DB/'],
    ['$SYS/#', '$SYS/x']
  ]
  const missing = [
    ['DB/+', 'DB'],
    ['DB/+', 'DB/a/b'],
    ['#', '$SYS/x'],
    ['+/x', '$SYS/x'],
    ['DB', 'DB/a'],
    ['DB/a', 'DB']
  ]
  for (const [filter, topic] of matching) t.true(filterMatches(filter!, topic!), `${filter} ${topic}`)
  for (const [filter, topic] of missing) t.false(filterMatches(filter!, topic!), `${filter} ${topic}`)
})

test('client imports mqtt and its own folder only, so that a browser can load it', t => {
  const folder = fileURLToPath(new URL('../../src/client/', import.meta.url))
  const files = readdirSync(folder).filter(name => name.endsWith('.js'))
  t.true(files.length > 10)
  for (const file of files) {
    const text = readFileSync(`${folder}${file}`, 'utf8')
    for (const [, name] of text.matchAll(/^(?:import|export) .*?from '([^']+)'/gm)) {
      t.true(name === 'mqtt' || /^\.\/[a-z-]+\.js$/.test(name!), `${file}: ${name}`)
    }
    t.notRegex(text, /\b(?:Buffer|process)\./, file)
  }
})
