import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import { generate, type IPublishPacket } from 'mqtt-packet'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'
import { listen } from './helpers/listen.ts'
import { RawClient } from './helpers/raw-client.ts'
import { Signal } from './helpers/signal.ts'
import { testRandom } from './helpers/tools-random.ts'

const PUBLISHERS = 8

function publishOf(topic: string, payload: string | Buffer, qos: 0 | 1 = 0, messageId = 0): Buffer {
  return generate({ cmd: 'publish', topic, payload, qos, messageId, retain: false, dup: false })
}

/** Writes as fast as the other side reads. */
async function writeAll(socket: Socket, packets: Iterable<Buffer>): Promise<void> {
  for (const packet of packets) {
    if (!socket.write(packet)) await new Promise(resolve => socket.once('drain', resolve))
  }
}

/** Counts bytes that come, and lets a test wait for a number of them. */
class ByteCount {
  readonly #signal = new Signal()
  bytes = 0

  constructor(socket: Socket) {
    socket.removeAllListeners('data')
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      this.#signal.notify()
    })
  }

  async reaches(bytes: number): Promise<void> {
    const describe = () => `${this.bytes} of ${bytes} bytes came`
    await this.#signal.until(() => this.bytes >= bytes, { describe })
  }
}

test.serial(
  'a subscriber that stops reading QoS 0 is dropped for, and slows down neither publishers nor others',
  async t => {
    const maxSocketBytes = 1024 * 1024
    const { core, join, peerOf } = await listen(t, { settings: { maxSocketBytes } })
    const stalled = await join({ clientId: 'stalled' })
    const healthy = await join({ clientId: 'healthy' })
    for (const { client } of [stalled, healthy]) await client.subscribe('a/#', 0)
    const received = new ByteCount(healthy.socket)
    stalled.client.pause()
    const packet = publishOf('a/b', Buffer.alloc(4_000))
    const count = 1_000
    const publishers = await Promise.all(
      Array.from({ length: PUBLISHERS }, (_, i) => join({ clientId: `publisher-${i}` }))
    )
    const packets = Array.from({ length: count }, () => packet)
    await Promise.all(
      publishers.map(async ({ client, socket }) => {
        await writeAll(socket, packets)
        await client.ping()
      })
    )
    await received.reaches(PUBLISHERS * count * packet.length)
    t.is(core.directory.client('healthy')!.droppedMessages, 0)
    const { droppedMessages } = core.directory.client('stalled')!
    t.true(droppedMessages > 0)
    t.is(core.directory.server().droppedMessages, droppedMessages)
    t.true(peerOf(stalled.socket)!.writableLength <= maxSocketBytes + packet.length)
  }
)

test.serial(
  'a subscriber that stops reading QoS 1 keeps its place, and slows down neither publishers nor others',
  async t => {
    const { core, join, peerOf } = await listen(t, { settings: { maxInflight: 1_000 } })
    const logger = { clean: false, clientId: 'stalled' }
    const stalled = await join(logger)
    const healthy = await join({ clean: false, clientId: 'healthy' })
    for (const { client } of [stalled, healthy]) await client.subscribe('a/#', 1)
    stalled.client.pause()
    const publishers = await Promise.all(
      Array.from({ length: PUBLISHERS }, (_, i) => join({ clientId: `publisher-${i}` }))
    )
    const count = 60
    const payload = Buffer.alloc(40_000)
    await Promise.all(
      publishers.map(async ({ client }, publisher) => {
        for (let n = 0; n < count; n++) {
          payload.writeUInt32BE(n)
          await client.publish({ topic: `a/${publisher}`, payload, qos: 1 })
        }
      })
    )
    checkOrder(t, await healthy.client.messages(PUBLISHERS * count))
    t.is(core.directory.session('stalled')!.state, 'socket-full')
    const waiting = peerOf(stalled.socket)!.writableLength
    t.true(waiting < 400_000, `${waiting} bytes wait for the stalled one`)
    stalled.client.resume()
    checkOrder(t, await stalled.client.messages(PUBLISHERS * count))
  }
)

/** The messages of each publisher come in its order, once. */
function checkOrder(t: ExecutionContext, messages: readonly IPublishPacket[]): void {
  const last = new Map<string, number>()
  for (const { topic, payload, dup } of messages) {
    const n = (payload as Buffer).readUInt32BE(0)
    if (n !== (last.get(topic) ?? -1) + 1 || dup) t.fail(`${topic} ${n} came after ${last.get(topic)}`)
    last.set(topic, n)
  }
}

