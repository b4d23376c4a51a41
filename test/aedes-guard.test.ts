import type { Aedes } from 'aedes'
import test, { type ExecutionContext } from 'ava'
import { event, quiet, VERSIONS } from './helpers/aedes.ts'
import { type AedesServer, arrived, startAedesServer, subscribeInside } from './helpers/aedes-server.ts'
import type { RawClient } from './helpers/raw-client.ts'

/* What the application gives to Aedes may throw, reject, answer twice or never: it hurts nobody else. */

/** A client that was there before, and with which everything must go on. */
async function bystander(server: AedesServer): Promise<RawClient> {
  const client = await server.connect({ clientId: 'bystander' })
  await client.subscribe('good')
  return client
}

/** Sees that a client publishes and gets as ever. */
async function assertFine(t: ExecutionContext, client: RawClient, text: string): Promise<void> {
  for (const qos of [0, 1, 2] as const)
    await client.publish({ topic: 'good', payload: `${text} ${qos}`, qos })
  t.deepEqual(await client.payloads(3), [`${text} 0`, `${text} 1`, `${text} 2`])
}

/** Ways in which a hook with a callback fails; each is set for one client only. */
const FAILURES: readonly [string, (done: (error: Error | null) => void) => unknown][] = [
  [
    'throws',
    () => {
      throw new Error('broken hook')
    }
  ],
  ['rejects', () => Promise.reject(new Error('broken hook'))],
  ['rejects late', async () => await quiet().then(() => Promise.reject(new Error('broken hook')))],
  ['calls back with an error', done => done(new Error('broken hook'))]
]

for (const [how, fail] of FAILURES) {
  for (const hook of ['preConnect', 'authenticate'] as const) {
    test(`when ${hook} ${how}, that client is not let in and others go on`, async t => {
      const server = await startAedesServer(t)
      const { aedes } = server
      const good = await bystander(server)
      const errors: string[] = []
      for (const name of ['clientError', 'connectionError'] as const) {
        aedes.on(name, (_client, error) => errors.push(error.message))
      }
      const asked = (...args: unknown[]) => fail(args.at(-1) as (error: Error | null) => void)
      aedes[hook] = asked as never
      for (const [, protocolVersion] of VERSIONS) {
        const stranger = server.open()
        const login = stranger.login({ clientId: 'stranger', protocolVersion })
        if (hook === 'preConnect') await t.throwsAsync(login, { message: /closed/ })
        else {
          const { returnCode, reasonCode } = await login
          t.is(protocolVersion === 5 ? reasonCode : returnCode, protocolVersion === 5 ? 0x87 : 5)
        }
        await stranger.closed()
      }
      t.deepEqual(errors, ['broken hook', 'broken hook'])
      t.is(aedes.connectedClients, 1)
      await assertFine(t, good, how)
    })
  }

  test(`when published ${how}, the client whose message it was is closed, and others go on`, async t => {
    const server = await startAedesServer(t)
    const { aedes } = server
    const good = await bystander(server)
    const bad = await server.connect({ clientId: 'bad' })
    aedes.published = ((
      _packet: unknown,
      client: { id: string } | null,
      done: (error: Error | null) => void
    ) => (client?.id === 'bad' ? fail(done) : done(null))) as never
    const told = event(aedes, 'clientError')
    bad.publishOnly({ topic: 'good', payload: 'stored', qos: 1 })
    const [, error] = await told
    t.is((error as Error).message, 'broken hook')
    await bad.closed()
    t.deepEqual(await good.payloads(1), ['stored'])
    await assertFine(t, good, how)
  })

  test(`when authorizeSubscribe ${how}, the subscription is refused, and others go on`, async t => {
    const server = await startAedesServer(t)
    const { aedes } = server
    const good = await bystander(server)
    aedes.authorizeSubscribe = ((_client: unknown, subscription: { topic: string }, done: never) => {
      const answer = done as (error: Error | null, subscription?: object) => void
      return subscription.topic === 'bad' ? fail(answer) : answer(null, subscription)
    }) as never
    const told = event(aedes, 'clientError')
    t.deepEqual([...(await good.subscribe(['bad', 'good'])).granted], [0x80, 1])
    t.is(((await told)[1] as Error).message, 'broken hook')
    await assertFine(t, good, how)
  })
}

test('what authorizeForward throws keeps that delivery back, is counted and logged, and others go on', async t => {
  const server = await startAedesServer(t)
  const good = await bystander(server)
  const bad = await server.connect({ clientId: 'bad' })
  await bad.subscribe(['good', 'other'])
  server.aedes.authorizeForward = (client, packet) => {
    if (client.id === 'bad' && packet.topic === 'good') throw new Error('broken hook')
    return packet
  }
  await assertFine(t, good, 'forward')
  await good.publish({ topic: 'other', payload: 'passes', qos: 1 })
  t.deepEqual(await arrived(bad), ['other passes'])
  t.is(server.core.directory.server().droppedMessages, 3)
  t.is(server.log.texts('error').filter(text => text.includes('authorizeForward')).length, 3)
})

