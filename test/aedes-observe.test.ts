import type { AedesPublishPacket } from 'aedes'
import test from 'ava'
import { event, quiet } from './helpers/aedes.ts'
import { afterTurns, arrived, startAedesServer, subscribeInside } from './helpers/aedes-server.ts'

/* What the process sees of what clients do: subscribers in the process, the hook published, events. */

const isSystem = (packet: { topic?: string }) => packet.topic?.startsWith('$SYS/') ?? false

test('subscribers in the process get what clients publish to matching topics, at every QoS and in order', async t => {
  const { aedes, connect, seen } = await startAedesServer(t)
  await subscribeInside(aedes, 'DB/+/users', ({ topic, payload, qos }, done) => {
    seen.add(`${topic} ${payload} ${qos}`)
    done()
  })
  const client = await connect({ clientId: 'publisher' })
  for (const qos of [0, 1, 2] as const) {
    await client.publish({ topic: 'DB/CREATE/users', payload: `m${qos}`, qos })
    await client.publish({ topic: 'DB/CREATE', payload: 'other', qos })
  }
  await client.ping()
  t.deepEqual(
    seen.lines,
    [0, 1, 2].map(qos => `DB/CREATE/users m${qos} ${qos}`)
  )
})

test('a subscriber in the process gets a packet as Aedes gives it, with who published it', async t => {
  const { aedes, connect } = await startAedesServer(t)
  const packets: AedesPublishPacket[] = []
  await subscribeInside(aedes, 'a', (packet, done) => {
    packets.push(packet)
    done()
  })
  const client = await connect({ clientId: 'publisher', protocolVersion: 5 })
  const properties = { contentType: 'text/plain', userProperties: { a: 'b' } }
  await client.publish({ topic: 'a', payload: 'x', qos: 1, properties, retain: true })
  const [packet] = packets
  t.like(packet, {
    cmd: 'publish',
    clientId: 'publisher',
    brokerId: aedes.id,
    topic: 'a',
    qos: 1,
    retain: true,
    dup: false
  })
  t.true(Buffer.isBuffer(packet?.payload))
  t.is(packet?.properties?.contentType, 'text/plain')
})

test('what a subscriber in the process does to a payload, nobody else sees', async t => {
  const { aedes, connect } = await startAedesServer(t)
  await subscribeInside(aedes, 'a', ({ payload }, done) => {
    ;(payload as Buffer).fill('!')
    done()
  })
  const client = await connect({ clientId: 'kept', clean: false })
  await client.subscribe('a')
  for (const qos of [0, 1, 2] as const) await client.publish({ topic: 'a', payload: `own ${qos}`, qos })
  t.deepEqual(await client.payloads(3), ['own 0', 'own 1', 'own 2'])
})

test('published is asked when every subscriber in the process is ready, however often one says so', async t => {
  const { aedes, connect, seen } = await startAedesServer(t)
  await subscribeInside(aedes, 'a', (_packet, done) => {
    for (let i = 0; i < 3; i++) done()
  })
  await subscribeInside(aedes, 'a', (_packet, done) => {
    afterTurns(5, () => {
      seen.add('the slow one is ready')
      done()
    })
  })
  aedes.published = (packet, _client, done) => {
    if (packet.topic === 'a') seen.add(`published ${packet.payload}`)
    for (let i = 0; i < 3; i++) done(null)
  }
  const client = await connect()
  for (const payload of ['1', '2']) client.publishOnly({ topic: 'a', payload })
  const ready = 'the slow one is ready'
  t.deepEqual(await seen.until(4), [ready, 'published 1', ready, 'published 2'])
})

test('a message of QoS 1 or 2 is shown after it is stored, and not at all when it is refused', async t => {
  const { aedes, connect, store, seen } = await startAedesServer(t)
  aedes.on('publish', packet => {
    if (!isSystem(packet)) seen.add(`${packet.payload} of ${store.calls.commits} commits`)
  })
  const client = await connect()
  await client.publish({ topic: 'a', payload: 'stored', qos: 1 })
  store.faults.commit = new Error('no room')
  client.publishOnly({ topic: 'a', payload: 'refused', qos: 1 })
  await client.closed()
  t.deepEqual(seen.lines, ['stored of 1 commits'])
})

test('nothing is shown to a subscriber in the process that has unsubscribed', async t => {
  const { aedes, connect, core } = await startAedesServer(t)
  const got: string[] = []
  const listener = ({ payload }: AedesPublishPacket, done: () => void) => {
    got.push(String(payload))
    done()
  }
  const client = await connect()
  await subscribeInside(aedes, 'a', listener)
  await client.publish({ topic: 'a', payload: '1', qos: 1 })
  t.true(core.broker.isObserved)
  await new Promise<void>(resolve => aedes.unsubscribe('a', listener, resolve))
  t.false(core.broker.isObserved)
  await client.publish({ topic: 'a', payload: '2', qos: 1 })
  t.deepEqual(got, ['1'])
})

