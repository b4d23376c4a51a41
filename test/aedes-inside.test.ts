import type { Aedes, PublishPacket } from 'aedes'
import test, { type ExecutionContext } from 'ava'
import type { IConnectPacket } from 'mqtt-packet'
import { type Clock, systemClock } from '../src/clock.ts'
import { defaultSettings } from '../src/config/settings.ts'
import { Core } from '../src/core.ts'
import { QueueError } from '../src/errors.ts'
import { buildPacket } from '../src/wire/packets.ts'
import { event, openClient, quiet, VERSIONS } from './helpers/aedes.ts'
import { RecordingLog } from './helpers/core.ts'
import { ModelStore } from './helpers/model-store.ts'
import { startServer } from './helpers/process.ts'
import { RawClient, type RawConnect } from './helpers/raw-client.ts'
import { withDeadline } from './helpers/signal.ts'

/* What is published inside the process: wills, `aedes.publish`, `$SYS`. */

type Will = NonNullable<IConnectPacket['will']>

/** The stages of a server whose seconds the test lets pass, and clients whose `destroy` is a lost connection. */
async function start(t: ExecutionContext) {
  const everySecond: (() => void)[] = []
  const clock: Clock = {
    ...systemClock,
    every(_periodMs, callback) {
      everySecond.push(callback)
      return { cancel() {} }
    }
  }
  const store = new ModelStore()
  const settings = defaultSettings()
  const core = await Core.open({ store, settings, clock, log: new RecordingLog() })
  t.teardown(() => core.close().catch(() => {}))
  const { aedes } = core.broker
  const connect = async (options: RawConnect = {}) => {
    const client = openClient(t, stream => core.front.handle(stream))
    const { returnCode = 0, reasonCode = returnCode } = await client.login(options)
    t.is(reasonCode, 0)
    return client
  }
  return {
    core,
    store,
    aedes,
    connect,
    passSeconds(count: number): void {
      for (let i = 0; i < count; i++) for (const callback of everySecond) callback()
    },
    /** Loses a connection; resolves when Aedes has heard of it. */
    async lose(client: RawClient): Promise<void> {
      const gone = event(aedes, 'clientDisconnect')
      client.destroy()
      await gone
    }
  }
}

function will(topic: string, qos: 0 | 1, properties?: Will['properties']): Will {
  const plain = { topic, payload: Buffer.from(`will of QoS ${qos}`), qos, retain: false }
  return properties ? { ...plain, properties } : plain
}

/** CONNECT with a will, made by hand: what writes MQTT refuses illegal topics. */
function connectBytes(level: number, topic: string, qos: number): Buffer {
  const noProperties = Buffer.alloc(level === 5 ? 1 : 0)
  const flags = Buffer.of(level, 0x06 | (qos << 3), 0, 0)
  const head = [field('MQTT'), flags, noProperties, field('hostile')]
  return buildPacket(0x10, ...head, noProperties, field(topic), field('x'))
}

function field(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes])
}

function publishInside(aedes: Aedes, packet: Partial<PublishPacket>): Promise<Error | undefined> {
  const whole = {
    cmd: 'publish',
    topic: 'a',
    payload: 'x',
    qos: 0,
    dup: false,
    retain: false,
    ...packet
  } as const
  return new Promise(resolve => aedes.publish(whole, error => resolve(error ?? undefined)))
}

/** What has come once everything that was under way has arrived, as `topic payload`; `$SYS` left out. */
async function arrived(client: RawClient): Promise<string[]> {
  await quiet()
  await client.ping()
  const messages = client.unreadMessages().filter(({ topic }) => !topic.startsWith('$SYS/'))
  client.unread.length = 0
  return messages.map(({ topic, payload }) => `${topic} ${payload}`)
}

// ---- wills

