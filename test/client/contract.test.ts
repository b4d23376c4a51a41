import test from 'ava'
import mqtt, { type MqttClient } from 'mqtt'
import { startTap, type Tap } from '../helpers/client-tap.ts'
import { listen } from '../helpers/listen.ts'

/* What src/client relies on in MQTT.js. */

async function connected(t: Parameters<typeof listen>[0]): Promise<{ client: MqttClient; tap: Tap }> {
  const { port } = await listen(t)
  const tap = await startTap(t, port)
  const client = await mqtt.connectAsync(tap.url, {
    protocolVersion: 5,
    clientId: 'held',
    clean: false,
    properties: { sessionExpiryInterval: 60 },
    reconnectPeriod: 0
  })
  t.teardown(() => client.endAsync(true))
  return { client, tap }
}

test('an error from handleMessage sends no PUBACK, and what comes behind it is read', async t => {
  const { client, tap } = await connected(t)
  let errors = 0
  client.on('error', () => errors++)
  client.handleMessage = (_packet, done) => done(new Error('later'))
  await client.subscribeAsync('DB/#', { qos: 1 })
  await client.publishAsync('DB/CREATE', '1', { qos: 1 })
  await tap.until(() => tap.receivedOf('publish').length === 1)
  await client.publishAsync('DB/CREATE', '2', { qos: 1 }) // its PUBACK comes behind the first message
  await client.subscribeAsync('OTHER/#', { qos: 1 })
  t.is(tap.sentOf('puback').length, 0)
  t.is(errors, 0)
  t.true(client.connected)
})

test('a PUBACK written to client.stream is taken by the server, between packets of MQTT.js', async t => {
  const { client, tap } = await connected(t)
  client.handleMessage = (_packet, done) => done(new Error('later'))
  await client.subscribeAsync('DB/#', { qos: 1 })
  const publishes = Array.from({ length: 50 }, (_, n) =>
    client.publishAsync('DB/CREATE', 'x'.repeat(n * 100), { qos: 1 })
  )
  await tap.until(() => tap.receivedOf('publish').length > 0)
  for (let acked = 0; acked < 50; acked++) {
    await tap.until(() => tap.receivedOf('publish').length > acked)
    const id = tap.receivedOf('publish')[acked]!.messageId!
    client.stream.write(Uint8Array.of(0x40, 2, id >> 8, id & 0xff))
    client.publish('OTHER/x', 'y'.repeat(1_000))
  }
  await Promise.all(publishes)
  await tap.until(() => tap.sentOf('puback').length === 50)
  const idsOf = (packets: readonly { messageId?: number }[]) => packets.map(({ messageId }) => messageId)
  t.deepEqual(idsOf(tap.sentOf('puback')), idsOf(tap.receivedOf('publish')))
})

test('client.stream is the stream of the present connection', async t => {
  const { client, tap } = await connected(t)
  const first = client.stream
  const closed = new Promise<void>(resolve => client.once('close', resolve))
  tap.cut()
  await closed
  const again = new Promise<void>(resolve => client.once('connect', () => resolve()))
  const { incomingStore, outgoingStore } = client
  client.reconnect({ incomingStore, outgoingStore } as Parameters<MqttClient['reconnect']>[0])
  await again
  t.not(client.stream, first)
  t.true(client.stream.writable)
  t.false(first.writable)
})

test('a publish without its ack goes out again after reconnect with the same stores', async t => {
  const { client, tap } = await connected(t)
  const closed = new Promise<void>(resolve => client.once('close', resolve))
  const stored = client.publishAsync('DB/CREATE', '1', { qos: 1 })
  tap.cut() // in the same turn: nothing has left
  await closed
  const { incomingStore, outgoingStore } = client
  client.reconnect({ incomingStore, outgoingStore } as Parameters<MqttClient['reconnect']>[0])
  await stored
  t.is(tap.connections, 2)
  t.deepEqual(
    tap.sentOf('publish').map(({ connection }) => connection),
    [2]
  )
})
