import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { LoadScene } from '../helpers/load-scene.ts'
import { cutPower } from '../helpers/power-cut.ts'
import { journalPayloads } from '../helpers/power-cut-journal.ts'
import { type ServerProcess, startServer, testFolder } from '../helpers/process.ts'
import { type SyncWatch, watchSyncs } from '../helpers/sync-watch.ts'
import { needs, needsLinux } from '../helpers/tools.ts'
import { type Random, testKills, testRandom } from '../helpers/tools-random.ts'

type Fsync = 'always' | 'interval' | 'off'

/** LevelDB relies on common file systems for its names; everything else in the folder is ours. */
const mayUndo = (path: string) => !/\/(state|lock)\//.test(path)

/** A server whose power can be cut, with load around it. */
class CutScene {
  server!: ServerProcess
  scene!: LoadScene
  /** Sequence to payload of what some subscriber has seen. */
  readonly #delivered = new Map<number, string>()
  readonly #watch: SyncWatch
  readonly #t: ExecutionContext
  readonly #fsync: Fsync
  #boots = 0

  constructor(t: ExecutionContext, fsync: Fsync) {
    this.#t = t
    this.#fsync = fsync
    this.#watch = watchSyncs(join(testFolder(t), 'data'))
  }

  async start(): Promise<void> {
    const env = { ...this.#watch.env, RESTANTE_BOOT_ID: `boot-${this.#boots}` }
    const plugins = { 'store-local': { segmentBytes: 200_000 } }
    const args = ['--checkpoint-ms', '100', '--fsync-interval-ms', '50', '--plugins', JSON.stringify(plugins)]
    this.server = await startServer(this.#t, {
      dataDirectory: this.#watch.root,
      fsync: this.#fsync,
      env,
      args
    })
    this.scene ??= new LoadScene(this.server.mqttPort)
  }

  /** Kills the server; the machine goes on, and what was written is all there. */
  async kill(): Promise<void> {
    await this.server.program.kill('SIGKILL')
    await this.scene.closed()
    this.checkSequences()
  }

  /** Cuts the power: the next start is another boot of the machine. */
  async cut(random: Random): Promise<void> {
    await this.kill()
    this.#boots++
    const { cutFiles, lostBytes, undoneNames } = cutPower(this.#watch, { random, mayUndo })
    this.#t.log(
      `cut ${this.#boots}: ${lostBytes} bytes of ${cutFiles} files; undone: ${undoneNames.join(', ') || '-'}`
    )
  }

  /** Adds to a failure what the server says about its sessions. */
  async explained(waiting: Promise<void>): Promise<void> {
    try {
      await waiting
    } catch (error) {
      const sessions = await fetch(`http://127.0.0.1:${this.server.httpPort}/v1/sessions`)
      this.#t.log(await sessions.text(), this.server.program.story())
      throw error
    }
  }

  /** No sequence stands for another message than the one that was delivered under it. */
  checkSequences(): void {
    const seen = new Set(this.scene.subscribers.flatMap(subscriber => [...subscriber.seen]))
    for (const [sequence, payload] of journalPayloads(this.#watch.root)) {
      const before = this.#delivered.get(sequence)
      if (before !== undefined && before !== payload) {
        this.scene.ledger.violation(`sequence ${sequence} of ${before} used again for ${payload}`)
      }
      // of one that was sent twice, the copy under this sequence need not be the one that was delivered
      const isOnlyCopy = this.scene.ledger.sends.get(payload) === 1
      if (isOnlyCopy && seen.has(payload)) this.#delivered.set(sequence, payload)
    }
  }
}

for (const fsync of ['always', 'interval', 'off'] as const) {
  const promise = fsync === 'always' ? 'loses no acked message and' : 'may lose the newest, but'
  test(`with fsync ${fsync} a power cut ${promise} reuses no sequence and no packet id in flight`, async t => {
    if (!needsLinux(t) || !needs(t, 'cc')) return
    const runs = testKills(2)
    t.timeout(60_000 + runs * 30_000)
    const random = testRandom(t)
    const power = new CutScene(t, fsync)
    await power.start()
    const { scene } = power
    await scene.addSubscriber({ name: 'prompt', window: 100 })
    await scene.addSubscriber({ name: 'holding', window: 20, isV5: true, holding: random })
    await scene.addPublishers(8, { payloadBytes: 100, window: 30 })
    for (let run = 0; run < runs; run++) {
      scene.runFreely()
      const { ledger } = scene
      await ledger.untilAcked(ledger.ackedMessages.size + random.below(random.chance(0.3) ? 30 : 2_000))
      // what a killed server had written and not synced is in danger until its successor syncs it
      if (random.chance(0.3)) await power.kill()
      else await power.cut(random)
      await power.start()
      // after a cut messages may carry DUP for long, so that later kills are judged as cuts
      await scene.reconnect(power.server.mqttPort, fsync === 'always' ? 'machine' : 'machine-losing')
    }
    await scene.settle()
    await scene.publishMore(1)
    const awaited = () => (fsync === 'always' ? scene.ledger.ackedMessages : scene.lastMessages())
    for (const subscriber of scene.subscribers) await power.explained(subscriber.until(awaited))
    power.checkSequences()
    scene.check(t, { mayLose: fsync !== 'always' })
    t.log(`${runs} kills and cuts, ${scene.ledger.ackedMessages.size} messages acked`)
  })
}