test.serial('a publisher that never reads its acks is not read any further, and others go on', async t => {
  const { core, connect } = await startCore(t)
  const [ours, theirs] = duplexPair()
  core.front.handle(theirs)
  const client = RawClient.open(ours)
  await client.login({ clientId: 'deaf' })
  client.pause()
  const publish = publishOf('a', 'x', 1, 1)
  const many = Buffer.concat(Array.from({ length: 5_000 }, () => publish))
  // until what it sends is not taken any more
  let isTaken = true
  for (let writes = 0; isTaken && writes < 100; writes++) {
    ours.write(many)
    isTaken = await until(() => ours.writableLength === 0, 300)
  }
  t.false(isTaken, 'it is still read')
  t.true(theirs.writableLength < 600_000, `${theirs.writableLength} bytes of acks wait`)
  const other = await connect({ clientId: 'other' })
  for (let i = 0; i < 50; i++) await other.publish({ topic: 'a', payload: 'y', qos: 1 })
  t.false(client.isClosed)
})

test.serial('a connection that sends its CONNECT too slowly is closed in connectTimeoutMs', async t => {
  const { core, dial } = await listen(t, { settings: { connectTimeoutMs: 150 } })
  const bytes = generate({ cmd: 'connect', clientId: 'slow', clean: true, keepalive: 0 })
  const closed = Array.from({ length: 50 }, (_, i) => {
    const socket = dial()
    socket.resume()
    // nothing at all, a piece, all but one byte
    socket.write(bytes.subarray(0, i % bytes.length))
    return new Promise(resolve => socket.once('end', resolve))
  })
  await Promise.all(closed)
  t.deepEqual([...core.front.connections], [])
})

test.serial('a packet that is too large is refused at its header, before and after CONNECT', async t => {
  const settings = { maxPacketBytes: 2_048, maxConnectPacketBytes: 512 }
  const { connect, open, core } = await startCore(t, { settings })
  const tooLargeConnect = open()
  tooLargeConnect.sendBytes(Buffer.of(0x10, 0x80, 0x04))
  await tooLargeConnect.closed()
  for (const protocolVersion of [4, 5] as const) {
    const client = await connect({ clientId: 'large', protocolVersion })
    await client.publish({ topic: 'a', payload: Buffer.alloc(2_000), qos: 1 })
    client.sendBytes(Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f))
    await client.closed()
    const last = client.received.at(-1)!
    if (protocolVersion === 5) t.is(last.cmd === 'disconnect' && last.reasonCode, 0x95)
    else t.is(last.cmd, 'puback')
  }
  t.deepEqual([...core.front.connections], [])
})

test.serial(
  '300 takeovers in a burst with a slow store end with one connection and all its messages',
  async t => {
    const { connect, open, store, core } = await startCore(t)
    const logger = { clientId: 'logger', clean: false }
    const first = await connect(logger)
    await first.subscribe('a')
    const publisher = await connect({ clientId: 'publisher' })
    const gate = new Gate()
    const write = store.state.write
    store.state.write = async (changes, options) => {
      await gate.pass()
      await write(changes, options)
    }
    gate.close()
    const logins = Array.from({ length: 300 }, async (_, i) => {
      const client = open()
      // every third asks for a new session: its rows wait at the gate
      const expiry = { protocolVersion: 5, expirySeconds: 1_000 + i } as const
      await client.login({ ...logger, ...(i % 3 === 0 ? expiry : {}), isAcking: false }).catch(() => {})
      return client
    })
    const published: string[] = []
    for (let i = 0; i < 20; i++) {
      published.push(`${i}`)
      await publisher.publish({ topic: 'a', payload: `${i}`, qos: 1 })
    }
    gate.open()
    const clients = await Promise.all(logins)
    const last = await connect(logger)
    const seen = new Set(await last.payloads(20))
    t.deepEqual([...seen], published)
    for (const client of clients) await client.closed()
    t.is([...core.directory.clients()].length, 2)
    t.is([...core.directory.sessions()].length, 2)
    t.is([...core.front.connections].length, 2)
  }
)

