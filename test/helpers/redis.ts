import { createServer } from 'node:net'
import type { ExecutionContext } from 'ava'
import { type Program, startProgram, testFolder } from './process.ts'
import { needs } from './tools.ts'

/** A Redis of one test, empty, that keeps nothing over a restart. */
export interface TestRedis {
  /** `redis://127.0.0.1:21234`; the same over a restart. */
  readonly url: string
  readonly port: number
  /** Ends it (`SIGKILL` by default). */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again on the same port, after `stop`. */
  restart(): Promise<void>
  /** It stays there and does nothing: `SIGSTOP`. */
  pause(): void
  /** It goes on. */
  resume(): void
}

/** Ports below those that systems hand out for outgoing connections, so that a restart finds its port free. */
const PORTS = { from: 12_000, count: 18_000 }

const ATTEMPTS = 20

/**
 * Starts a Redis; it ends with the test. Without `redis-server` the test is skipped as `needs` does, and undefined is
 * returned. Use: `const redis = await startRedis(t); if (!redis) return`.
 */
export async function startRedis(t: ExecutionContext): Promise<TestRedis | undefined> {
  if (!needs(t, 'redis-server')) return undefined
  const folder = testFolder(t)
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      let program = await launch(t, folder, port)
      return {
        url: `redis://127.0.0.1:${port}`,
        port,
        async stop(signal = 'SIGKILL') {
          await program.kill(signal)
        },
        async restart() {
          program = await launch(t, folder, port)
        },
        pause: () => program.signal('SIGSTOP'),
        resume: () => program.signal('SIGCONT')
      }
    } catch (error) {
      // another test may have been quicker
      if (attempt === ATTEMPTS || !/Address already in use/.test(String(error))) throw error
    }
  }
}

async function launch(t: ExecutionContext, folder: string, port: number): Promise<Program> {
  const settings = { port, bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no', daemonize: 'no' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const program = startProgram(t, 'redis-server', args)
  const isReady = () => {
    if (program.exit) throw new Error(`Redis did not start: ${program.story()}`)
    return program.stdout.includes('Ready to accept connections')
  }
  await program.until(isReady, undefined, 'a Redis that listens')
  return program
}

async function freePort(): Promise<number> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const port = PORTS.from + Math.floor(Math.random() * PORTS.count)
    if (await isFree(port)) return port
  }
  throw new Error(`no free port from ${PORTS.from} on was found`)
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return await new Promise<boolean>(resolve => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
