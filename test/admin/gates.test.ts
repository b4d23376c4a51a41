import test from 'ava'
import type { PluginGates } from '../../src/broker/broker.ts'
import { QueueError } from '../../src/errors.ts'
import type { Gates } from '../../src/gates.ts'
import { startCore } from '../helpers/core.ts'

const gatesOf = (plugin: string, gates: Partial<Gates>): PluginGates => ({ plugin, gates })
const refusal = (problem: string) => new QueueError('QUEUE_NOT_AUTHORIZED', { detail: { problem } })

test('a gate decides who is let in, before the hook of the application', async t => {
  const asked: string[] = []
  const gate = gatesOf('users', {
    async authenticate({ clientId, username, password, protocolVersion }) {
      asked.push(`${clientId} ${username} ${password} ${protocolVersion}`)
      if (username !== 'alice') throw refusal('unknown user')
    }
  })
  const core = await startCore(t, { gates: [gate] })
  core.core.broker.aedes.authenticate = (client, _username, _password, done) => {
    asked.push(`hook ${client.id}`)
    done(null, true)
  }
  await core.connect({ clientId: 'one', username: 'alice', password: 'secret', protocolVersion: 5 })
  const bad = core.open()
  t.is((await bad.login({ clientId: 'two', username: 'bob', protocolVersion: 5 })).reasonCode, 0x87)
  await bad.closed()
  t.is((await core.open().login({ clientId: 'three' })).returnCode, 5)
  t.deepEqual(asked, ['one alice secret 5', 'hook one', 'two bob null 5', 'three null null 4'])
})

test('gates change and refuse publishes, one after the other, of clients and of the process', async t => {
  const first = gatesOf('first', {
    authorizePublish(asking, attempt) {
      if (attempt.topic === 'no') throw refusal('not this topic')
      attempt.payload = Buffer.from(`${attempt.payload} ${asking?.clientId ?? 'inside'}`)
    }
  })
  const second = gatesOf('second', {
    async authorizePublish(_asking, attempt) {
      attempt.payload = Buffer.from(`${attempt.payload} 2`)
      attempt.topic = `${attempt.topic}/changed`
    }
  })
  const core = await startCore(t, { gates: [first, second] })
  const client = await core.connect({ clientId: 'one', protocolVersion: 5 })
  await client.subscribe('#', 1)
  await client.publish({ topic: 'a', payload: 'x', qos: 1, properties: { contentType: 'c' } })
  const message = await client.next('publish')
  t.like(message, { topic: 'a/changed' })
  t.is(message.payload.toString(), 'x one 2')
  t.is(message.properties?.contentType, 'c')
  const published = await core.core.publisher.publish({ topic: 'b', payload: 'y' })
  t.is(published.topic, 'b/changed')
  t.deepEqual(await client.payloads(1), ['y inside 2'])
  const ack = await client.publish({ topic: 'no', payload: '', qos: 1 })
  t.like(ack, { cmd: 'puback', reasonCode: 0x87 })
  t.is(
    (ack as { properties?: { reasonString?: string } }).properties?.reasonString,
    'not authorized: not this topic'
  )
  await t.throwsAsync(core.core.publisher.publish({ topic: 'no', payload: '' }), {
    message: /not this topic/
  })
})

test('a gate lowers and refuses subscriptions', async t => {
  const gate = gatesOf('rights', {
    authorizeSubscribe({ clientId }, attempt) {
      if (attempt.filter === `secret/${clientId}`) throw refusal('secret')
      attempt.qos = 0
    }
  })
  const core = await startCore(t, { gates: [gate] })
  const client = await core.connect({ clientId: 'one', protocolVersion: 5 })
  t.deepEqual((await client.subscribe(['a', 'secret/one'], 1)).granted, [0, 0x87])
  t.deepEqual((await (await core.connect({ clientId: 'two' })).subscribe(['b'], 2)).granted, [0])
})

test('a gate that fails refuses, and is named with its plugin', async t => {
  const gate = gatesOf('broken', {
    async authorizePublish() {
      throw new TypeError('oops')
    }
  })
  const core = await startCore(t, { gates: [gate] })
  const client = await core.connect({ protocolVersion: 5 })
  t.like(await client.publish({ topic: 'a', qos: 1 }), { reasonCode: 0x87 })
  await client.ping()
  t.true(core.log.texts('error').includes('a gate of plugin broken failed: oops'))
})

test('without a gate for it nothing is shown to anybody', async t => {
  const core = await startCore(t, { gates: [gatesOf('other', { authenticate() {} })] })
  t.false(core.core.broker.hasPublishHook)
  t.false(core.core.broker.hasSubscribeHook)
})
