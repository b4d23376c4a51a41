import { setTimeout as wait } from 'node:timers/promises'
import type { Cluster, ClusterBroker } from './cluster.ts'
import type { ClusterLoad } from './cluster-load.ts'
import type { Random } from './tools-random.ts'

/** What can go wrong. */
export type Mishap =
  | 'broker killed'
  | 'broker stopped'
  | 'broker asleep'
  | 'database killed'
  | 'database cut off'
  | 'database cut one way'
  | 'redis killed'
  | 'redis cut one way'

/** Each kind once. */
export const MISHAPS: readonly Mishap[] = [
  'broker killed',
  'broker asleep',
  'database killed',
  'database cut one way',
  'redis killed',
  'redis cut one way',
  'database cut off',
  'broker stopped'
]

/** A cluster, the load on it, and what lets things go wrong. */
export interface Chaos {
  readonly cluster: Cluster
  readonly load: ClusterLoad
  readonly random: Random
  /** As the brokers have it. */
  readonly brokerTimeoutMs: number
}

/** Lets one thing go wrong at some moment, and makes it well again at another. */
export async function happen(chaos: Chaos, mishap: Mishap): Promise<void> {
  const { cluster, load, random } = chaos
  const broker = cluster.brokers[random.below(cluster.brokers.length)]!
  const note = (text: string) => load.history.record({ kind: 'note', text })
  note(`${mishap} (${mishap.startsWith('redis') || mishap === 'database killed' ? 'all' : broker.name})`)
  await MAKE[mishap](chaos, broker)
  if (mishap.startsWith('broker') || mishap.startsWith('database')) load.brokerLost()
  note(`${mishap}: over`)
}

const MAKE: Readonly<Record<Mishap, (chaos: Chaos, broker: ClusterBroker) => Promise<void>>> = {
  async 'broker killed'({ random, brokerTimeoutMs }, broker) {
    await broker.kill()
    // at once, or when another one has taken over, or in between
    await wait(random.below(brokerTimeoutMs * 1.5))
    await broker.start()
  },
  async 'broker stopped'({ random }, broker) {
    await broker.kill('SIGTERM')
    await wait(random.below(300))
    await broker.start()
  },
  async 'broker asleep'({ random, brokerTimeoutMs }, broker) {
    broker.pause()
    await wait(brokerTimeoutMs * 1.3 + random.below(brokerTimeoutMs))
    broker.resume()
    await restartWhenFenced(broker)
  },
  async 'database killed'({ cluster, random }) {
    await cluster.mongodb.stop()
    await wait(random.below(600))
    await cluster.mongodb.restart()
  },
  async 'database cut off'({ random, brokerTimeoutMs }, broker) {
    broker.mongodbLink.drop()
    await wait(random.below(brokerTimeoutMs * 2))
    await broker.mongodbLink.resume()
    await restartWhenFenced(broker)
  },
  async 'database cut one way'({ random, brokerTimeoutMs }, broker) {
    const [way, direction] = [random.chance(0.5), random.chance(0.5)]
    broker.mongodbLink[way ? 'hold' : 'swallow'](direction ? 'toServer' : 'toClient')
    await wait(random.below(brokerTimeoutMs * 2))
    await broker.mongodbLink.resume()
    await restartWhenFenced(broker)
  },
  async 'redis killed'({ cluster, random }) {
    await cluster.redis?.stop()
    await wait(random.below(600))
    await cluster.redis?.restart()
  },
  async 'redis cut one way'({ random }, broker) {
    const [way, direction] = [random.chance(0.5), random.chance(0.5)]
    broker.redisLink?.[way ? 'hold' : 'swallow'](direction ? 'toServer' : 'toClient')
    await wait(random.below(800))
    await broker.redisLink?.resume()
  }
}

/** Long enough for a heartbeat: one that was taken for dead has ended by then, and whoever looks after it starts it again. */
const VERDICT_MS = 10_000

/** Waits until a broker that is reached again either works or has ended; then it is started again. */
async function restartWhenFenced(broker: ClusterBroker): Promise<void> {
  const until = performance.now() + VERDICT_MS
  while (broker.isRunning && !(await broker.isReady()) && performance.now() < until) await wait(50)
  if (broker.isRunning) return
  await broker.start()
}