test('a publish of the process reaches subscribers in the process once, and clients once', async t => {
  const { aedes, connect, publish, seen } = await startAedesServer(t)
  await subscribeInside(aedes, '#', ({ topic, payload }, done) => {
    if (!isSystem({ topic })) seen.add(`${topic} ${payload}`)
    done()
  })
  const client = await connect()
  await client.subscribe('a', 2)
  for (const qos of [0, 1, 2] as const) {
    for (const retain of [false, true])
      await publish({ topic: 'a', payload: `${qos} ${retain}`, qos, retain })
  }
  const expected = [0, 1, 2].flatMap(qos => [`a ${qos} false`, `a ${qos} true`])
  t.deepEqual(await arrived(client), expected)
  t.deepEqual(seen.lines, expected)
})

test('published sees every publish once, in order, and the next one of that client waits for its answer', async t => {
  const { aedes, connect } = await startAedesServer(t)
  const good = await connect({ clientId: 'good' })
  await good.subscribe('#')
  const order: string[] = []
  let open = 0
  aedes.published = (packet, client, done) => {
    if (isSystem(packet)) return done(null)
    t.is(++open, 1)
    order.push(`${client?.id} ${packet.payload}`)
    afterTurns(3, () => {
      open--
      done(null)
    })
  }
  const client = await connect({ clientId: 'slow' })
  const payloads = Array.from({ length: 12 }, (_, i) => `${i}`)
  for (const [i, payload] of payloads.entries())
    client.publishOnly({ topic: 'a', payload, qos: (i % 2) as 0 | 1 })
  t.deepEqual((await good.payloads(12)).sort(), [...payloads].sort())
  await client.ping()
  t.deepEqual([...order].sort(), payloads.map(payload => `slow ${payload}`).sort())
  const ofQos = (remainder: number) =>
    order.map(line => Number(line.slice(5))).filter(i => i % 2 === remainder)
  for (const remainder of [0, 1])
    t.deepEqual(
      ofQos(remainder),
      [...ofQos(remainder)].sort((a, b) => a - b)
    )
})

test('the event publish comes for clients with their client, for the process without one', async t => {
  const { aedes, connect, publish, seen } = await startAedesServer(t)
  aedes.on('publish', (packet, client) => {
    if (!isSystem(packet)) seen.add(`${packet.topic} ${packet.payload} ${client?.id ?? 'process'}`)
  })
  const client = await connect({ clientId: 'a client' })
  await client.publish({ topic: 'a', payload: 'x', qos: 2 })
  await publish({ topic: 'b', payload: 'y', qos: 1 })
  t.deepEqual(await seen.until(2), ['a x a client', 'b y process'])
})

test('a will is shown to the process when it is sent, as authorizePublish has left it', async t => {
  const { aedes, connect, seen } = await startAedesServer(t)
  aedes.authorizePublish = (_client, packet, done) => {
    if (packet.topic === 'last') packet.payload = `changed ${packet.payload}`
    done(null)
  }
  await subscribeInside(aedes, 'last', ({ payload, ...packet }, done) => {
    seen.add(`subscriber ${payload} of ${(packet as { clientId?: string }).clientId}`)
    done()
  })
  aedes.on('publish', (packet, client) => {
    if (packet.topic === 'last') seen.add(`event ${packet.payload} ${client?.id}`)
  })
  const will = { topic: 'last', payload: Buffer.from('words'), qos: 1 as const, retain: false }
  const client = await connect({ clientId: 'gone', will })
  client.destroy()
  t.deepEqual(await seen.until(2), ['subscriber changed words of gone', 'event changed words gone'])
})

test('ack tells the PUBLISH of QoS 1 and the PUBREL of QoS 2 that a client has acked', async t => {
  const { aedes, connect, seen } = await startAedesServer(t)
  aedes.on('ack', (packet, client) => {
    const { cmd, messageId } = packet
    const text =
      cmd === 'publish'
        ? `${(packet as AedesPublishPacket).topic} ${(packet as AedesPublishPacket).payload}`
        : ''
    seen.add(`${client.id} ${cmd} ${messageId} ${text}`.trim())
  })
  const less = await connect({ clientId: 'less' })
  await less.subscribe('b', 1)
  await less.publish({ topic: 'b', payload: 'two as one', qos: 2 })
  const [lowered] = await less.messages(1)
  await seen.until(1)
  t.deepEqual(seen.lines.splice(0), [`less publish ${lowered?.messageId} b two as one`])
  for (const clean of [true, false]) {
    const client = await connect({ clientId: `clean ${clean}`, clean })
    await client.subscribe('a', 2)
    await client.publish({ topic: 'a', payload: 'one', qos: 1 })
    await client.publish({ topic: 'a', payload: 'two', qos: 2 })
    const [one, two] = await client.messages(2)
    await seen.until(2)
    const { lines } = seen
    t.deepEqual(lines.splice(0), [
      `clean ${clean} publish ${one?.messageId} a one`,
      `clean ${clean} pubrel ${two?.messageId}`
    ])
    await client.unsubscribe('a')
  }
})

