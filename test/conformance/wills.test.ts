import test from 'ava'
import type { IPublishPacket } from 'mqtt-packet'
import { arrived, kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { startTimed } from '../helpers/conformance-clock.ts'
import { cut } from '../helpers/conformance-core.ts'
import { startCore } from '../helpers/core.ts'
import type { RawConnect } from '../helpers/raw-client.ts'

// MQTT sections 3.1.2.5, 3.1.3.2 and 3.14.4: wills

const will = (options: Partial<NonNullable<RawConnect['will']>> = {}): NonNullable<RawConnect['will']> => ({
  topic: 'will',
  payload: Buffer.from('gone'),
  qos: 1,
  retain: false,
  ...options
})
const all = { clientId: 'watcher', protocolVersion: 5, qos: 2 } as const

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.1.2-8], [MQTT-3.1.2-9], [MQTT-3.1.2-14] of 3.1.1, [MQTT-3.1.2-7], [MQTT-3.1.2-8], [MQTT-3.1.2-12] of 5
  test(`a will of MQTT ${name} is published with its QoS when the connection is cut`, async t => {
    const core = await startCore(t)
    const watcher = await subscriber(core, 'will', all)
    for (const qos of [0, 1, 2] as const) {
      const client = await core.connect({
        protocolVersion,
        will: will({ qos, payload: Buffer.of(0, qos, 255) })
      })
      await cut(client)
      const message = await watcher.next('publish')
      t.deepEqual(
        [message.topic, message.payload, message.qos, message.retain],
        ['will', Buffer.of(0, qos, 255), qos, false]
      )
    }
  })

  // [MQTT-3.14.4-3]; [MQTT-3.1.2-10], [MQTT-3.1.2-12] of 3.1.1, [MQTT-3.1.2-10] of 5
  test(`a will of MQTT ${name} is dropped at DISCONNECT, and published once at most`, async t => {
    const core = await startCore(t)
    const watcher = await subscriber(core, 'will', all)
    const client = await core.connect({ ...kept(protocolVersion), will: will() })
    await client.disconnect()
    t.deepEqual(await arrived(watcher), [])
    const next = await core.connect(kept(protocolVersion))
    await cut(next) // it has no will, and the one before is gone
    t.deepEqual(await arrived(watcher), [])
    const lost = await core.connect({ ...kept(protocolVersion), will: will() })
    await cut(lost)
    await watcher.next('publish')
    const last = await core.connect(kept(protocolVersion))
    await cut(last)
    t.deepEqual(await arrived(watcher), [])
  })

  // [MQTT-3.1.2-16], [MQTT-3.1.2-17] of 3.1.1, [MQTT-3.1.2-14], [MQTT-3.1.2-15] of 5
  test(`a will of MQTT ${name} is retained when it says so, and not else`, async t => {
    const core = await startCore(t)
    const watcher = await subscriber(core, '#', all)
    for (const retain of [true, false]) {
      const topic = retain ? 'will/retained' : 'will/not'
      const client = await core.connect({ protocolVersion, will: will({ retain, topic }) })
      await cut(client)
      await watcher.next('publish')
    }
    const late = await subscriber(core, 'will/#', { clientId: 'late' })
    const message = await late.next('publish')
    t.deepEqual([message.topic, message.retain], ['will/retained', true])
    t.deepEqual(await arrived(late), [])
  })

  test(`the will of a connection of MQTT ${name} is published when a second one takes over, and when it breaks the rules`, async t => {
    const core = await startCore(t)
    const watcher = await subscriber(core, 'will', all)
    const first = await core.connect({ ...kept(protocolVersion), will: will() })
    const second = await core.connect({
      ...kept(protocolVersion),
      will: will({ payload: Buffer.from('broken') })
    })
    await first.closed()
    t.deepEqual(await watcher.payloads(1), ['gone'])
    second.sendBytes(Buffer.of(0, 0))
    t.deepEqual(await watcher.payloads(1), ['broken'])
  })
}