test.serial('ids, topics and filters named like properties of Object are plain names', async t => {
  const { connect, core } = await startCore(t)
  const names = ['constructor', '__proto__', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', 'then']
  const publisher = await connect({ clientId: 'then' })
  for (const name of names) {
    const options = { clientId: `${name}`, clean: false, username: name, password: name }
    const subscriber = name === 'then' ? publisher : await connect(options)
    await subscriber.subscribe([name, `${name}/+`, `${name}/${name}/#`])
    await publisher.publish({ topic: `${name}/${name}`, payload: name, qos: 1 })
    t.is((await subscriber.next('publish')).payload.toString(), name)
    t.is(core.directory.client(name)?.clientId, name)
    await subscriber.unsubscribe(name)
  }
})

test.serial('10,000 filters in one SUBSCRIBE are taken, matched and given up within moments', async t => {
  const { connect, core } = await startCore(t)
  const filters = Array.from({ length: 10_000 }, (_, i) => `a/${i}/+`)
  const from = performance.now()
  const subscriber = await connect({ clientId: 'greedy', clean: false })
  const { granted } = await subscriber.subscribe(filters)
  t.is(granted.length, filters.length)
  const publisher = await connect({ clientId: 'publisher' })
  for (let i = 0; i < 100; i++) await publisher.publish({ topic: `a/${i * 100}/x`, payload: `${i}`, qos: 1 })
  t.is((await subscriber.payloads(100)).length, 100)
  t.is(await core.directory.session('greedy')!.backlog(), 0)
  await subscriber.unsubscribe(...filters)
  t.is([...core.directory.session('greedy')!.subscriptions()].length, 0)
  const milliseconds = performance.now() - from
  t.true(milliseconds < 5_000, `${milliseconds} ms`)
})

test.serial(
  '2,000 connections that say nothing, and 500 that come and go at once, leave nothing behind',
  async t => {
    const { core, join, dial } = await listen(t)
    const idle = Array.from({ length: 1_000 }, dial)
    await Promise.all(idle.map(socket => new Promise(resolve => socket.once('connect', resolve))))
    const { client } = await join({ clientId: 'busy' })
    await client.ping()
    for (const socket of idle) socket.destroy()
    const storm = Array.from({ length: 500 }, async (_, i) => {
      const { socket, client: visitor } = await join({ clientId: `storm-${i % 50}` })
      visitor.publishOnly({ topic: 'a', payload: 'x', qos: 1 })
      socket.destroy()
    })
    await Promise.allSettled(storm)
    t.true(await until(() => [...core.front.connections].length === 1))
    t.is([...core.directory.sessions()].length, 1)
    t.is(core.broker.aedes.connectedClients, 1)
  }
)

test.serial(
  'whatever clients do, whenever they are cut off, the server stays whole and forgets them',
  async t => {
    const random = testRandom(t)
    const { core, join, log } = await listen(t)
    const witness = await join({ clientId: 'witness', clean: false })
    await witness.client.subscribe('proof')
    const rude = async (i: number): Promise<void> => {
      const protocolVersion = random.chance(0.5) ? 5 : 4
      const { client, socket } = await join({
        clientId: `rude-${i % 20}`,
        clean: random.chance(0.7),
        protocolVersion
      })
      const deeds = [
        () => client.publishOnly({ topic: 'a/b', payload: Buffer.alloc(random.below(5_000)), qos: 1 }),
        () => client.publishOnly({ topic: 'a/c', payload: 'x', qos: 0 }),
        () =>
          client.send({
            cmd: 'subscribe',
            messageId: client.nextId(),
            subscriptions: [{ topic: 'a/#', qos: 1 }]
          }),
        () => client.send({ cmd: 'unsubscribe', messageId: client.nextId(), unsubscriptions: ['a/#'] }),
        () => client.send({ cmd: 'pingreq' }),
        () => client.pause(),
        () => client.sendBytes(Buffer.of(random.below(256), random.below(128)))
      ]
      for (let n = random.below(12); n > 0; n--) deeds[random.below(deeds.length)]!()
      const end = random.below(3)
      if (end === 0) socket.resetAndDestroy()
      else if (end === 1) socket.end()
      else await new Promise(resolve => setImmediate(resolve))
      socket.destroy()
    }
    const visits: Promise<void>[] = []
    for (let i = 0; i < 300; i++) {
      visits.push(rude(i))
      if (i % 10 === 0) await Promise.allSettled(visits.slice(-5))
    }
    await Promise.allSettled(visits)
    t.true(await until(() => [...core.front.connections].length === 1))
    await witness.client.publish({ topic: 'proof', payload: 'whole', qos: 1 })
    t.deepEqual(await witness.client.payloads(1), ['whole'])
    t.deepEqual(log.texts('error'), [])
    for (const session of core.directory.sessions()) t.true(session.isPersistent)
  }
)

test.serial('a server with stalled, idle and half-open clients stops without waiting for them', async t => {
  const { core, join, dial } = await listen(t)
  const stalled = await join({ clientId: 'stalled' })
  await stalled.client.subscribe('a', 0)
  stalled.client.pause()
  dial()
  const half = await join({ clientId: 'half' })
  half.socket.allowHalfOpen = true
  const publisher = await join({ clientId: 'publisher' })
  await writeAll(
    publisher.socket,
    Array.from({ length: 2_000 }, () => publishOf('a', Buffer.alloc(4_000)))
  )
  await publisher.client.ping()
  const from = performance.now()
  await core.close()
  const milliseconds = performance.now() - from
  t.true(milliseconds < 2_000, `${milliseconds} ms`)
  t.deepEqual([...core.front.connections], [])
})

/** Waits, turn by turn, for a condition inside this process; false when it does not come. */
async function until(condition: () => boolean, turns = 100_000): Promise<boolean> {
  for (let turn = 0; turn < turns; turn++) {
    if (condition()) return true
    await new Promise(resolve => setImmediate(resolve))
  }
  return false
}
