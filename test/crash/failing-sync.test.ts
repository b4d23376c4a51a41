import { join } from 'node:path'
import test from 'ava'
import { startServer, testFolder } from '../helpers/process.ts'
import { RawClient } from '../helpers/raw-client.ts'
import { watchSyncs } from '../helpers/sync-watch.ts'
import { needs, needsLinux } from '../helpers/tools.ts'

const SUBSCRIBER = { clientId: 'logger', clean: false } as const

test('a failed sync: no ack, nothing more is taken until a restart, reading goes on', async t => {
  if (!needsLinux(t) || !needs(t, 'cc')) return
  const watch = watchSyncs(join(testFolder(t), 'data'))
  const server = await startServer(t, { dataDirectory: watch.root, env: watch.env })
  const logger = await RawClient.connect(server.mqttPort, SUBSCRIBER)
  await logger.subscribe('DB/#')
  await logger.disconnect()
  const five = await RawClient.connect(server.mqttPort, { clientId: 'five', protocolVersion: 5 })
  await five.publish({ topic: 'DB/CREATE', payload: 'kept', qos: 1 })
  const old = await RawClient.connect(server.mqttPort, { clientId: 'old' })

  watch.setFaults({ kind: 'eio-sync', path: '/journal/' })
  t.like(await five.publish({ topic: 'DB/CREATE', payload: 'refused', qos: 1 }), { reasonCode: 0x97 })
  old.publishOnly({ topic: 'DB/CREATE', payload: 'refused', qos: 1 })
  await old.closed()
  t.false(old.received.some(packet => packet.cmd === 'puback'))
  await server.program.until(() => /failed|EIO/i.test(server.program.stderr), undefined, 'a log line')

  watch.setFaults() // a disk that works again does not bring back what a failed sync dropped
  t.like(await five.publish({ topic: 'DB/CREATE', payload: 'refused', qos: 1 }), { reasonCode: 0x97 })
  const resumed = await RawClient.connect(server.mqttPort, SUBSCRIBER)
  t.deepEqual(await resumed.payloads(1), ['kept'])
  await resumed.ping()
  t.deepEqual(resumed.unreadMessages(), [])
  await resumed.disconnect()

  await server.program.kill('SIGKILL')
  const next = await startServer(t, { dataDirectory: watch.root, env: watch.env })
  const publisher = await RawClient.connect(next.mqttPort, { clientId: 'new' })
  await publisher.publish({ topic: 'DB/CREATE', payload: 'accepted again', qos: 1 })
  const last = await RawClient.connect(next.mqttPort, SUBSCRIBER)
  const message = await last.next('publish', publish => publish.payload.toString() === 'accepted again')
  t.is(message.topic, 'DB/CREATE')
})

test('PUBACK and delivery wait for the sync', async t => {
  if (!needsLinux(t) || !needs(t, 'cc')) return
  const watch = watchSyncs(join(testFolder(t), 'data'))
  const server = await startServer(t, { dataDirectory: watch.root, env: watch.env })
  const subscriber = await RawClient.connect(server.mqttPort, { clientId: 'live' })
  await subscriber.subscribe('DB/#')
  const publisher = await RawClient.connect(server.mqttPort, { clientId: 'publisher' })
  watch.setFaults({ kind: 'hold-sync', path: '/journal/' })
  const published = publisher.publish({ topic: 'DB/CREATE', payload: 'x', qos: 1 })
  await heldSync(watch.lines)
  await publisher.ping()
  await subscriber.ping()
  t.false(publisher.received.some(packet => packet.cmd === 'puback'))
  t.deepEqual(subscriber.unreadMessages(), [])
  watch.setFaults()
  await published
  t.deepEqual(await subscriber.payloads(1), ['x'])
})

/** Resolves when the shim says that a sync waits. */
async function heldSync(lines: () => string[]): Promise<void> {
  while (!lines().some(line => line.startsWith('F hold-sync'))) await new Promise(setImmediate)
}
