import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { ExactScene } from '../helpers/exact-scene.ts'
import { cutPower } from '../helpers/power-cut.ts'
import { startServer, testFolder } from '../helpers/process.ts'
import { watchSyncs } from '../helpers/sync-watch.ts'
import { needs, needsLinux } from '../helpers/tools.ts'
import { testKills, testRandom } from '../helpers/tools-random.ts'

/** LevelDB relies on common file systems for its names; everything else in the folder is ours. */
const mayUndo = (path: string) => !/\/(state|lock)\//.test(path)

for (const stop of ['kill -9', 'power cuts'] as const) {
  test(`QoS 2 messages arrive exactly once over ${stop}, and the last of what is retained is there`, async t => {
    const isCut = stop === 'power cuts'
    if (isCut && (!needsLinux(t) || !needs(t, 'cc'))) return
    const runs = testKills(2)
    t.timeout(60_000 + runs * 30_000)
    const random = testRandom(t)
    const root = join(testFolder(t), 'data')
    const watch = isCut ? watchSyncs(root) : null
    const start = (boot: number) =>
      startServer(t, {
        dataDirectory: root,
        args: ['--checkpoint-ms', '100'],
        env: { ...watch?.env, RESTANTE_BOOT_ID: `boot-${isCut ? boot : 0}` }
      })
    const scene = new ExactScene(random)
    let server = await start(0)
    await scene.connect(server.mqttPort, true)
    for (let run = 1; run <= runs; run++) {
      await scene.run(random.below(random.chance(0.3) ? 20 : 600) + 1)
      await server.program.kill('SIGKILL')
      await scene.closed()
      if (watch) cutPower(watch, { random, mayUndo })
      server = await start(run)
      await scene.connect(server.mqttPort)
    }
    await scene.settle()
    check(t, scene)
    t.deepEqual([...(await scene.found())].sort(), [...scene.retained].sort())
    t.log(`${runs} times ${stop}, ${scene.accepted.size} messages`)
  })
}

function check(t: ExecutionContext, { accepted, arrivals, problems }: ExactScene): void {
  t.deepEqual(problems, [])
  t.deepEqual(
    [...arrivals].filter(([, times]) => times !== 1),
    []
  )
  t.deepEqual(
    [...accepted].filter(payload => !arrivals.has(payload)),
    []
  )
}