for (const [version, protocolVersion] of VERSIONS) {
  for (const qos of [0, 1] as const) {
    test(`a will of QoS ${qos} reaches subscribers when the connection is lost, not after DISCONNECT: MQTT ${version}`, async t => {
      const { aedes, connect, lose } = await start(t)
      const subscriber = await connect()
      await subscriber.subscribe('last/#')
      const leaving = await connect({ protocolVersion, will: will('last/left', qos) })
      const gone = event(aedes, 'clientDisconnect')
      await leaving.disconnect()
      await gone
      await lose(await connect({ protocolVersion, will: will('last/lost', qos) }))
      const message = await subscriber.next('publish')
      t.like(message, { topic: 'last/lost', qos, retain: false })
      t.is(String(message.payload), `will of QoS ${qos}`)
      t.deepEqual(await arrived(subscriber), [])
    })
  }

  test(`a will is sent when the keep alive has passed one and a half times: MQTT ${version}`, async t => {
    const { aedes, connect, passSeconds } = await start(t)
    const subscriber = await connect()
    await subscriber.subscribe('last')
    const silent = await connect({ protocolVersion, keepaliveSeconds: 10, will: will('last', 1) })
    passSeconds(15)
    await silent.ping()
    passSeconds(15)
    t.false(silent.isClosed)
    const timeout = event(aedes, 'keepaliveTimeout')
    passSeconds(1)
    await timeout
    if (protocolVersion === 5) t.is((await silent.next('disconnect')).reasonCode, 0x8d)
    await silent.closed()
    t.deepEqual(await subscriber.payloads(1), ['will of QoS 1'])
  })
}

test('a will is sent after DISCONNECT with reason code 0x04 of MQTT 5', async t => {
  const { connect } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('last')
  const leaving = await connect({ protocolVersion: 5, will: will('last', 1) })
  await leaving.disconnect({ reasonCode: 0x04 })
  t.deepEqual(await subscriber.payloads(1), ['will of QoS 1'])
})

test('a will of QoS 1 is kept for a session that is away', async t => {
  const { connect, lose } = await start(t)
  const away = { clientId: 'away', clean: false }
  const first = await connect(away)
  await first.subscribe('last')
  await first.disconnect()
  await lose(await connect({ will: will('last', 1) }))
  await lose(await connect({ will: will('last', 0) }))
  await quiet()
  const again = await connect(away)
  t.deepEqual(await arrived(again), ['last will of QoS 1'])
})

test('a will keeps its properties, but for the will delay, which is none of PUBLISH', async t => {
  const { connect, lose } = await start(t)
  const subscriber = await connect({ protocolVersion: 5 })
  await subscriber.subscribe('last')
  const properties = { contentType: 'text/plain', responseTopic: 'answers', userProperties: { a: 'b' } }
  for (const qos of [0, 1] as const) {
    await lose(
      await connect({ protocolVersion: 5, will: will('last', qos, { ...properties, willDelayInterval: 5 }) })
    )
    const message = await subscriber.next('publish')
    t.like(message.properties, { contentType: 'text/plain', responseTopic: 'answers' })
    t.deepEqual({ ...message.properties?.userProperties }, { a: 'b' })
    t.false(Object.hasOwn(message.properties ?? {}, 'willDelayInterval'))
  }
})

test('a will is shown to authorizePublish with its client, and a refused one is not sent', async t => {
  const { aedes, connect, lose } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('last/#')
  const asked: string[] = []
  aedes.authorizePublish = (client, { topic }, done) => {
    asked.push(`${client?.id} ${topic}`)
    setImmediate(() => done(topic === 'last/secret' ? new Error('no') : null))
  }
  await lose(await connect({ clientId: 'one', will: will('last/secret', 1) }))
  await lose(await connect({ clientId: 'two', will: will('last/open', 1) }))
  t.deepEqual(await subscriber.payloads(1), ['will of QoS 1'])
  t.deepEqual(asked, ['one last/secret', 'two last/open'])
  t.deepEqual(await arrived(subscriber), [])
})

test('a will with an illegal topic does not end the server and reaches nobody', async t => {
  const server = await startServer(t, { store: 'memory' })
  const good = await RawClient.connect(server.mqttPort)
  await good.subscribe('#')
  for (const topic of ['a/+', '#', '', `a${'/a'.repeat(200)}`]) {
    for (const [, level] of VERSIONS) {
      for (const qos of [0, 1]) {
        const hostile = RawClient.open(server.mqttPort)
        hostile.sendBytes(connectBytes(level, topic, qos))
        hostile.send({ cmd: 'pingreq' })
        await hostile.next('pingresp').catch(() => {}) // let in or refused: either is well
        hostile.destroy()
        const fine = `after ${topic.slice(0, 9)} of QoS ${qos} by level ${level}`
        const ack = await good.publish({ topic: 'a/b', payload: fine, qos: 1 }).catch(() => undefined)
        if (!ack) await server.program.exited()
        t.truthy(ack, `${fine}: ${server.program.story()}`)
        t.deepEqual(await good.payloads(1), [fine])
      }
    }
  }
})

