import { connect } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { type Bus, type Clock, type PluginContext, systemClock } from '../../src/plugin.ts'
import { RecordingLog } from '../../test/helpers/core.ts'
import { FakeDirectory, fakeContext } from '../../test/helpers/http-directory.ts'
import { startRedis } from '../../test/helpers/redis.ts'
import { Signal } from '../../test/helpers/signal.ts'
import { TcpProxy } from '../../test/helpers/tcp-proxy.ts'
import { databaseOf, parseRedisUrl } from './address.ts'
import { redis } from './index.ts'

/** What is done every second is done so often here. */
const HASTE = 10

const hasty: Clock = {
  ...systemClock,
  every: (periodMs, callback) => systemClock.every(periodMs / HASTE, callback)
}

/** One broker's end of the bus. */
class End {
  readonly bus: Bus
  readonly log = new RecordingLog()
  readonly heard: { readonly channel: string; readonly bytes: Buffer }[] = []
  readonly context: PluginContext
  readonly #signal = new Signal()

  constructor(context: PluginContext, bus: Bus, log: RecordingLog) {
    this.context = context
    this.bus = bus
    this.log = log
  }

  /** Connects, and hears these channels from now on. */
  listen(...channels: string[]): this {
    for (const channel of channels) {
      this.bus.listen(channel, bytes => {
        this.heard.push({ channel, bytes })
        this.#signal.notify()
      })
    }
    return this
  }

  until(condition: () => boolean, what: string): Promise<boolean> {
    const timer = setInterval(() => this.#signal.notify(), 5)
    const describe = () =>
      `${what}; heard ${JSON.stringify(this.heard)}; log ${JSON.stringify(this.log.lines)}`
    return this.#signal.until(condition, { describe }).finally(() => clearInterval(timer))
  }

  up(): Promise<boolean> {
    return this.until(() => this.bus.isConnected, 'a bus that is connected')
  }

  down(): Promise<boolean> {
    return this.until(() => !this.bus.isConnected, 'a bus that is not connected')
  }

  texts(channel: string): string[] {
    return this.heard.filter(one => one.channel === channel).map(({ bytes }) => bytes.toString())
  }

  /** Of a counter or gauge of the bus. */
  async metric(name: string): Promise<number | undefined> {
    const [line] = /^restante_redis_\w+ \d+$/m.exec(
      await this.context.metrics.getSingleMetricAsString(`restante_redis_${name}`)
    ) ?? ['']
    return line === '' ? undefined : Number(line.split(' ')[1])
  }
}

interface EndOptions {
  readonly mongodbUrl?: string
  readonly prefix?: string
  readonly clock?: Clock
}

async function open(t: ExecutionContext, redisUrl: string, options: EndOptions = {}): Promise<End> {
  const { mongodbUrl = 'mongodb://127.0.0.1/shop', prefix = '', clock = hasty } = options
  const log = new RecordingLog()
  const plain = fakeContext({ directory: new FakeDirectory() })
  const settings = { ...plain.settings, redisUrl, mongodbUrl }
  const context = { ...plain, settings, log, clock }
  const { bus, close } = await redis.setup(context, { prefix })
  t.teardown(() => close!())
  return new End(context, bus!, log)
}

/** Sends one command to a Redis, as anybody may; resolves with its answer. */
function command(port: number, ...words: readonly (string | Buffer)[]): Promise<string> {
  const parts = words.map(word => Buffer.from(word))
  const framed = parts.map(part =>
    Buffer.concat([Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')])
  )
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', reject)
    socket.once('data', answer => {
      socket.destroy()
      resolve(answer.toString())
    })
    socket.write(Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...framed]))
  })
}

/** How many connections a Redis has ever taken, that of the question included. */
async function connectionsTo(port: number): Promise<number> {
  const [, count] = /total_connections_received:(\d+)/.exec(await command(port, 'INFO', 'stats')) ?? []
  return Number(count)
}

test('bytes reach the others on their channel, and not whoever told them', async t => {
  const server = await startRedis(t)
  if (!server) return
  const ends = await Promise.all([1, 2, 3].map(() => open(t, server.url)))
  const [a, b, c] = ends as [End, End, End]
  for (const end of ends) end.listen('head', 'qos0')
  for (const end of ends) await end.up()

  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  a.bus.tell('qos0', everyByte)
  a.bus.tell('call', Buffer.from('nobody listens to this'))
  a.bus.tell('head', Buffer.alloc(0))
  b.bus.tell('head', Buffer.from('from b'))
  await c.until(() => c.heard.length === 3, 'what a and b have told')
  t.deepEqual(
    c.heard.find(({ channel }) => channel === 'qos0'),
    { channel: 'qos0', bytes: everyByte }
  )
  t.deepEqual(c.texts('head').sort(), ['', 'from b'])
  await b.until(() => b.heard.length === 2, 'what a has told')
  await a.until(() => a.heard.length === 1, 'what b has told')
  t.deepEqual(a.texts('head'), ['from b'])
  t.is(await a.metric('told_total'), 3)
  t.is(await c.metric('heard_total'), 4)
  t.is(await c.metric('connected'), 1)
})