test('a second answer of preConnect or authenticate counts for nothing', async t => {
  const server = await startAedesServer(t)
  const { aedes, seen } = server
  aedes.on('client', ({ id }) => seen.add(`client ${id}`))
  for (const hook of ['preConnect', 'authenticate'] as const) {
    const standard = aedes[hook]
    aedes[hook] = ((...args: unknown[]) => {
      const done = args.at(-1) as (error: Error | null, ok: boolean) => void
      done(null, true)
      done(new Error('late'), false)
      done(null, true)
    }) as never
    const client = await server.connect({ clientId: hook })
    await assertFine(t, await client.subscribe('good').then(() => client), hook)
    t.is(client.received.filter(({ cmd }) => cmd === 'connack').length, 1)
    await client.unsubscribe('good')
    aedes[hook] = standard as never
  }
  t.deepEqual(seen.lines, ['client preConnect', 'client authenticate'])
})

test('a hook that never answers holds up its own client and no other', async t => {
  const server = await startAedesServer(t)
  const { aedes } = server
  const good = await bystander(server)
  const slow = await server.connect({ clientId: 'slow' })
  const isSlow = (client: { id: string } | null) => client?.id === 'slow'
  aedes.published = (_packet, client, done) => {
    if (!isSlow(client)) done(null)
  }
  await slow.publish({ topic: 'good', payload: 'is stored', qos: 1 })
  t.deepEqual(await good.payloads(1), ['is stored'])
  for (const qos of [0, 1] as const) slow.publishOnly({ topic: 'good', payload: 'waits', qos })
  await assertFine(t, good, 'published')
  t.deepEqual(await arrived(good), [])
})

test('a listener that throws keeps an event neither from the others nor the client from going on', async t => {
  const server = await startAedesServer(t)
  const { aedes, seen } = server
  const names = [
    ...['client', 'connackSent', 'clientReady', 'subscribe', 'publish', 'ack', 'ping'],
    ...['unsubscribe', 'clientDisconnect']
  ]
  for (const name of names) {
    aedes.on(name as 'client', () => {
      throw new Error(`broken listener of ${name}`)
    })
    aedes.on(
      name as 'client',
      (async () => {
        throw new Error(`broken async listener of ${name}`)
      }) as never
    )
  }
  for (const name of names) {
    aedes.on(
      name as 'client',
      ((first: { topic?: string }) => {
        if (!first.topic?.startsWith('$SYS/')) seen.add(name)
      }) as never
    )
  }
  const client = await server.connect({ clientId: 'a' })
  await client.subscribe('good')
  await client.publish({ topic: 'good', payload: 'x', qos: 1 })
  t.deepEqual(await arrived(client), ['good x'])
  await client.unsubscribe('good')
  const gone = event(aedes, 'clientDisconnect')
  await client.disconnect()
  await gone
  t.deepEqual([...new Set(seen.lines)].sort(), [...names].sort())
  const errors = server.log.texts('error')
  for (const name of names) {
    t.true(errors.includes(`a listener of the event ${name} failed: broken listener of ${name}`), name)
    t.true(errors.includes(`a listener of the event ${name} failed: broken async listener of ${name}`), name)
  }
})

test('a subscriber in the process that throws, or never is ready, holds up nobody but its publisher', async t => {
  const server = await startAedesServer(t)
  const { aedes } = server
  const good = await bystander(server)
  await subscribeInside(aedes, 'throws', () => {
    throw new Error('broken subscriber')
  })
  await subscribeInside(aedes, 'never', () => {})
  const bad = await server.connect({ clientId: 'bad' })
  // more often than the emitter of Aedes has places
  for (let i = 0; i < 150; i++) bad.publishOnly({ topic: 'throws', payload: String(i), qos: 0 })
  await bad.publish({ topic: 'throws', payload: 'last', qos: 1 })
  bad.publishOnly({ topic: 'never', payload: 'x', qos: 0 })
  await assertFine(t, good, 'subscriber')
  for (let i = 0; i < 150; i++) {
    t.is(await server.publish({ topic: 'throws', payload: String(i) }), undefined)
  }
  await server.publish({ topic: 'good', payload: 'from inside' })
  t.deepEqual(await good.payloads(1), ['from inside'])
})

test('hooks may be set, chained and set back at any time', async t => {
  const server = await startAedesServer(t)
  const { aedes, core } = server
  const standard: Aedes['authorizePublish'] = aedes.authorizePublish
  const asked: string[] = []
  aedes.authorizePublish = (client, packet, done) => {
    asked.push(`first ${packet.topic}`)
    standard(client, packet, done)
  }
  const first: Aedes['authorizePublish'] = aedes.authorizePublish
  aedes.authorizePublish = (client, packet, done) => {
    asked.push(`second ${packet.topic}`)
    first(client, packet, done)
  }
  t.true(core.broker.hasPublishHook)
  const client = await server.connect()
  await client.publish({ topic: 'a', qos: 1 })
  t.deepEqual(asked, ['second a', 'first a'])
  aedes.authorizePublish = standard
  t.false(core.broker.hasPublishHook)
  await client.publish({ topic: 'a', qos: 1 })
  t.is(asked.length, 2)
})
