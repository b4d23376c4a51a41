import test from 'ava'
import { ClusterBroker } from '../helpers/cluster.ts'
import { ClusterLoad } from '../helpers/cluster-load.ts'
import { testFolder } from '../helpers/process.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'
import { testRandom } from '../helpers/tools-random.ts'

// What the load of the cluster tests finds wrong with several brokers is worth something only if it finds nothing wrong
// with one.
test('the load of the cluster tests finds nothing wrong with a single server that is killed', async t => {
  const random = testRandom(t)
  const mongodbLink = await TcpProxy.start(t, { port: 9 })
  const broker = new ClusterBroker(t, {
    ...{ name: 'alone', folder: testFolder(t), args: [] },
    ...{ mongodbLink, redisLink: null }
  })
  await broker.start()
  const load = new ClusterLoad(random, [broker])
  t.teardown(() => load.end())
  load.run()
  for (let kills = 0; kills < 2; kills++) {
    await load.more(300 + random.below(600), 10_000)
    await broker.kill()
    await broker.start()
  }
  await load.more(200, 10_000)
  await load.drain(20_000)
  await load.end()
  t.log(`${load.accepted} acked, ${load.history.count('receive')} received`)
  const problems = load.problems()
  t.deepEqual(problems.slice(0, 20), [], `${problems.length} problems\n${load.stories()}`)
  t.true(load.accepted > 500)
})
