import test, { type ExecutionContext } from 'ava'
import { event, openClient, quiet, VERSIONS } from './helpers/aedes.ts'
import { startCore } from './helpers/core.ts'
import type { RawClient, RawConnect } from './helpers/raw-client.ts'

/** The stages of a server, its Aedes, and clients whose `destroy` is a lost connection. */
async function start(t: ExecutionContext) {
  const { core, store } = await startCore(t)
  const open = () => openClient(t, stream => core.front.handle(stream))
  const connect = async (options: RawConnect = {}) => {
    const client = open()
    const { returnCode = 0, reasonCode = returnCode } = await client.login(options)
    t.is(reasonCode, 0)
    return client
  }
  return { core, store, aedes: core.broker.aedes, open, connect }
}

/** Does something after so many turns of the event loop; at once for 0. */
function afterTurns(count: number, action: () => void): void {
  if (count === 0) action()
  else setImmediate(() => afterTurns(count - 1, action))
}

/** What has come after a round trip, as `topic payload`. */
async function arrived(client: RawClient): Promise<string[]> {
  await client.ping()
  const messages = client.unreadMessages()
  client.unread.length = 0
  return messages.map(({ topic, payload }) => `${topic} ${payload}`)
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

// ---- preConnect and authenticate

for (const clean of [true, false]) {
  test(`preConnect, then authenticate are asked, and what came behind CONNECT waits and keeps its order: clean ${clean}`, async t => {
    const { aedes, connect, open } = await start(t)
    const subscriber = await connect({ clientId: 'subscriber' })
    await subscriber.subscribe('a')
    const asked: string[] = []
    aedes.preConnect = (_client, packet, done) => {
      asked.push(`preConnect ${packet.clientId}`)
      afterTurns(5, () => done(null, true))
    }
    aedes.authenticate = (_client, name, password, done) => {
      asked.push(`authenticate ${name} ${password}`)
      afterTurns(5, () => done(null, true))
    }
    aedes.on('client', ({ id }) => asked.push(`client ${id}`))
    const client = open()
    const login = client.login({ clientId: 'late', username: 'user', password: 'secret', clean })
    for (const payload of numbers(5)) client.publishOnly({ topic: 'a', payload, qos: 1 })
    await login
    t.deepEqual(asked, ['preConnect late', 'authenticate user secret', 'client late'])
    t.deepEqual(await subscriber.payloads(5), numbers(5))
    await client.ping()
    const acks = client.received.filter(({ cmd }) => cmd === 'puback')
    t.deepEqual(
      acks.map(({ messageId }) => messageId),
      [1, 2, 3, 4, 5]
    )
  })
}

test('nothing of a client is done that authenticate refuses late', async t => {
  const { aedes, connect, open } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('#')
  aedes.authenticate = (_client, _name, _password, done) => {
    afterTurns(5, () => done(null, false))
  }
  const client = open()
  const login = client.login({ clientId: 'stranger', clean: false })
  client.publishOnly({ topic: 'a', payload: 'x', qos: 1 })
  t.is((await login).returnCode, 5)
  await client.closed()
  t.deepEqual(await arrived(subscriber), [])
  t.is(client.received.length, 1)
})

// ---- authorizePublish

test('publishes keep the order of their connection, however late authorizePublish answers each', async t => {
  const { aedes, connect } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('#')
  aedes.authorizePublish = (_client, { payload }, done) => {
    const lateTurns = (Number(payload) * 7) % 5
    afterTurns(lateTurns, () => done(null))
  }
  const publishers = [await connect(), await connect({ protocolVersion: 5 })]
  for (const payload of numbers(40)) {
    for (const [i, publisher] of publishers.entries())
      publisher.publishOnly({ topic: `from/${i}`, payload, qos: 1 })
  }
  const got = await subscriber.messages(80)
  for (const i of [0, 1]) {
    const own = got.filter(({ topic }) => topic === `from/${i}`)
    t.deepEqual(
      own.map(({ payload }) => String(payload)),
      numbers(40)
    )
    const acks = publishers[i]!.received.filter(({ cmd }) => cmd === 'puback')
    t.deepEqual(
      acks.map(({ messageId }) => messageId),
      numbers(40).map(n => Number(n) + 1)
    )
  }
})

test('a publish that authorizePublish has not answered holds back its own connection and no other', async t => {
  const { aedes, connect } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('#')
  let answer = () => {}
  aedes.authorizePublish = (client, _packet, done) => {
    if (client?.id === 'held') answer = () => done(null)
    else done(null)
  }
  const held = await connect({ clientId: 'held' })
  held.publishOnly({ topic: 'held', payload: '1', qos: 1 })
  held.send({ cmd: 'pingreq' })
  const free = await connect({ clientId: 'free' })
  for (const payload of numbers(3)) await free.publish({ topic: 'free', payload, qos: 1 })
  t.deepEqual(await subscriber.payloads(3), numbers(3))
  t.deepEqual(held.unread, [])
  answer()
  t.deepEqual(await subscriber.payloads(1), ['1'])
  await held.next('puback')
  await held.next('pingresp')
})

const REFUSING = {
  'refuses at once': done => done(new Error('not yours')),
  'refuses late': done => {
    afterTurns(3, () => done(new Error('not yours')))
  },
  throws: () => {
    throw new Error('not yours')
  }
} as const satisfies Record<string, (done: (error?: Error | null) => void) => void>

for (const [how, refuse] of Object.entries(REFUSING)) {
  test(`when authorizePublish ${how}, MQTT 5 is told 0x87 and goes on, 3.1.1 is closed, nothing is delivered`, async t => {
    const { aedes, connect, core } = await start(t)
    const subscriber = await connect()
    await subscriber.subscribe('#')
    aedes.authorizePublish = (_client, { topic }, done) => (topic === 'secret' ? refuse(done) : done(null))
    const five = await connect({ protocolVersion: 5 })
    await five.publish({ topic: 'secret', payload: 'x', qos: 0 })
    const ack = await five.publish({ topic: 'secret', payload: 'x', qos: 1 })
    t.like(ack, {
      cmd: 'puback',
      reasonCode: 0x87,
      properties: { reasonString: 'not yours' }
    })
    await five.publish({ topic: 'open', payload: 'y', qos: 1 })
    for (const qos of [0, 1] as const) {
      const four = await connect()
      four.publishOnly({ topic: 'secret', payload: 'x', qos })
      await four.closed()
      t.is(four.received.length, 1)
    }
    t.deepEqual(await arrived(subscriber), ['open y'])
    t.is(core.directory.server().acceptedMessages, 1)
  })
}

test('what authorizePublish changes in topic and payload is what subscribers get, connected or away', async t => {
  const { aedes, connect } = await start(t)
  const away = { clientId: 'away', clean: false }
  const first = await connect(away)
  await first.subscribe('eu/#')
  await first.disconnect()
  const subscriber = await connect({ protocolVersion: 5 })
  await subscriber.subscribe(['eu/#', 'DB/#'], 1)
  aedes.authorizePublish = (_client, packet, done) => {
    packet.topic = `eu/${packet.topic}`
    packet.payload = `${packet.payload} checked`
    done(null)
  }
  for (const [, protocolVersion] of VERSIONS) {
    const publisher = await connect({ protocolVersion })
    const properties = protocolVersion === 5 ? { properties: { contentType: 'text/plain' } } : {}
    for (const qos of [0, 1] as const) {
      await publisher.publish({ topic: 'DB/CREATE', payload: String(qos), qos, ...properties })
      const message = await subscriber.next('publish')
      t.like(message, { topic: 'eu/DB/CREATE', qos })
      t.is(String(message.payload), `${qos} checked`)
      t.is(message.properties?.contentType, properties.properties?.contentType)
    }
  }
  t.deepEqual(await arrived(subscriber), [])
  const again = await connect(away)
  t.deepEqual(await again.payloads(2), ['1 checked', '1 checked'])
})

test('what authorizePublish changes in properties is what subscribers get; unchanged ones keep their order', async t => {
  const { aedes, connect } = await start(t)
  const subscriber = await connect({ protocolVersion: 5 })
  await subscriber.subscribe('#', 1)
  const publisher = await connect({ protocolVersion: 5 })
  aedes.authorizePublish = (_client, packet, done) => {
    if (packet.topic === 'changed') packet.properties = { ...packet.properties, contentType: 'checked' }
    else packet.payload = 'checked'
    done(null)
  }
  const properties = {
    contentType: 'plain',
    userProperties: { b: ['1', '2'], a: '3' },
    messageExpiryInterval: 60
  }
  await publisher.publish({ topic: 'changed', payload: 'x', qos: 1, properties })
  await publisher.publish({ topic: 'same', payload: 'x', qos: 1, properties })
  const [changed, same] = await subscriber.messages(2)
  t.is(changed?.properties?.contentType, 'checked')
  t.is(same?.properties?.contentType, 'plain')
  for (const message of [changed, same]) {
    t.deepEqual({ ...message?.properties?.userProperties }, { b: ['1', '2'], a: '3' })
    t.is(message?.properties?.messageExpiryInterval, 60)
  }
})

for (const asked of [0, 1, 2] as const) {
  for (const qos of [0, 1, 2] as const) {
    test(`a publish of QoS ${asked} that authorizePublish makes one of QoS ${qos} is answered as it was sent, and delivered as it is`, async t => {
      const { aedes, connect } = await start(t)
      const subscriber = await connect()
      await subscriber.subscribe('a', 2)
      aedes.authorizePublish = (_client, packet, done) => {
        packet.qos = qos
        done(null)
      }
      const publisher = await connect({ protocolVersion: 5 })
      for (const payload of ['1', '2']) await publisher.publish({ topic: 'a', payload, qos: asked })
      const messages = await subscriber.messages(2)
      t.deepEqual(
        messages.map(message => [message.qos, String(message.payload)]),
        [
          [qos, '1'],
          [qos, '2']
        ]
      )
      await publisher.ping()
      const acks = publisher.received
        .map(({ cmd }) => cmd)
        .filter(cmd => cmd !== 'pingresp' && cmd !== 'connack')
      const expected = { 0: [], 1: ['puback', 'puback'], 2: ['pubrec', 'pubcomp', 'pubrec', 'pubcomp'] }
      t.deepEqual(acks, expected[asked])
    })
  }
}

test('a QoS that there is not is passed over when authorizePublish sets it', async t => {
  const { aedes, connect } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('a', 2)
  for (const odd of [3, 4, 8, 10, -1, 1.5, '1', null, undefined]) {
    aedes.authorizePublish = (_client, packet, done) => {
      packet.qos = odd as never
      done(null)
    }
    for (const qos of [0, 1, 2] as const) {
      await subscriber.publish({ topic: 'a', payload: `${odd}`, qos })
      const { dup, retain, ...message } = await subscriber.next('publish')
      t.deepEqual([message.qos, String(message.payload), dup, retain], [qos, `${odd}`, false, false])
    }
  }
})

test('a topic that authorizePublish makes illegal closes that connection only', async t => {
  const { aedes, connect } = await start(t)
  const subscriber = await connect()
  await subscriber.subscribe('#')
  aedes.authorizePublish = (client, packet, done) => {
    if (client?.id === 'bad') packet.topic = 'a/+'
    afterTurns(1, () => done(null))
  }
  const bad = await connect({ clientId: 'bad', protocolVersion: 5 })
  bad.publishOnly({ topic: 'a', payload: 'x', qos: 1 })
  t.is((await bad.next('disconnect')).reasonCode, 0x90)
  await bad.closed()
  const good = await connect()
  await good.publish({ topic: 'a', payload: 'y', qos: 1 })
  t.deepEqual(await arrived(subscriber), ['a y'])
})

test('a second answer of authorizePublish, and one after the connection has ended, count for nothing', async t => {
  const { aedes, connect, core } = await start(t)
  const answers: (() => void)[] = []
  aedes.authorizePublish = (_client, _packet, done) => {
    answers.push(() => done(null))
  }
  const twice = await connect()
  twice.publishOnly({ topic: 'a', payload: 'x', qos: 1 })
  await quiet()
  answers[0]!()
  answers[0]!()
  await twice.next('puback')
  await twice.ping()
  t.is(twice.received.filter(({ cmd }) => cmd === 'puback').length, 1)
  const gone = await connect()
  gone.publishOnly({ topic: 'a', payload: 'x', qos: 1 })
  await quiet()
  const ended = event(aedes, 'clientDisconnect')
  gone.destroy()
  await ended
  answers[1]!()
  await quiet()
  t.is(core.directory.server().acceptedMessages, 1)
})

// ---- authorizeSubscribe

test('SUBACK has the answers of authorizeSubscribe in the order of the filters, and waits for the last', async t => {
  const { aedes, connect } = await start(t)
  aedes.authorizeSubscribe = (_client, subscription, done) => {
    const { topic } = subscription
    if (topic === 'throws') throw new Error('oh')
    if (topic === 'late') afterTurns(9, () => done(null, subscription))
    else if (topic === 'less') done(null, { ...subscription, qos: 0 })
    else if (topic === 'error') afterTurns(2, () => done(new Error('no'), null))
    else done(null, topic === 'null' ? null : subscription)
  }
  const publisher = await connect()
  for (const [version, protocolVersion] of VERSIONS) {
    const refused = protocolVersion === 5 ? 0x87 : 0x80
    const client = await connect({ protocolVersion })
    const suback = client.subscribe(['late', 'null', 'less', 'error', 'throws', 'plain'], 1)
    client.publishOnly({ topic: 'late', payload: 'own', qos: 1 })
    t.deepEqual([...(await suback).granted], [1, refused, 0, refused, refused, 1], version)
    t.like(
      await client.next('publish'),
      { topic: 'late', qos: 1 },
      'what comes behind SUBSCRIBE waits for it'
    )
    for (const topic of ['null', 'less', 'error', 'throws', 'plain'])
      await publisher.publish({ topic, payload: 'x', qos: 1 })
    t.deepEqual((await arrived(client)).sort(), ['less x', 'plain x'])
  }
})
