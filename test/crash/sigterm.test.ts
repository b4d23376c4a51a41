import { join } from 'node:path'
import test from 'ava'
import { LoadScene } from '../helpers/load-scene.ts'
import { startServer, testFolder } from '../helpers/process.ts'
import { RawClient } from '../helpers/raw-client.ts'

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} under load: exit code 0, all acked is there at the next start, nothing comes twice without DUP`, async t => {
    const options = { dataDirectory: join(testFolder(t), 'data') }
    const server = await startServer(t, options)
    const scene = new LoadScene(server.mqttPort)
    await scene.addSubscriber({ name: 'prompt', window: 100 })
    await scene.addPublishers(4)
    scene.runFreely()
    await scene.ledger.untilAcked(1_000)
    const exit = await server.program.kill(signal)
    t.deepEqual(exit, { code: 0, signal: null }, server.program.story())
    await scene.closed()
    const next = await startServer(t, options)
    await scene.reconnect(next.mqttPort, 'process')
    await scene.settle()
    for (const subscriber of scene.subscribers) await subscriber.until(() => scene.ledger.ackedMessages)
    scene.check(t)
  })
}

test('SIGTERM ends connections that do not read, tells MQTT 5 clients, and takes no new ones', async t => {
  const server = await startServer(t)
  const stalled = await RawClient.connect(server.mqttPort, { clientId: 'stalled', clean: false })
  await stalled.subscribe('DB/#')
  stalled.pause()
  const five = await RawClient.connect(server.mqttPort, { clientId: 'five', protocolVersion: 5 })
  const payload = Buffer.alloc(500_000, 'x')
  for (let i = 0; i < 20; i++) await five.publish({ topic: 'DB/CREATE', payload, qos: 1 })
  const exit = await server.program.kill('SIGTERM')
  t.deepEqual(exit, { code: 0, signal: null }, server.program.story())
  t.is((await five.next('disconnect')).reasonCode, 0x8b)
  await five.closed()
  const late = RawClient.open(server.mqttPort)
  await late.closed()
})
