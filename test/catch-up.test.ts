import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { LoadScene } from './helpers/load-scene.ts'
import { startServer, testFolder } from './helpers/process.ts'
import { testRandom } from './helpers/tools-random.ts'

const QUEUED = Number(process.env.RESTANTE_TEST_QUEUED ?? 3_000)
const LIVE = Number(process.env.RESTANTE_TEST_LIVE ?? 2_000)

/** QUEUED messages wait, LIVE more are published at the moment of the reconnect. */
async function comeBack(t: ExecutionContext, publishers: number): Promise<void> {
  const server = await startServer(t, { dataDirectory: join(testFolder(t), 'data') })
  const scene = new LoadScene(server.mqttPort)
  const away = await scene.addSubscriber({ name: 'away', window: 100 })
  await away.disconnect()
  await scene.addPublishers(publishers)
  await scene.publishMore(QUEUED / publishers)
  const live = scene.publishMore(LIVE / publishers)
  await away.connect('running')
  await live
  await away.until(() => scene.ledger.ackedMessages)
  scene.check(t)
  t.is(away.deliveries.length, QUEUED + LIVE, 'nothing comes twice without a disconnect')
  t.false(away.deliveries.some(({ isDup }) => isDup))
}

test('of one publisher, what was queued and what is published at the moment of the reconnect comes in order, once', t =>
  comeBack(t, 1))

test('of eight publishers, what was queued and what is published at the moment of the reconnect comes in order, once', t =>
  comeBack(t, 8))

test('disconnects and takeovers in the middle of catching up lose nothing, and what was unacked comes again with DUP', async t => {
  const random = testRandom(t)
  const rounds = Number(process.env.RESTANTE_TEST_TAKEOVERS ?? 12)
  t.timeout(60_000 + rounds * 5_000)
  const server = await startServer(t, { dataDirectory: join(testFolder(t), 'data') })
  const scene = new LoadScene(server.mqttPort)
  const subscriber = await scene.addSubscriber({ name: 'restless', window: 100, holding: random })
  const other = await scene.addSubscriber({ name: 'five', window: 13, isV5: true, holding: random })
  await scene.addPublishers(8)
  const publishing: Promise<void>[] = []
  for (let round = 0; round < rounds; round++) {
    publishing.push(scene.publishMore(40))
    for (const session of [subscriber, other]) {
      await session.untilDeliveries(session.deliveries.length + random.below(100))
      if (random.chance(0.5)) session.destroy()
      // the old connection is still open in every other round: a takeover
      await session.connect('running')
    }
  }
  await Promise.all(publishing)
  await Promise.all([subscriber, other].map(session => session.until(() => scene.ledger.ackedMessages)))
  scene.check(t)
})