test('a client cannot publish under $ by its will', async t => {
  const { connect, core, aedes } = await start(t)
  aedes.authorizePublish = (_client, _packet, done) => done(null)
  const subscriber = await connect()
  await subscriber.subscribe(['$SYS/model/x', '$events/#'])
  for (const topic of ['$SYS/model/x', '$events/x']) {
    for (const qos of [0, 1]) {
      const hostile = openClient(t, stream => core.front.handle(stream))
      hostile.sendBytes(connectBytes(4, topic, qos))
      await quiet()
      hostile.destroy()
      await quiet()
    }
  }
  await subscriber.ping()
  const topics = subscriber.unreadMessages().map(({ topic }) => topic)
  t.deepEqual(topics, [])
})

// ---- aedes.publish

test('aedes.publish reaches connected sessions at QoS 0, and at QoS 1 also those that are away', async t => {
  const { aedes, connect } = await start(t)
  const away = { clientId: 'away', clean: false }
  const first = await connect(away)
  await first.subscribe('a')
  await first.disconnect()
  const subscriber = await connect({ protocolVersion: 5 })
  await subscriber.subscribe('a')
  t.is(await publishInside(aedes, { payload: 'zero', qos: 0 }), undefined)
  t.is(
    await publishInside(aedes, { payload: 'one', qos: 1, properties: { contentType: 'text/plain' } }),
    undefined
  )
  const messages = await subscriber.messages(2)
  t.deepEqual(
    messages.map(({ payload, qos, properties }) => [String(payload), qos, properties?.contentType]),
    [
      ['zero', 0, undefined],
      ['one', 1, 'text/plain']
    ]
  )
  const again = await connect(away)
  t.deepEqual(await arrived(again), ['a one'])
})

test('aedes.publish at QoS 1 calls back when the message is stored, and with the error when it is not', async t => {
  const { aedes, store, connect } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('a')
  t.is(await publishInside(aedes, { payload: 'one', qos: 1 }), undefined)
  t.is(store.calls.commits, 1)
  store.faults.commit = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  const error = await publishInside(aedes, { payload: 'two', qos: 1 })
  t.is((error as QueueError).code, 'QUEUE_STORE_FULL')
  delete store.faults.commit
  t.is(await publishInside(aedes, { payload: 'three', qos: 1 }), undefined)
  t.deepEqual(await subscriber.payloads(2), ['one', 'three'])
})

test('messages of one publisher in the process come in its order, with those of QoS 1 among each other', async t => {
  const { aedes, connect } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('a')
  const payloads = Array.from({ length: 50 }, (_, i) => String(i))
  await Promise.all(payloads.map(payload => publishInside(aedes, { payload, qos: 1 })))
  t.deepEqual(await subscriber.payloads(50), payloads)
})

for (const qos of [0, 1] as const) {
  test(`aedes.publish at QoS ${qos} calls back for an illegal topic, and throws nothing at the caller`, async t => {
    const { aedes, connect } = await start(t)
    const subscriber = await connect()
    await subscriber.subscribe('#')
    for (const topic of ['a/+', '#', '']) {
      const called = withDeadline(publishInside(aedes, { topic, qos }), {
        describe: () => `the callback for "${topic}"`
      })
      await t.notThrowsAsync(called)
    }
    t.is(await publishInside(aedes, { topic: 'a', payload: 'fine', qos }), undefined)
    t.deepEqual(await arrived(subscriber), ['a fine'])
  })
}

test('what the process publishes under $SYS reaches subscribers once, with QoS 0, and is not stored', async t => {
  const { aedes, connect, store } = await start(t)
  const subscriber = await connect({ clientId: 'watcher' })
  await subscriber.subscribe('$SYS/#')
  await connect({ clientId: 'newcomer' })
  const own = await subscriber.next('publish')
  t.is(own.topic, '$SYS/model/new/subscribes')
  t.deepEqual(JSON.parse(String(own.payload)), { clientId: 'watcher', subs: [{ topic: '$SYS/#', qos: 1 }] })
  const message = await subscriber.next('publish')
  t.like(message, { topic: '$SYS/model/new/clients', qos: 0 })
  t.is(String(message.payload), 'newcomer')
  t.is(await publishInside(aedes, { topic: '$SYS/model/x', qos: 1 }), undefined)
  await quiet()
  await subscriber.ping()
  const rest = subscriber.unreadMessages().map(({ topic, qos }) => `${topic} ${qos}`)
  t.deepEqual(rest, ['$SYS/model/x 0'])
  t.is(store.calls.commits, 0)
})