test('nothing is sent before the first use, and nothing after the end', async t => {
  const server = await startRedis(t)
  if (!server) return
  const proxy = await TcpProxy.start(t, server)
  const end = await open(t, `redis://127.0.0.1:${proxy.port}`)
  t.is(proxy.connections, 0)
  await end.listen('head').up()
  t.is(proxy.connections, 2)
  await end.bus.close()
  t.false(end.bus.isConnected)
  end.bus.tell('head', Buffer.from('too late'))
  end.bus.listen('head', () => {})
  await end.bus.close()
  await end.until(() => proxy.connections === 0, 'the end of both connections')
  t.deepEqual(end.log.texts('warn'), [])
})

test('installations on one Redis do not hear each other', async t => {
  const server = await startRedis(t)
  if (!server) return
  const shop = await open(t, server.url)
  const ends = await Promise.all([
    open(t, server.url, { mongodbUrl: 'mongodb://127.0.0.1/stock' }),
    open(t, server.url, { prefix: 'shop/#' }),
    open(t, server.url, { prefix: 'sho*' }),
    open(t, server.url, { mongodbUrl: 'mongodb://elsewhere/other', prefix: 'shop' })
  ])
  for (const end of [shop, ...ends]) await end.listen('head').up()
  shop.bus.tell('head', Buffer.from('for the shop'))
  const same = ends.at(-1)!
  await same.until(() => same.heard.length === 1, 'what the shop has told')
  // each has heard itself behind it, so what was before would be here
  for (const end of ends.slice(0, -1)) end.bus.tell('head', Buffer.from('own'))
  const twin = await open(t, server.url, { prefix: 'shop/#' })
  await twin.listen('head').up()
  ends[1]!.bus.tell('head', Buffer.from('to its twin'))
  await twin.until(() => twin.heard.length > 0, 'what its twin has told')
  for (const end of ends.slice(0, -1)) t.deepEqual(end.heard, [])
})

