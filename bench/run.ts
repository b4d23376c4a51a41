import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { openKept } from './open.ts'
import { catchUp, type Figure, publishOffline } from './scenarios.ts'
import { aedes, mosquitto, type Peer, restante, withServer } from './servers.ts'

/**
 * Runs every scenario against every server, interleaved and in changing order, each run on a fresh server and folder.
 * Prints medians with their range, and the median of the ratios within one round: those are what can be compared.
 *
 * BENCH_ROUNDS (3), BENCH_PUBLISH (80000 messages), BENCH_CATCH_UP (50000 messages), BENCH_OPEN (1000000 messages;
 * 0 leaves it out)
 */
const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const scenarios = [
  {
    name: 'publish, 8 x 100 unacked, one session away',
    run: publishOffline,
    total: Number(process.env.BENCH_PUBLISH ?? 80_000)
  },
  { name: 'catch-up', run: catchUp, total: Number(process.env.BENCH_CATCH_UP ?? 50_000) }
]

const peers: Peer[] = [restante, aedes]
if (spawnSync('mosquitto', ['-h']).error) console.log('mosquitto is not installed: left out')
else peers.push(mosquitto)

console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model}, ${rounds} rounds\n`)
for (const scenario of scenarios) {
  const figures = new Map<Peer, Figure[]>(peers.map(peer => [peer, []]))
  for (let round = 0; round < rounds; round++) {
    for (const peer of rotate(peers, round)) {
      const figure = await withServer(peer, port => scenario.run(port, scenario.total))
      figures.get(peer)!.push(figure)
      process.stderr.write(`${scenario.name}: ${peer.name} ${Math.round(figure.rate)}/s\n`)
    }
  }
  report(`${scenario.name} (${scenario.total} messages)`, figures, scenario.total)
}

const kept = Number(process.env.BENCH_OPEN ?? 1_000_000)
if (kept > 0) {
  const { emptyMs, keptMs, firstMessageMs } = await openKept(kept)
  console.log(
    `start, ms: ${emptyMs.toFixed(0)} on an empty folder, ${keptMs.toFixed(0)} with ${kept} messages kept`
  )
  console.log(`first of them, ms after CONNECT: ${firstMessageMs.toFixed(0)}`)
}

function report(title: string, figures: ReadonlyMap<Peer, readonly Figure[]>, total: number): void {
  console.log(`${title}\n`)
  console.log('| server | messages/s, median (range) | ack ms, median | restante is |')
  console.log('|---|---|---|---|')
  const own = figures.get(restante)!
  for (const [peer, runs] of figures) {
    const rates = runs.map(run => run.rate)
    const range = `${thousands(Math.min(...rates))} to ${thousands(Math.max(...rates))}`
    const ack = median(runs.flatMap(run => run.ackMs ?? []))
    const ratio = median(runs.map((run, i) => own[i]!.rate / run.rate))
    const missing = runs.some(run => run.received < total) ? ', not all came' : ''
    const times = peer === restante ? '' : `${ratio.toFixed(2)} x`
    const ackText = Number.isNaN(ack) ? '' : ack.toFixed(2)
    console.log(`| ${peer.name} | ${thousands(median(rates))} (${range})${missing} | ${ackText} | ${times} |`)
  }
  console.log('')
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

function thousands(rate: number): string {
  return `${(rate / 1000).toFixed(1)}k`
}

function rotate<T>(list: readonly T[], by: number): T[] {
  return list.map((_, i) => list[(i + by) % list.length]!)
}
