import { pino } from 'pino'
import { describeFailure } from '../../src/commands/failure.ts'
import { serve } from '../../src/commands/serve.ts'
import { defaultSettings, type Settings } from '../../src/config/settings.ts'
import { QueueError } from '../../src/errors.ts'

/** How the pretended server behaves; `settings` are laid over the defaults. */
export interface FakeServer {
  readonly behaviour:
    | 'normal'
    | 'never-stops'
    | 'stops-after-two-signals'
    | 'fails-to-stop'
    | 'throws-later'
    | 'rejects-later'
  /** What the start fails with: a code of ours, or of the system with what Node says beside it. */
  readonly failure?: { readonly code: string; readonly [detail: string]: unknown }
  readonly settings?: Partial<Settings>
}

// A script: runs `serve` around a server that does nothing, as its one argument (JSON) says.
const fake = JSON.parse(process.argv[2] ?? '{}') as FakeServer
const settings = defaultSettings({ store: 'memory', ...fake.settings })
const twoSignals = new Promise<void>(resolve => {
  process.once('SIGTERM', () => process.once('SIGINT', () => resolve()))
})
const keepAlive = setInterval(() => {}, 1000)

serve({
  settings,
  plugins: [],
  createServer,
  log: pino({ level: settings.logLevel }, pino.destination(2))
}).then(
  exitCode => process.exit(exitCode),
  error => {
    const { lines, exitCode } = describeFailure(error)
    process.stderr.write(`${lines.join('\n')}\n`)
    process.exit(exitCode)
  }
)

async function createServer() {
  if (fake.failure) throw startError(fake.failure)
  if (fake.behaviour === 'throws-later') {
    setImmediate(() => {
      throw new Error('nobody expected this')
    })
  }
  if (fake.behaviour === 'rejects-later')
    setImmediate(() => void Promise.reject(new Error('nobody awaited this')))
  return {
    mqttAddress: { host: '127.0.0.1', port: 40_001 },
    httpAddress: { host: '127.0.0.1', port: 40_002 },
    aedesVersion: '0.0.0',
    async stop() {
      if (fake.behaviour === 'fails-to-stop') throw new Error('the disk is gone')
      if (fake.behaviour === 'never-stops') await new Promise(() => {})
      if (fake.behaviour === 'stops-after-two-signals') await twoSignals
      clearInterval(keepAlive)
    }
  }
}

function startError(failure: NonNullable<FakeServer['failure']>): Error {
  const { code, ...detail } = failure
  if (code.startsWith('QUEUE_')) return new QueueError(code as QueueError['code'], { detail })
  return Object.assign(new Error(`system call failed: ${code}`), failure)
}
