import { duplexPair } from 'node:stream'
import test from 'ava'
import { startCore, type TestCore } from './helpers/core.ts'
import type { ModelStore } from './helpers/model-store.ts'
import { RawClient, type RawConnect } from './helpers/raw-client.ts'

const will = (topic: string, qos: 0 | 1 = 0) => ({ topic, payload: Buffer.from('gone'), qos, retain: false })

/** Connects and goes away without DISCONNECT; returns the code of CONNACK, null when there was none. */
async function die({ core }: TestCore<ModelStore>, options: RawConnect): Promise<number | null> {
  const [ours, theirs] = duplexPair()
  core.front.handle(theirs)
  const client = RawClient.open(ours)
  const connack = await client.login(options).catch(() => null)
  ours.end()
  await client.closed()
  return connack && (connack.reasonCode ?? connack.returnCode ?? 0)
}

for (const qos of [0, 1] as const) {
  test(`a will of QoS ${qos} that breaks the rules of topics harms nobody`, async t => {
    const scene = await startCore(t)
    const watcher = await scene.connect({ clientId: 'watcher' })
    await watcher.subscribe(['#', '$SYS/x', '$events/x', '$x'])
    const deep = Array.from({ length: 200 }, () => 'x').join('/')
    for (const topic of ['a/#', '+', deep]) {
      t.is(await die(scene, { clientId: 'mortal', will: will(topic, qos) }), null)
      t.is(await die(scene, { clientId: 'mortal', protocolVersion: 5, will: will(topic, qos) }), 0x90)
    }
    for (const topic of ['$SYS/x', '$events/x', '$x']) {
      t.is(await die(scene, { clientId: 'mortal', will: will(topic, qos) }), 5)
      t.is(await die(scene, { clientId: 'mortal', protocolVersion: 5, will: will(topic, qos) }), 0x87)
    }
    t.is(await die(scene, { clientId: 'mortal', will: will('good', qos) }), 0)
    t.is((await watcher.next('publish')).topic, 'good')
    await watcher.ping()
    t.deepEqual(watcher.unreadMessages(), [])
  })
}

test('a will keeps its payload and its properties', async t => {
  const scene = await startCore(t)
  const watcher = await scene.connect({ clientId: 'watcher', protocolVersion: 5 })
  await watcher.subscribe('will')
  const properties = {
    payloadFormatIndicator: true,
    messageExpiryInterval: 10,
    contentType: 'text/plain',
    responseTopic: 'answer',
    correlationData: Buffer.from([1, 2, 3]),
    userProperties: { a: ['1', '2'] }
  }
  await die(scene, { clientId: 'mortal', protocolVersion: 5, will: { ...will('will'), properties } })
  const message = await watcher.next('publish')
  t.is(message.payload.toString(), 'gone')
  t.is(message.properties?.contentType, 'text/plain')
  t.deepEqual(message.properties?.correlationData, properties.correlationData)
})

test('a server that stops with clients that have wills stops in peace', async t => {
  const { connect, core, log } = await startCore(t)
  for (const qos of [0, 1] as const) await connect({ clientId: `mortal-${qos}`, will: will('will', qos) })
  await core.close()
  t.deepEqual(log.texts('error'), [])
})

test('a message published inside the process under a bad name is dropped and harms nobody', async t => {
  const { connect, core, log } = await startCore(t)
  const watcher = await connect({ clientId: 'watcher' })
  await watcher.subscribe('#')
  const publish = (topic: string) =>
    new Promise<void>(resolve => {
      core.broker.aedes.publish(
        { cmd: 'publish', topic, payload: 'x', qos: 0, retain: false, dup: false },
        () => resolve()
      )
    })
  await publish('a/+')
  await publish('good')
  t.is((await watcher.next('publish')).topic, 'good')
  t.is(log.texts('error').length, 1)
})
