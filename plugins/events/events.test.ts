import test from 'ava'
import { connectAsync } from 'mqtt'
import { type Clock, Events, type MessagePublisher, silentLog } from '../../src/plugin.ts'
import { FAKE_NOW, FakeDirectory, fakeContext } from '../../test/helpers/http-directory.ts'
import { mosquittoSub } from '../../test/helpers/mqtt-tools.ts'
import { startServer } from '../../test/helpers/process.ts'
import { needs } from '../../test/helpers/tools.ts'
import { events } from './index.ts'

const NOW_TEXT = '2026-01-02T03:04:05.678Z'

/** The plugin in a world where a second passes when it is told to. */
async function start() {
  const heard = new Events(silentLog)
  const told: { readonly name: string; readonly content: Record<string, unknown> }[] = []
  const timers = new Set<() => void>()
  const clock: Clock = {
    now: () => FAKE_NOW,
    after(_, callback) {
      timers.add(callback)
      return {
        cancel: () => {
          timers.delete(callback)
        }
      }
    },
    every: () => {
      throw new Error('nothing is done when nothing happens')
    }
  }
  const publisher: MessagePublisher = {
    publish: () => Promise.reject(new Error('nothing is published as a client would')),
    publishAll: async () => [],
    announce(topic, payload, options) {
      if (options?.isRetained) throw new Error(`${topic} is retained`)
      told.push({ name: topic.replace('$events/client/', ''), content: JSON.parse(String(payload)) })
    },
    isHeard: topic => topic !== deaf.topic
  }
  const deaf = { topic: '' }
  const parts = await events.setup(
    fakeContext({ directory: new FakeDirectory(), events: heard, clock, publisher }),
    {}
  )
  await parts.started?.()
  const second = () => {
    const due = [...timers]
    timers.clear()
    for (const callback of due) callback()
  }
  const drop = (clientId: string, parts: { topic?: string | null; messages?: number } = {}) =>
    heard.tell('dropped', { ...{ topic: 'DB/x', reason: 'socket-full', messages: 1 }, ...parts, clientId })
  return { heard, told, second, drop, parts, timers, deaf }
}

test('what nobody hears is not made', async t => {
  const { heard, told, deaf } = await start()
  deaf.topic = '$events/client/ended'
  heard.tell('sessionEnded', { clientId: 'a', reason: 'expired' })
  heard.tell('unsubscribed', { clientId: 'a', filters: ['DB/#'] })
  t.deepEqual(
    told.map(({ name }) => name),
    ['unsubscribed']
  )
})

test('each event is published as JSON with time and client', async t => {
  const { heard, told } = await start()
  heard.tell('clientConnected', {
    ...{ clientId: 'a', username: 'ann', address: '192.0.2.1:5', transport: 'tcp', protocolVersion: 4 },
    ...{ keepAliveSeconds: 60, isPersistent: true, isResumed: false }
  })
  heard.tell('subscribed', { clientId: 'a', subscriptions: [{ filter: 'DB/#', qos: 1 }] })
  heard.tell('unsubscribed', { clientId: 'a', filters: ['DB/#'] })
  heard.tell('clientDisconnected', { clientId: 'a', connectedAt: FAKE_NOW - 678, reason: 'lost' })
  heard.tell('sessionEnded', { clientId: 'a', reason: 'expired' })
  const common = { at: NOW_TEXT, client: 'a' }
  t.deepEqual(told, [
    {
      name: 'connected',
      content: {
        ...common,
        ...{
          username: 'ann',
          address: '192.0.2.1:5',
          transport: 'tcp',
          protocol: '3.1.1',
          keepAliveSeconds: 60
        },
        ...{ persistent: true, resumed: false }
      }
    },
    { name: 'subscribed', content: { ...common, subscriptions: [{ filter: 'DB/#', qos: 1 }], more: 0 } },
    { name: 'unsubscribed', content: { ...common, filters: ['DB/#'], more: 0 } },
    {
      name: 'disconnected',
      content: { ...common, connectedAt: '2026-01-02T03:04:05.000Z', reason: 'lost' }
    },
    { name: 'ended', content: { ...common, reason: 'expired' } }
  ])
})

