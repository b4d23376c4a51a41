import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RawClient } from './raw-client.ts'
import { publishOffline } from './scenarios.ts'
import { freePort, reachable, restante } from './servers.ts'

/** What it takes to start, in milliseconds from the start of the process. */
export interface OpenFigure {
  /** Until the port answers, on an empty folder. */
  readonly emptyMs: number
  /** Until the port answers, with so many messages kept for a session that is away, after a kill. */
  readonly keptMs: number
  /** From the session's CONNECT to the first of them. */
  readonly firstMessageMs: number
}

/** Fills a data folder, kills the server, starts another on it. */
export async function openKept(total: number): Promise<OpenFigure> {
  const directory = await mkdtemp(join(tmpdir(), 'restante-bench-'))
  const port = await freePort()
  try {
    const first = await start(port, directory)
    await publishOffline(port, total)
    await kill(first.child)
    const second = await start(port, directory)
    const firstMessageMs = await timeToFirstMessage(port)
    await kill(second.child)
    return { emptyMs: first.ms, keptMs: second.ms, firstMessageMs }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

type Child = Awaited<ReturnType<typeof restante.start>>

async function start(port: number, directory: string): Promise<{ child: Child; ms: number }> {
  const begin = performance.now()
  const child = await restante.start(port, directory)
  await reachable(port, 10)
  return { child, ms: performance.now() - begin }
}

async function kill(child: Child): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

async function timeToFirstMessage(port: number): Promise<number> {
  const begin = performance.now()
  let client: RawClient | undefined
  await new Promise<void>((resolve, reject) => {
    RawClient.connect(port, 'away', false, type => {
      if (type === 3) resolve()
    }).then(connected => {
      client = connected
    }, reject)
  })
  const ms = performance.now() - begin
  await client?.end()
  return ms
}
