import test from 'ava'
import { type Clock, type EventMap, Events, type MessagePublisher, silentLog } from '../../src/plugin.ts'
import { FAKE_NOW, FakeDirectory, fakeContext } from '../../test/helpers/http-directory.ts'
import { mosquittoSub } from '../../test/helpers/mqtt-tools.ts'
import { startServer } from '../../test/helpers/process.ts'
import { needs } from '../../test/helpers/tools.ts'
import { sys } from './index.ts'
import { Load } from './load.ts'

/** The plugin in a world where time moves only when it is told to. */
async function start() {
  const directory = new FakeDirectory()
  const events = new Events(silentLog)
  const announced = new Map<string, string>()
  let now = FAKE_NOW
  let tick = () => {}
  let isRunning = false
  const clock: Clock = {
    now: () => now,
    after: () => ({ cancel: () => {} }),
    every(_, callback) {
      isRunning = true
      tick = callback
      return {
        cancel: () => {
          isRunning = false
        }
      }
    }
  }
  const publisher: MessagePublisher = {
    publish: () => Promise.reject(new Error('nothing is published as a client would')),
    publishAll: async () => [],
    announce(topic, payload, options) {
      if (options?.isRetained !== true) throw new Error(`${topic} is not retained`)
      announced.set(topic.replace('$SYS/broker/', ''), String(payload))
    },
    isHeard: () => true
  }
  const parts = await sys.setup(fakeContext({ directory, events, clock, publisher }), { intervalSeconds: 10 })
  const pass = (seconds: number) => {
    announced.clear()
    now += seconds * 1_000
    tick()
  }
  return { directory, events, parts, announced, pass, isRunning: () => isRunning }
}

test('all figures are published at the start, and then those that have changed', async t => {
  const { directory, parts, announced, pass } = await start()
  await parts.started?.()
  t.regex(announced.get('version') ?? '', /^restante version \d+\.\d+\.\d+/)
  const wanted = {
    uptime: '5 seconds',
    'clients/connected': '0',
    'publish/messages/received': '6',
    'publish/messages/sent': '15',
    'publish/messages/dropped': '5',
    'bytes/received': '100',
    'retained messages/count': '9',
    'store/messages/bytes': '1234',
    'messages/inflight': '3',
    'load/publish/sent/15min': '0.00'
  }
  for (const [name, figure] of Object.entries(wanted)) t.is(announced.get(name), figure, name)
  directory.serverParts = { connectedClients: 2, sessions: 5 }
  pass(10)
  t.is(announced.get('clients/connected'), '2')
  t.is(announced.get('clients/disconnected'), '3')
  t.is(announced.get('clients/total'), '5')
  t.is(announced.get('uptime'), '15 seconds')
  t.false(announced.has('version'))
  t.false(announced.has('bytes/received'))
})

test('most clients at one time and expired sessions are counted', async t => {
  const { events, parts, announced } = await start()
  const came: EventMap['clientConnected'] = {
    ...{ clientId: 'a', username: null, address: null, protocolVersion: 4, keepAliveSeconds: 0 },
    ...{ isPersistent: true, isResumed: false },
    transport: 'tcp'
  }
  const left = { clientId: 'a', connectedAt: 0, reason: 'client' }
  events.tell('clientConnected', came)
  events.tell('clientConnected', came)
  events.tell('clientDisconnected', left)
  events.tell('clientConnected', came)
  events.tell('sessionEnded', { clientId: 'a', reason: 'expired' })
  events.tell('sessionEnded', { clientId: 'a', reason: 'ended' })
  await parts.started?.()
  t.is(announced.get('clients/maximum'), '2')
  t.is(announced.get('clients/expired'), '1')
})

test('load is an average per minute that comes nearer to a steady pace, the shorter the sooner', t => {
  const load = new Load()
  let averages: readonly number[] = []
  for (let second = 10; second <= 600; second += 10) averages = load.update(second * 2, 10_000)
  const [one = 0, five = 0, fifteen = 0] = averages
  t.true(Math.abs(one - 120) < 0.1, `${one}`)
  t.true(Math.abs(five - 120 * (1 - Math.exp(-2))) < 0.1, `${five}`)
  t.true(Math.abs(fifteen - 120 * (1 - Math.exp(-2 / 3))) < 0.1, `${fifteen}`)
  t.deepEqual(load.update(5, 0), averages)
})

test('nothing is published after the close', async t => {
  const { events, parts, isRunning } = await start()
  await parts.started?.()
  t.true(isRunning())
  await parts.close?.()
  t.false(isRunning())
  t.false(events.has('clientConnected'))
})

test('mosquitto_sub sees the figures as soon as it subscribes', async t => {
  if (!needs(t, 'mosquitto_sub')) return
  const { mqttPort } = await startServer(t, { store: 'memory' })
  const sub = mosquittoSub(t, mqttPort, '-v', '-t', '$SYS/broker/#')
  const lines = await sub.lines(40)
  for (const name of ['version restante version', 'uptime', 'clients/maximum', 'load/connections/1min']) {
    t.true(
      lines.some(line => line.startsWith(`$SYS/broker/${name} `)),
      name
    )
  }
  await sub.stop()
})