test('of very many filters a hundred are named and the others counted', async t => {
  const { heard, told } = await start()
  const filters = Array.from({ length: 150 }, (_, i) => `q${i}`)
  heard.tell('subscribed', { clientId: 'a', subscriptions: filters.map(filter => ({ filter, qos: 0 })) })
  heard.tell('unsubscribed', { clientId: 'a', filters })
  t.is((told[0]!.content.subscriptions as unknown[]).length, 100)
  t.is(told[0]?.content.more, 50)
  t.is((told[1]!.content.filters as unknown[]).length, 100)
  t.is(told[1]?.content.more, 50)
})

test('a flood of drops is told once at once, and then added up each second', async t => {
  const { told, second, drop } = await start()
  const sums = () => told.splice(0).map(({ content }) => [content.client, content.messages, content.topic])
  for (let i = 0; i < 10_000; i++) drop('slow')
  drop('other', { topic: null, messages: 7 })
  t.deepEqual(sums(), [
    ['slow', 1, 'DB/x'],
    ['other', 7, null]
  ])
  second()
  t.deepEqual(sums(), [['slow', 9_999, 'DB/x']])
  drop('slow')
  drop('slow', { topic: 'DB/y' })
  t.deepEqual(sums(), [])
  second()
  t.deepEqual(sums(), [['slow', 2, null]])
  second()
  t.deepEqual(sums(), [])
  drop('slow')
  t.deepEqual(sums(), [['slow', 1, 'DB/x']])
})

test('of very many clients with drops most are told together', async t => {
  const { told, second, drop } = await start()
  for (let i = 0; i < 5_000; i++) drop(`c${i}`)
  t.is(told.length, 1_001)
  t.is(told.at(-1)?.content.client, null)
  second()
  t.is(told.length, 1_002)
  t.like(told.at(-1)?.content, { client: null, messages: 3_999, reason: 'socket-full' })
})

test('no timer runs when nothing is dropped, and none after the close', async t => {
  const { told, second, drop, parts, timers, heard } = await start()
  drop('a')
  second()
  t.is(timers.size, 0)
  drop('a')
  drop('a')
  await parts.close?.()
  t.is(timers.size, 0)
  t.is(told.at(-1)?.content.messages, 1)
  t.false(heard.has('dropped'))
})

test('an event that cannot be published hurts nobody', async t => {
  const heard = new Events({ ...silentLog, error: () => t.fail() })
  const publisher = {
    publish: () => Promise.reject(new Error()),
    publishAll: async () => [],
    announce() {
      throw new Error('too large')
    },
    isHeard: () => true
  }
  const parts = await events.setup(
    fakeContext({ directory: new FakeDirectory(), events: heard, publisher }),
    {}
  )
  await parts.started?.()
  heard.tell('sessionEnded', { clientId: 'a', reason: 'expired' })
  await parts.close?.()
  t.pass()
})

test('mosquitto_sub sees what a client does', async t => {
  if (!needs(t, 'mosquitto_sub')) return
  const { mqttPort } = await startServer(t, { store: 'memory' })
  const sub = mosquittoSub(t, mqttPort, '-v', '-i', 'watcher', '-t', '$events/client/#')
  // its own subscription is told to it as soon as it stands
  await sub.lines(1)
  const client = await connectAsync({ port: mqttPort, clientId: 'logger', clean: false })
  await client.subscribeAsync('DB/#', { qos: 1 })
  await client.unsubscribeAsync('DB/#')
  await client.endAsync()
  const lines = (await sub.lines(4)).map(line => {
    const [topic = '', payload = ''] = line.split(/ (.*)/)
    return [topic, (JSON.parse(payload) as { client: string }).client]
  })
  t.deepEqual(
    lines,
    ['connected', 'subscribed', 'unsubscribed', 'disconnected'].map(name => [
      `$events/client/${name}`,
      'logger'
    ])
  )
  await sub.stop()
})
