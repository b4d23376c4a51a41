import { duplexPair } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import { Session } from '../src/delivery/session.ts'
import { Subscription } from '../src/delivery/subscription.ts'
import { LaneMarks } from '../src/lane.ts'
import { Router } from '../src/routing/router.ts'
import { Stream } from '../src/routing/stream.ts'
import { Framer } from '../src/wire/framer.ts'
import { startCore, type TestCore } from './helpers/core.ts'
import type { ModelStore } from './helpers/model-store.ts'
import { RawClient, type RawConnect } from './helpers/raw-client.ts'
import { idleHost } from './helpers/stand-ins.ts'

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

/** A client of which the server's end of the connection can be looked at. */
async function connectOpenly({ core }: TestCore<ModelStore>, options: RawConnect = {}) {
  const [ours, theirs] = duplexPair()
  core.front.handle(theirs)
  const client = RawClient.open(ours)
  await client.login(options)
  return { client, ours, theirs }
}

/** Lets the server work until nothing moves any more. */
async function settleStreams(t: ExecutionContext, ...lengths: (() => number)[]): Promise<void> {
  let quiet = 0
  let last = ''
  for (let i = 0; quiet < 50; i++) {
    if (i > 100_000) return t.fail('the streams do not come to rest')
    await turn()
    const now = lengths.map(length => length()).join()
    quiet = now === last ? quiet + 1 : 0
    last = now
  }
}

test('a client that never reads its answers is not read any further, until it does', async t => {
  const scene = await startCore(t)
  const { client, ours, theirs } = await connectOpenly(scene)
  let answered = 0
  client.pause()
  ours.on('data', (bytes: Buffer) => {
    answered += bytes.length
  })
  client.pause()
  const total = 250_000
  const pings = Buffer.alloc(2 * 10_000)
  for (let i = 0; i < pings.length; i += 2) pings[i] = 0xc0
  for (let sent = 0; sent < total; sent += 10_000) client.sendBytes(pings)
  await settleStreams(
    t,
    () => ours.writableLength,
    () => theirs.writableLength
  )
  t.true(theirs.writableLength < 400_000, `${theirs.writableLength} bytes wait in the server`)
  t.true(ours.writableLength > 50_000, 'the rest waits at the client')
  client.resume()
  await settleStreams(
    t,
    () => answered,
    () => theirs.writableLength
  )
  t.is(answered, 2 * total)
})

/** Megabytes by which the process grows while something runs. */
function growth(run: () => void): number {
  const before = process.memoryUsage().rss
  run()
  return (process.memoryUsage().rss - before) / 2 ** 20
}

test('a packet that comes byte by byte does not take hundreds of times its size', t => {
  const sink = { isHeld: false, maxPacketBytes: 2 ** 24, packets: 0, packet: () => void sink.packets++ }
  const framer = new Framer(sink)
  const bytes = 500_000
  framer.push(Buffer.of(0x30, 0x80 | (bytes & 127), 0x80 | ((bytes >> 7) & 127), bytes >> 14))
  const megabytes = growth(() => {
    for (let i = 1; i < bytes; i++) framer.push(Buffer.from(new ArrayBuffer(1)))
  })
  t.is(framer.pendingBytes, bytes + 3)
  t.true(megabytes < 80, `${megabytes} MB more`)
  framer.push(Buffer.of(0))
  t.is(sink.packets, 1)
  t.is(framer.pendingBytes, 0)
})

test('topics as long as they may be do not fill the memory', t => {
  const router = new Router<Subscription>(128)
  const topic = Buffer.alloc(60_000, 'x')
  const megabytes = growth(() => {
    for (let i = 0; i < 5_000; i++) {
      topic.write(`${i}/`)
      t.is(router.routeBytes(topic, 0, topic.length).topic.length, topic.length)
    }
  })
  t.true(megabytes < 150, `${megabytes} MB more`)
})

/** A session that has so many filters, and messages spread over them. */
function sessionOf(filters: number, messages: number): Session {
  const options = { clientId: 'a', sessionId: 1, createdAt: 0, expirySeconds: null }
  const session = new Session(options, idleHost)
  const streams = Array.from({ length: filters }, (_, i) => new Stream<Subscription>(i + 1, `filter/${i}`))
  for (const stream of streams) {
    const subscription = new Subscription(session, stream, { qos: 1, from: new LaneMarks(), createdAt: 0 })
    session.subscriptions.set(stream.filter, subscription)
    stream.durable.add(subscription)
  }
  for (let sequence = 1; sequence <= messages; sequence++) {
    streams[sequence % filters]!.add(sequence)
    streams[(sequence * 7) % filters]!.add(sequence)
  }
  return session
}

test('the backlog over 10,000 filters is counted in no time', t => {
  const session = sessionOf(10_000, 20_000)
  const from = performance.now()
  t.is(session.countOwed(), 20_000)
  const milliseconds = performance.now() - from
  t.true(milliseconds < 1_000, `${milliseconds} ms`)
})

test('10,000 filters with messages are left in no time', t => {
  const session = sessionOf(10_000, 20_000)
  session.attach({} as never)
  const from = performance.now()
  for (const subscription of session.subscriptions.values()) session.leave(subscription)
  const milliseconds = performance.now() - from
  t.is(session.peek(), null)
  t.true(milliseconds < 400, `${milliseconds} ms`)
})
