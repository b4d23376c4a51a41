import { join } from 'node:path'
import test from 'ava'
import { connect, connectAsync, type MqttClient } from 'mqtt'
import { mosquittoPub, mosquittoSub, mosquittoSubscribe } from './helpers/mqtt-tools.ts'
import { startServer, testFolder } from './helpers/process.ts'
import { Signal } from './helpers/signal.ts'
import { needs } from './helpers/tools.ts'

const LOGGER = ['-i', 'logger', '-c', '-q', '1', '-t', 'DB/CREATE'] as const

test('mosquitto_sub that was away gets what it missed, in order, then live', async t => {
  if (!needs(t, 'mosquitto_sub', 'mosquitto_pub')) return
  const { mqttPort } = await startServer(t)
  const publish = (id: number) =>
    mosquittoPub(t, mqttPort, '-t', 'DB/CREATE', '-q', '1', '-m', `{"id":${id}}`)

  await mosquittoSubscribe(t, mqttPort, ...LOGGER)
  const first = mosquittoSub(t, mqttPort, ...LOGGER)
  await publish(1)
  t.deepEqual(await first.lines(1), ['{"id":1}'])
  await first.stop()
  for (const id of [2, 3, 4]) await publish(id)

  const again = mosquittoSub(t, mqttPort, ...LOGGER)
  t.deepEqual(await again.lines(3), ['{"id":2}', '{"id":3}', '{"id":4}'])
  await publish(5)
  t.deepEqual(await again.lines(1), ['{"id":5}'])
})

test('mosquitto_sub with MQTT 5 gets what it missed after the server was killed', async t => {
  if (!needs(t, 'mosquitto_sub', 'mosquitto_pub')) return
  const options = { dataDirectory: join(testFolder(t), 'data') }
  const server = await startServer(t, options)
  const session = ['-V', '5', '-i', 'logger', '-c', '-x', '3600', '-q', '1', '-t', 'DB/#'] as const
  await mosquittoSubscribe(t, server.mqttPort, ...session)
  await mosquittoPub(t, server.mqttPort, '-V', '5', '-t', 'DB/CREATE', '-q', '1', '-m', 'one')
  await mosquittoPub(t, server.mqttPort, '-V', '5', '-t', 'DB/DELETE', '-q', '1', '-m', 'two')
  await server.program.kill('SIGKILL')

  const next = await startServer(t, options)
  const again = mosquittoSub(t, next.mqttPort, ...session, '-F', '%t %p')
  t.deepEqual(await again.lines(2), ['DB/CREATE one', 'DB/DELETE two'])
})

for (const transport of ['mqtt', 'ws'] as const) {
  test(`MQTT.js over ${transport} that was away gets what it missed, in order, then live`, async t => {
    const { mqttPort, httpPort } = await startServer(t)
    const url = transport === 'mqtt' ? `mqtt://127.0.0.1:${mqttPort}` : `ws://127.0.0.1:${httpPort}/mqtt`
    const options = { clientId: 'logger', clean: false, reconnectPeriod: 0 } as const
    const first = await connectAsync(url, options)
    await first.subscribeAsync('DB/CREATE', { qos: 1 })
    await first.endAsync()

    const publisher = await connectAsync(url, { reconnectPeriod: 0 })
    t.teardown(() => publisher.endAsync(true))
    const payloads = Array.from({ length: 20 }, (_, index) => `{"id":${index}}`)
    for (const payload of payloads) await publisher.publishAsync('DB/CREATE', payload, { qos: 1 })

    const received = collect(connectNow(url, options))
    t.teardown(() => received.client.endAsync(true))
    t.deepEqual(await received.until(20), payloads)
    await publisher.publishAsync('DB/CREATE', 'live', { qos: 1 })
    t.is((await received.until(21)).at(-1), 'live')
  })
}

/** Starts to connect; who listens at once misses nothing. */
function connectNow(url: string, options: object): MqttClient {
  return connect(url, options)
}

interface Collected {
  readonly client: MqttClient
  /** All payloads so far, once there are so many. */
  until(count: number): Promise<string[]>
}

function collect(client: MqttClient): Collected {
  const payloads: string[] = []
  const signal = new Signal()
  client.on('message', (_topic, payload) => {
    payloads.push(payload.toString())
    signal.notify()
  })
  client.on('error', error => signal.fail(error))
  const describe = () => `messages; has ${payloads}`
  return {
    client,
    until: async count => {
      await signal.until(() => payloads.length >= count, { describe })
      return payloads
    }
  }
}