test('an ack that nobody listens to is not looked up', async t => {
  const { core, connect, store } = await startAedesServer(t)
  t.false(core.broker.events.wantsAcks)
  const client = await connect()
  await client.subscribe('a')
  await client.publish({ topic: 'a', qos: 1 })
  t.is(await arrived(client).then(lines => lines.length), 1)
  t.is(store.calls.reads, 0)
})

test('subscribe and unsubscribe tell all filters with the answers, and so do topics under $SYS', async t => {
  const { aedes, connect, seen } = await startAedesServer(t)
  aedes.authorizeSubscribe = (_client, subscription, done) =>
    done(null, subscription.topic === 'refused' ? null : subscription)
  aedes.on('subscribe', (subscriptions, client) => seen.add(`${client.id} ${JSON.stringify(subscriptions)}`))
  aedes.on('unsubscribe', (filters, client) => seen.add(`${client.id} ${JSON.stringify(filters)}`))
  const watcher = await connect({ clientId: 'watcher' })
  await watcher.subscribe(['$SYS/+/new/subscribes', '$SYS/+/new/unsubscribes'], 0)
  await watcher.messages(1)
  seen.lines.length = 0
  const client = await connect({ clientId: 'one' })
  client.send({
    cmd: 'subscribe',
    messageId: 7,
    subscriptions: [
      { topic: 'a', qos: 0 },
      { topic: 'refused', qos: 1 },
      { topic: 'a', qos: 1 }
    ]
  })
  t.deepEqual([...(await client.next('suback')).granted], [0, 0x80, 1])
  await client.unsubscribe('a', 'unknown')
  const subs = [
    { topic: 'a', qos: 1 },
    { topic: 'refused', qos: 0x80 }
  ]
  t.deepEqual(seen.lines, [`one ${JSON.stringify(subs)}`, 'one ["a","unknown"]'])
  const told = (await watcher.payloads(2)).map(text => JSON.parse(text) as object)
  t.deepEqual(told, [
    { clientId: 'one', subs },
    { clientId: 'one', subs: ['a', 'unknown'] }
  ])
})

test('the end of a session that is not kept tells that its subscriptions are gone; that of another does not', async t => {
  const { aedes, connect, seen } = await startAedesServer(t)
  aedes.on('unsubscribe', (filters, client) => seen.add(`${client.id} ${filters}`))
  for (const clean of [false, true]) {
    const client = await connect({ clientId: `clean ${clean}`, clean })
    await client.subscribe(['a', 'b'])
    const gone = event(aedes, 'clientDisconnect')
    await client.disconnect()
    await gone
  }
  t.deepEqual(seen.lines, ['clean true a,b'])
})

test('clientError tells what ended a connection, connectionError what kept one from being made', async t => {
  const { aedes, connect, open, seen } = await startAedesServer(t)
  aedes.on('clientError', (client, error) => seen.add(`clientError ${client.id} ${error.message}`))
  aedes.on('connectionError', (client, error) => seen.add(`connectionError ${client.id} ${error.message}`))
  const stranger = open()
  stranger.sendBytes(Buffer.of(0x30, 0))
  await stranger.closed()
  const client = await connect({ clientId: 'a' })
  client.sendBytes(Buffer.from([0x30, 0]))
  await client.closed()
  const polite = await connect({ clientId: 'b' })
  await polite.disconnect()
  const taken = await connect({ clientId: 'c' })
  await connect({ clientId: 'c' })
  await taken.closed()
  await quiet()
  t.deepEqual(seen.lines, [
    'connectionError null protocol error: the first packet is not CONNECT',
    'clientError a malformed packet: PUBLISH ends before its topic'
  ])
})

test('a publish that is not authorized is told as clientError, to MQTT 5 with the reason and on the same connection', async t => {
  const { aedes, connect, seen } = await startAedesServer(t)
  aedes.authorizePublish = (_client, _packet, done) => done(new Error('not yours'))
  aedes.on('clientError', (client, error) => seen.add(`${client.id} ${error.message}`))
  const five = await connect({ clientId: 'five', protocolVersion: 5 })
  for (const qos of [0, 1] as const) five.publishOnly({ topic: 'a', qos })
  t.like(await five.next('puback'), { reasonCode: 0x87, properties: { reasonString: 'not yours' } })
  const four = await connect({ clientId: 'four' })
  four.publishOnly({ topic: 'a' })
  await four.closed()
  await quiet()
  t.deepEqual(seen.lines, ['five not yours', 'five not yours', 'four not yours'])
})
