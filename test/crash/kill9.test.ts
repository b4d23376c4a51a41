import { join } from 'node:path'
import test from 'ava'
import { LoadScene } from '../helpers/load-scene.ts'
import { startServer, testFolder } from '../helpers/process.ts'
import { testKills, testRandom } from '../helpers/tools-random.ts'

const PUBLISHERS = 8

test('kill -9 at random moments under load loses no acked message, keeps order, packet ids and DUP', async t => {
  const runs = testKills(3)
  t.timeout(60_000 + runs * 20_000)
  const random = testRandom(t)
  const options = { dataDirectory: join(testFolder(t), 'data') }
  let server = await startServer(t, options)
  const scene = new LoadScene(server.mqttPort)
  await scene.addSubscriber({ name: 'prompt', window: 100 })
  await scene.addSubscriber({ name: 'holding', window: 100, holding: random })
  await scene.addSubscriber({ name: 'narrow', window: 7, isV5: true, holding: random })
  await scene.addPublishers(PUBLISHERS, { payloadBytes: 200 })
  for (let run = 0; run < runs; run++) {
    scene.runFreely()
    // now and then the kill comes while the last one is still being made up for
    await scene.ledger.untilAcked(
      scene.ledger.ackedMessages.size + random.below(random.chance(0.2) ? 20 : 2_000)
    )
    await server.program.kill('SIGKILL')
    await scene.closed()
    server = await startServer(t, options)
    await scene.reconnect(server.mqttPort, 'process')
  }
  await scene.settle()
  for (const subscriber of scene.subscribers) await subscriber.until(() => scene.ledger.ackedMessages)
  scene.check(t)
  t.log(`${runs} kills, ${scene.ledger.ackedMessages.size} messages acked`)
})

test('a session that was away during kills of the server gets all of it in order', async t => {
  const runs = testKills(2)
  t.timeout(60_000 + runs * 20_000)
  const random = testRandom(t)
  const options = { dataDirectory: join(testFolder(t), 'data') }
  let server = await startServer(t, options)
  const scene = new LoadScene(server.mqttPort)
  const away = await scene.addSubscriber({ name: 'away', window: 100 })
  await away.disconnect()
  await scene.addPublishers(PUBLISHERS)
  for (let run = 0; run < runs; run++) {
    scene.runFreely()
    await scene.ledger.untilAcked(scene.ledger.ackedMessages.size + random.below(3_000))
    await server.program.kill('SIGKILL')
    await Promise.all(scene.publishers.map(publisher => publisher.closed()))
    server = await startServer(t, options)
    await Promise.all(scene.publishers.map(publisher => publisher.connect(server.mqttPort)))
  }
  await scene.settle()
  await away.connect('process', server.mqttPort)
  await away.until(() => scene.ledger.ackedMessages)
  scene.check(t)
})
