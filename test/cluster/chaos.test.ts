import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Cluster } from '../helpers/cluster.ts'
import { happen, MISHAPS, type Mishap } from '../helpers/cluster-chaos.ts'
import { ClusterLoad } from '../helpers/cluster-load.ts'
import { type Random, testRandom } from '../helpers/tools-random.ts'

const BROKER_TIMEOUT_MS = 1_500
const DRAIN_MS = 30_000

/** Not in the quick suite: `RESTANTE_TEST_CHAOS_ROUNDS=2 npm test -- test/cluster/chaos.test.ts`. */
const define = process.env.RESTANTE_TEST_CHAOS_ROUNDS === undefined ? test.skip : test.serial

for (const brokers of [2, 3]) {
  define(
    `${brokers} brokers lose nothing acked and keep order, whatever is killed, stopped or cut off`,
    async t => {
      const rounds = Number(process.env.RESTANTE_TEST_CHAOS_ROUNDS ?? 2)
      t.timeout(90_000 + rounds * 15_000)
      const random = testRandom(t)
      const cluster = await Cluster.start(t, { brokers, brokerTimeoutMs: BROKER_TIMEOUT_MS })
      if (!cluster) return
      const load = new ClusterLoad(random, cluster.brokers)
      t.teardown(() => load.end())
      t.teardown(() => keep(load, cluster))
      load.run()
      await load.more(100, 10_000)
      for (const mishap of plan(random, rounds)) {
        await happen({ cluster, load, random, brokerTimeoutMs: BROKER_TIMEOUT_MS }, mishap)
        await load.more(random.below(150), 2_000)
      }
      await cluster.heal()
      await load.drain(DRAIN_MS)
      await load.end()
      report(t, load, cluster)
    }
  )
}

/** Every kind of mishap comes before one comes again; which comes first says the seed. */
function plan(random: Random, rounds: number): Mishap[] {
  const plan: Mishap[] = []
  while (plan.length < rounds) {
    const kinds = [...MISHAPS]
    while (kinds.length > 0) plan.push(...kinds.splice(random.below(kinds.length), 1))
  }
  return plan.slice(0, rounds)
}

/** Leaves the history and the logs of all brokers, one JSON object in each line, in the folder RESTANTE_TEST_LOGS. */
function keep({ history }: ClusterLoad, { brokers }: Cluster): void {
  const folder = process.env.RESTANTE_TEST_LOGS
  if (!folder) return
  mkdirSync(folder, { recursive: true })
  const write = (name: string, lines: string[]) =>
    writeFileSync(join(folder, `${name}.jsonl`), lines.join('\n'))
  write('history', history.lines)
  for (const broker of brokers) write(broker.name, broker.logLines)
}

function report(t: ExecutionContext, load: ClusterLoad, cluster: Cluster): void {
  const { history } = load
  const notes = history.events.flatMap(event =>
    event.kind === 'note' && / \(/.test(event.text) ? [event.text] : []
  )
  t.log(
    `${load.accepted} acked, ${history.count('receive')} received, ${history.count('subscribed')} SUBACKs`
  )
  t.log(notes.join(', '))
  const problems = load.problems()
  const story = problems.length > 0 ? `\n${load.stories()}\n${cluster.story()}` : ''
  t.deepEqual(problems.slice(0, 20), [], `${problems.length} problems${story}`)
}
