import { readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import type { Aedes, AedesPublishPacket, Client } from 'aedes'
import memory from 'aedes-persistence'
import test from 'ava'
import { generate, type IConnackPacket, type IConnectPacket, type Packet, parser } from 'mqtt-packet'
import { Inner, type InnerListener } from '../src/front/inner.ts'
import { event, openClient, quiet, startAedes, VERSIONS } from './helpers/aedes.ts'
import { Signal } from './helpers/signal.ts'

/*
 * What src/broker/broker.ts and src/front/handshake.ts take for granted of Aedes, asked of Aedes alone by its public
 * surface. What comes out of it through the front is in aedes-front.test.ts and aedes-hooks.test.ts.
 */

/** A connection as the front gives it to Aedes, and what Aedes does with it. */
class Probe implements InnerListener {
  readonly inner = new Inner(
    this,
    Object.assign(new PassThrough(), { remoteAddress: '192.0.2.1', remotePort: 4_000 })
  )
  readonly client: Client
  readonly packets: Packet[] = []
  /** Asked at the first byte that Aedes writes. */
  readonly atFirstByte: () => void
  readonly #signal = new Signal()
  readonly #parser: ReturnType<typeof parser>
  #hasWritten = false

  constructor(aedes: Aedes, protocolVersion: number, atFirstByte = () => {}) {
    this.atFirstByte = atFirstByte
    this.#parser = parser({ protocolVersion })
    this.#parser.on('packet', packet => this.packets.push(packet))
    this.client = aedes.handle(this.inner)
  }

  fromAedes(bytes: Buffer): void {
    if (!this.#hasWritten) this.atFirstByte()
    this.#hasWritten = true
    this.#parser.parse(bytes)
    this.#signal.notify()
  }

  aedesClosed(): void {}

  /** CONNECT as the front writes it anew: clean, no expiry, no keep alive. */
  async connect(options: Partial<IConnectPacket> & { protocolVersion: 4 | 5 }): Promise<IConnackPacket> {
    const packet = {
      cmd: 'connect' as const,
      protocolId: 'MQTT' as const,
      clientId: 'probe',
      clean: true,
      keepalive: 0
    }
    this.inner.push(
      generate({ ...packet, ...options } as IConnectPacket, { protocolVersion: options.protocolVersion })
    )
    const found = () => this.packets.find(({ cmd }) => cmd === 'connack') as IConnackPacket | undefined
    return await this.#signal.until(found, { describe: () => 'CONNACK of Aedes' })
  }
}

test('Aedes tells its version, which is that of its package', async t => {
  const aedes = await startAedes(t)
  const file = new URL('package.json', import.meta.resolve('aedes'))
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  t.is((aedes as unknown as { version: string }).version, version)
})

for (const [name, protocolVersion] of VERSIONS) {
  for (const clientId of ['probe', '']) {
    test(`handle takes any Duplex, and the id is known at CONNACK, its first output: MQTT ${name}, id "${clientId}"`, async t => {
      const aedes = await startAedes(t)
      const known: unknown[] = []
      aedes.on('client', ({ id }) => known.push(`client ${id}`))
      const probe = new Probe(aedes, protocolVersion, () => known.push(probe.client.id))
      await probe.connect({ protocolVersion, clientId })
      const { id } = probe.client
      t.is(probe.packets[0]?.cmd, 'connack')
      t.deepEqual(known, [`client ${id}`, id])
      t.is(id === clientId, clientId !== '')
    })
  }

  test(`a will is dropped by DISCONNECT and sent when the stream is destroyed: MQTT ${name}`, async t => {
    const aedes = await startAedes(t)
    const got: string[] = []
    await new Promise<void>(resolve => {
      const note = ({ topic }: AedesPublishPacket, done: () => void) => {
        got.push(topic)
        done()
      }
      aedes.subscribe('will/#', note, resolve)
    })
    for (const word of ['disconnect', 'destroy']) {
      const probe = new Probe(aedes, protocolVersion)
      const will = { topic: `will/${word}`, payload: Buffer.from('x'), qos: 0 as const, retain: false }
      await probe.connect({ protocolVersion, will })
      const gone = event(aedes, 'clientDisconnect')
      if (word === 'destroy') probe.inner.destroy()
      else {
        probe.inner.push(Buffer.from([0xe0, 0]))
        probe.inner.push(null)
      }
      await gone
    }
    await quiet()
    t.deepEqual(got, ['will/destroy'])
  })
}

test('outgoingEnqueueCombi is called in order and awaited for QoS 1 and 2 of the process, and not for QoS 0', async t => {
  const persistence = (memory as unknown as () => Record<string, unknown>)()
  const asked: { topic: string; resolve: () => void }[] = []
  persistence.outgoingEnqueueCombi = (_subscriptions: unknown, { topic }: AedesPublishPacket) =>
    new Promise<void>(resolve => asked.push({ topic, resolve }))
  const aedes = await startAedes(t, { persistence })
  const done: string[] = []
  const publish = (topic: string, qos: 0 | 1 | 2) =>
    aedes.publish({ cmd: 'publish', topic, payload: 'x', qos, dup: false, retain: false }, error =>
      done.push(error ? `${topic} ${error}` : topic)
    )
  publish('one', 1)
  publish('two', 2)
  publish('zero', 0)
  await quiet()
  t.deepEqual(
    asked.map(({ topic }) => topic),
    ['one', 'two']
  )
  t.deepEqual(done, ['zero'])
  for (const { resolve } of asked) resolve()
  await quiet()
  t.deepEqual(done, ['zero', 'one', 'two'])
})

test('a publish of the process fails with the error of outgoingEnqueueCombi', async t => {
  const persistence = (memory as unknown as () => Record<string, unknown>)()
  const refusal = new Error('no room')
  persistence.outgoingEnqueueCombi = () => Promise.reject(refusal)
  const aedes = await startAedes(t, { persistence })
  const error = await new Promise(resolve =>
    aedes.publish({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, dup: false, retain: false }, resolve)
  )
  t.is(error, refusal)
})

test('a subscription of the process to # gets QoS 0 and what is under $SYS', async t => {
  const aedes = await startAedes(t, { id: 'lane' })
  const got = new Set<string>()
  const note = ({ topic, qos }: AedesPublishPacket, done: () => void) => {
    got.add(`${topic} ${qos}`)
    done()
  }
  await new Promise<void>(resolve => aedes.subscribe('#', note, resolve))
  const client = openClient(t, aedes.handle)
  await client.login({ clientId: 'a' })
  await client.publish({ topic: 'b', payload: 'x' })
  await client.ping()
  t.true(got.has('$SYS/lane/new/clients 0'), [...got].join())
  t.true(got.has('b 0'), [...got].join())
})

// counts the timers of the process, so nothing may run beside it
test.serial('a clean CONNECT without keep alive leaves no timer and no session behind', async t => {
  const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const aedes = await startAedes(t)
  const { expiringSessions } = aedes as unknown as { expiringSessions: Map<string, unknown> }
  const idle = timers()
  const left: Record<string, object> = {}
  for (const [name, options] of [
    ['3.1.1', { protocolVersion: 4 }],
    ['5', { protocolVersion: 5 }],
    ['with keep alive', { protocolVersion: 4, keepalive: 100 }],
    ['with expiry', { protocolVersion: 5, properties: { sessionExpiryInterval: 100 } }]
  ] as const) {
    const probe = new Probe(aedes, options.protocolVersion)
    await probe.connect({ ...options, clientId: name })
    t.is(probe.client.clean, name !== 'with expiry')
    const whileConnected = timers() - idle
    const gone = event(aedes, 'clientDisconnect')
    probe.inner.destroy()
    await gone
    await quiet()
    left[name] = { whileConnected, afterwards: timers() - idle, sessions: expiringSessions.size }
  }
  const nothing = { whileConnected: 0, afterwards: 0, sessions: 0 }
  t.deepEqual(left, {
    '3.1.1': nothing,
    '5': nothing,
    'with keep alive': { ...nothing, whileConnected: 1 },
    'with expiry': { ...nothing, sessions: 1 }
  })
})

test('a null prototype of the table of clients makes ids like constructor and __proto__ plain names', async t => {
  const aedes = await startAedes(t)
  const tables = aedes as unknown as Record<string, object>
  for (const table of ['clients', 'brokers']) Object.setPrototypeOf(tables[table], null)
  for (const clientId of ['constructor', '__proto__', 'toString']) {
    const first = openClient(t, aedes.handle)
    t.is((await first.login({ clientId })).returnCode, 0)
    const second = openClient(t, aedes.handle)
    t.is((await second.login({ clientId })).returnCode, 0)
    await first.closed()
    await second.ping()
  }
})

test('the old connection of a client of MQTT 5 gets DISCONNECT 0x8E when another takes its id', async t => {
  const aedes = await startAedes(t)
  const first = openClient(t, aedes.handle)
  await first.login({ clientId: 'same', protocolVersion: 5 })
  const second = openClient(t, aedes.handle)
  await second.login({ clientId: 'same', protocolVersion: 5 })
  t.is((await first.next('disconnect')).reasonCode, 0x8e)
  await first.closed()
  await second.ping()
})

test('the default hooks are the same functions for every broker: only $SYS is refused, subscriptions pass', async t => {
  const [one, other] = [await startAedes(t), await startAedes(t)]
  t.is(one.authorizePublish, other.authorizePublish)
  t.is(one.authorizeSubscribe, other.authorizeSubscribe)
  const refused = (topic: string) => {
    let found: unknown
    const packet = { cmd: 'publish', topic, payload: '', qos: 0, dup: false, retain: false } as const
    one.authorizePublish(null, packet, error => {
      found = error
    })
    return found instanceof Error
  }
  t.deepEqual([refused('$SYS/x'), refused('$x'), refused('x')], [true, false, false])
  const subscription = { topic: 'x', qos: 1 } as const
  one.authorizeSubscribe(null as never, subscription, (error, granted) =>
    t.deepEqual([error, granted], [null, subscription])
  )
})