// [MQTT-3.1.2-10] of 5
test('a will of MQTT 5 is published after DISCONNECT 0x04, and after every other code but 0', async t => {
  const core = await startCore(t)
  const watcher = await subscriber(core, 'will', all)
  for (const reasonCode of [0x04, 0x80]) {
    const client = await core.connect({ protocolVersion: 5, will: will() })
    await client.disconnect({ reasonCode })
    t.deepEqual(await watcher.payloads(1), ['gone'])
  }
})

const delayed = (willDelayInterval: number, payload = 'gone') =>
  will({ payload: Buffer.from(payload), properties: { willDelayInterval } })

// [MQTT-3.1.2-8] of 5
test('a will with a delay is published when the delay is over', async t => {
  const core = await startTimed(t)
  const watcher = await subscriber(core, 'will', all)
  const client = await core.connect({ ...kept(5), will: delayed(30) })
  await cut(client)
  await core.clock.pass(28)
  t.deepEqual(await arrived(watcher), [])
  await core.clock.pass(4)
  t.deepEqual(await watcher.payloads(1), ['gone'])
  await core.clock.pass(3_600)
  t.deepEqual(await arrived(watcher), [])
})

// [MQTT-3.1.2-8] of 5
test('a will with a delay is published when its session ends before the delay does', async t => {
  const core = await startTimed(t)
  const watcher = await subscriber(core, 'will', all)
  const client = await core.connect({ ...kept(5), expirySeconds: 10, will: delayed(3_000) })
  await cut(client)
  await core.clock.pass(8)
  t.deepEqual(await arrived(watcher), [])
  await core.clock.pass(4)
  t.deepEqual(await watcher.payloads(1), ['gone'])
  const short = await core.connect({ clientId: 'short', protocolVersion: 5, will: delayed(3_000, 'at once') })
  await cut(short)
  t.deepEqual(await watcher.payloads(1), ['at once'])
})

// [MQTT-3.1.3-9] of 5
test('a will with a delay is not published when the client is back before', async t => {
  const core = await startTimed(t)
  const watcher = await subscriber(core, 'will', all)
  const client = await core.connect({ ...kept(5), will: delayed(30) })
  await cut(client)
  await core.clock.pass(20)
  const back = await core.connect(kept(5))
  t.true(back.connack?.sessionPresent)
  await core.clock.pass(60)
  t.deepEqual(await arrived(watcher), [])
})

// [MQTT-3.1.2-7] of 5
test('a will with a delay is published after a restart, at its time', async t => {
  const before = await startTimed(t)
  const watching = await subscriber(before, 'will', { ...all, ...kept(5, 'watcher') })
  const client = await before.connect({ ...kept(5), will: delayed(30) })
  await cut(client)
  await watching.disconnect()
  await before.clock.pass(10)
  const after = await before.restart()
  const watcher = await after.connect(kept(5, 'watcher'))
  t.deepEqual(await arrived(watcher), [])
  await after.clock.pass(25)
  t.deepEqual(await watcher.payloads(1), ['gone'])
})

// [MQTT-3.1.3-10] of 5
test('a will keeps its properties, and its User Properties their order', async t => {
  const core = await startTimed(t)
  const watcher = await subscriber(core, 'will', all)
  const properties = {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: Buffer.of(0, 1, 255),
    userProperties: { b: ['2', '1'], a: '3' }
  }
  const client = await core.connect({
    ...kept(5),
    will: will({ properties: { ...properties, willDelayInterval: 1, messageExpiryInterval: 100 } })
  })
  await cut(client)
  await core.clock.pass(3)
  const message = (await watcher.next('publish')) as IPublishPacket & { properties: Record<string, unknown> }
  const { messageExpiryInterval, ...others } = message.properties
  t.deepEqual({ ...others, userProperties: { ...(others.userProperties as object) } }, properties)
  t.true((messageExpiryInterval as number) <= 100 && (messageExpiryInterval as number) > 90)
})