test('a Redis that comes late, is killed and comes again is told of once each, and joined by itself', async t => {
  const server = await startRedis(t)
  if (!server) return
  await server.stop()
  const a = (await open(t, server.url)).listen('head')
  const b = (await open(t, server.url)).listen('head')
  await a.until(() => a.log.texts('warn').length === 1, 'a warning')
  a.bus.tell('head', Buffer.from('nobody there'))
  t.false(a.bus.isConnected)

  await server.restart()
  await Promise.all([a.up(), b.up()])
  a.bus.tell('head', Buffer.from('first'))
  await b.until(() => b.heard.length === 1, 'the first message')

  server.pause()
  a.bus.tell('head', Buffer.from('on its way'))
  await server.stop()
  await Promise.all([a.down(), b.down()])
  // the one connection may have seen the end before the other
  while ((await a.metric('dropped_total'))! < 10) a.bus.tell('head', Buffer.from('lost'))
  t.is(await a.metric('connected'), 0)
  await server.restart()
  await Promise.all([a.up(), b.up()])
  a.bus.tell('head', Buffer.from('second'))
  await b.until(() => b.texts('head').at(-1) === 'second', 'the second message')
  t.deepEqual(b.texts('head'), ['first', 'second'])
  t.is(await a.metric('dropped_total'), 10)

  const [atStart, later, ...more] = a.log.texts('warn')
  t.regex(atStart!, /^the Redis at 127\.0\.0\.1:\d+ cannot be reached \(connect ECONNREFUSED/)
  t.regex(later!, /cannot be reached/)
  t.deepEqual(more, [])
  t.is(a.log.texts('info').length, 2)
  t.deepEqual(a.log.texts('error'), [])
})

test('a Redis that stands still is found out, takes no memory, and is joined when it goes on', async t => {
  const server = await startRedis(t)
  if (!server) return
  const a = (await open(t, server.url)).listen('qos0')
  const b = (await open(t, server.url)).listen('qos0')
  await Promise.all([a.up(), b.up()])
  server.pause()
  t.teardown(() => server.resume())
  const bytes = Buffer.alloc(1_024 * 1_024)
  for (let i = 0; i < 300; i++) a.bus.tell('qos0', bytes)
  t.true((await a.metric('told_total'))! < 10)
  t.true((await a.metric('dropped_total'))! > 290)
  await Promise.all([a.down(), b.down()])
  t.regex(a.log.texts('warn')[0]!, /no answer/)
  server.resume()
  await Promise.all([a.up(), b.up()])
  a.bus.tell('qos0', Buffer.from('on'))
  await b.until(() => b.texts('qos0').at(-1) === 'on', 'the message behind')
  // once for each outage, not for each attempt; a slow machine takes a Redis that has just gone on for one that has not
  t.is(a.log.texts('warn').length, 1)
})

for (const direction of ['toServer', 'toClient'] as const) {
  test(`a link that loses what goes one way (${direction}) is found out and made anew`, async t => {
    const server = await startRedis(t)
    if (!server) return
    const proxy = await TcpProxy.start(t, server)
    const a = (await open(t, `redis://127.0.0.1:${proxy.port}`)).listen('head')
    const b = (await open(t, server.url)).listen('head')
    await Promise.all([a.up(), b.up()])
    const before = await connectionsTo(server.port)
    proxy.swallow(direction)
    await a.down()
    // each question takes one too
    for (let asked = 1; (await connectionsTo(server.port)) - before === asked; asked++);
    a.bus.tell('head', Buffer.from('lost'))
    t.true(b.bus.isConnected)
    await proxy.resume()
    await a.up()
    a.bus.tell('head', Buffer.from('there'))
    await b.until(() => b.texts('head').at(-1) === 'there', 'the message behind')
  })
}

test('what others put on the channel, and a listener that throws, hurt nobody', async t => {
  const server = await startRedis(t)
  if (!server) return
  const a = (await open(t, server.url)).listen('head')
  const b = await open(t, server.url)
  b.bus.listen('head', () => {
    throw new Error('not understood')
  })
  b.listen('head')
  await Promise.all([a.up(), b.up()])
  // no msgpack, msgpack of no message, a message of another kind
  const foreign = ['c1', '93010203', '82a26964a131a36d7367c0', '82a26964a132a36d736781a5746f706963a178', '']
  for (const hex of foreign) {
    t.is(await command(server.port, 'PUBLISH', 'restante/shop', Buffer.from(hex, 'hex')), ':2\r\n')
  }
  a.bus.tell('head', Buffer.from('behind'))
  await b.until(() => b.heard.length === 1, 'the message behind')
  t.deepEqual(b.texts('head'), ['behind'])
  t.deepEqual(b.log.texts('error'), ['what the bus brought was not understood: not understood'])
  t.true(b.bus.isConnected)
})

test('a password is used and never told, also when Redis refuses it', async t => {
  const server = await startRedis(t)
  if (!server) return
  t.is(await command(server.port, 'CONFIG', 'SET', 'requirepass', 's3cret/+x'), '+OK\r\n')
  const right = await open(t, `redis://:s3cret%2F%2Bx@127.0.0.1:${server.port}`)
  const wrong = await open(t, `redis://:s3cret-wrong@127.0.0.1:${server.port}`)
  const none = await open(t, server.url)
  await right.listen('head').up()
  for (const end of [wrong, none]) {
    end.listen('head')
    await end.until(() => end.log.texts('warn').length === 1, 'a warning')
    t.false(end.bus.isConnected)
  }
  t.regex(wrong.log.texts('warn')[0]!, /WRONGPASS/)
  t.regex(none.log.texts('warn')[0]!, /NOAUTH/)
  for (const { log } of [right, wrong, none]) t.notRegex(JSON.stringify(log.lines), /s3cret/)
})

test('an address that is none is refused with what was expected, and nothing of it is shown', async t => {
  const bad = [
    'localhost:6379',
    'http://s3cret@localhost',
    'redis://',
    'redis://:s3cret%@localhost',
    'redis://:s3cret@localhost/x',
    'redis://:s3cret@localhost?family=6',
    'redis://:s3cret@localhost:66000'
  ]
  for (const url of bad) {
    const error = await t.throwsAsync(open(t, url), { code: 'QUEUE_CONFIG_INVALID' }, url)
    t.regex(error?.message ?? '', /^redisUrl .*expected redis:\/\/host:port/)
    t.notRegex(JSON.stringify([error?.message, error]), /s3cret/)
  }
  t.deepEqual(parseRedisUrl('rediss://ann:p%40ss@[::1]:7000/3'), {
    ...{ host: '::1', port: 7000, username: 'ann', password: 'p@ss', hasTls: true }
  })
  t.like(parseRedisUrl('redis://cache'), { host: 'cache', port: 6379, username: undefined, hasTls: false })
})

test('the database of an address of MongoDB is found', t => {
  t.is(databaseOf('mongodb://a:1,b:2/shop?replicaSet=r'), 'shop')
  t.is(databaseOf('mongodb+srv://u:p%2F@host/shop'), 'shop')
  t.is(databaseOf('mongodb://host'), 'restante')
  t.is(databaseOf('mongodb://host/?w=1'), 'restante')
})

test('without an address there is no bus', async t => {
  const parts = await redis.setup(fakeContext({ directory: new FakeDirectory() }), { prefix: '' })
  t.deepEqual(parts, {})
})
