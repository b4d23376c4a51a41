import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type ServerProcess, startServer, testFolder } from '../helpers/process.ts'
import { RawClient } from '../helpers/raw-client.ts'
import { type SyncWatch, watchSyncs } from '../helpers/sync-watch.ts'
import { needs, needsLinux } from '../helpers/tools.ts'

const SUBSCRIBER = { clientId: 'logger', clean: false } as const

/** A server with a watch, and a session `logger` on `DB/#` that is away. */
async function startWatched(t: ExecutionContext): Promise<{ server: ServerProcess; watch: SyncWatch }> {
  const watch = watchSyncs(join(testFolder(t), 'data'))
  const server = await startServer(t, { dataDirectory: watch.root, env: watch.env })
  const logger = await RawClient.connect(server.mqttPort, SUBSCRIBER)
  await logger.subscribe('DB/#')
  await logger.disconnect()
  return { server, watch }
}

/** Publishes numbered messages until the server closes the connection; returns those that were acked. */
async function publishUntilClosed(client: RawClient): Promise<string[]> {
  const acked: string[] = []
  for (let number = 1; number < 1_000; number++) {
    const payload = `${number} ${'x'.repeat(300)}`
    try {
      await client.publish({ topic: 'DB/CREATE', payload, qos: 1 })
    } catch {
      break
    }
    acked.push(payload)
  }
  await client.closed()
  return acked
}

test('a full disk: 3.1.1 is disconnected without PUBACK, the backlog drains, publishing goes on when there is room', async t => {
  if (!needsLinux(t) || !needs(t, 'cc')) return
  const { server, watch } = await startWatched(t)
  watch.setFaults({ kind: 'full', path: '/journal/', number: 20_000 })
  const acked = await publishUntilClosed(await RawClient.connect(server.mqttPort, { clientId: 'old' }))
  t.true(acked.length > 10 && acked.length < 100, `${acked.length} acked`)
  t.true(watch.injected('full') > 0)
  await server.program.until(
    () => /full|ENOSPC|no space/i.test(server.program.stderr),
    undefined,
    'a log line'
  )

  const logger = await RawClient.connect(server.mqttPort, SUBSCRIBER)
  t.deepEqual(await logger.payloads(acked.length), acked)

  watch.setFaults()
  const publisher = await RawClient.connect(server.mqttPort, { clientId: 'new' })
  await publisher.publish({ topic: 'DB/CREATE', payload: 'room again', qos: 1 })
  t.deepEqual(await logger.payloads(1), ['room again'])
  await logger.disconnect()

  await publisher.publish({ topic: 'DB/CREATE', payload: 'after', qos: 1 })
  await server.program.kill('SIGKILL')
  const next = await startServer(t, { dataDirectory: watch.root, env: watch.env })
  const resumed = await RawClient.connect(next.mqttPort, SUBSCRIBER)
  // what was acked just before the kill may come again, with DUP
  t.false((await resumed.next('publish', message => message.payload.toString() === 'after')).dup)
})

test('a full disk: MQTT 5 gets PUBACK 0x97 with a reason, and stays connected', async t => {
  if (!needsLinux(t) || !needs(t, 'cc')) return
  const { server, watch } = await startWatched(t)
  const client = await RawClient.connect(server.mqttPort, { clientId: 'five', protocolVersion: 5 })
  await client.publish({ topic: 'DB/CREATE', payload: 'kept', qos: 1 })
  watch.setFaults({ kind: 'full', path: '/journal/' })
  const refused = await client.publish({ topic: 'DB/CREATE', payload: 'refused', qos: 1 })
  t.like(refused, { cmd: 'puback', reasonCode: 0x97 })
  const { reasonString } = (refused as { properties?: { reasonString?: string } }).properties ?? {}
  t.regex(reasonString ?? '', /full/)

  watch.setFaults()
  const accepted = await client.publish({ topic: 'DB/CREATE', payload: 'kept too', qos: 1 })
  t.like(accepted, { cmd: 'puback' })
  t.falsy((accepted as { reasonCode?: number }).reasonCode)
  await server.program.kill('SIGKILL')
  const next = await startServer(t, { dataDirectory: watch.root, env: watch.env })
  const logger = await RawClient.connect(next.mqttPort, SUBSCRIBER)
  t.deepEqual(await logger.payloads(2), ['kept', 'kept too'])
})

test('a disk without room for anything corrupts nothing: all acked is there after a restart', async t => {
  if (!needsLinux(t) || !needs(t, 'cc')) return
  const { server, watch } = await startWatched(t)
  watch.setFaults({ kind: 'full', path: '*', number: 15_000 })
  const acked = await publishUntilClosed(await RawClient.connect(server.mqttPort, { clientId: 'old' }))
  t.true(acked.length > 5, `${acked.length} acked`)
  await server.program.kill('SIGKILL')
  watch.setFaults()
  const next = await startServer(t, { dataDirectory: watch.root, env: watch.env })
  const logger = await RawClient.connect(next.mqttPort, SUBSCRIBER)
  t.deepEqual(await logger.payloads(acked.length), acked)
})
