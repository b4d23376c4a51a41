import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RawClient } from './raw-client.ts'

/** A server under load: its own process on an empty folder. */
export interface Peer {
  readonly name: string
  start(port: number, directory: string): Promise<ChildProcess>
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ('ignore' | 'inherit')[] }

/** This server, syncing before each ack. */
export const restante: Peer = {
  name: 'restante',
  async start(port, directory) {
    const options = ['--http-port', '0', '--data', directory, '--log-level', 'warn']
    return spawn(
      process.execPath,
      [here('../src/commands/main.js'), 'start', '--mqtt-port', String(port), ...options],
      quiet
    )
  }
}

/** Aedes alone, in memory: nothing is kept on disk. */
export const aedes: Peer = {
  name: 'aedes (memory)',
  async start(port) {
    return spawn(process.execPath, [here('./aedes-server.js'), String(port)], quiet)
  }
}

/** mosquitto with persistence and unlimited queues: it writes its file every half hour and at the end, without sync. */
export const mosquitto: Peer = {
  name: 'mosquitto',
  async start(port, directory) {
    const file = join(directory, 'mosquitto.conf')
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${directory}/`,
      'max_queued_messages 0',
      'max_inflight_messages 100',
      'set_tcp_nodelay true',
      'log_type error',
      ...(process.getuid?.() === 0 ? ['user root'] : [])
    ]
    await writeFile(file, `${lines.join('\n')}\n`)
    return spawn('mosquitto', ['-c', file], quiet)
  }
}

/** Runs a task against a fresh server, and stops it. */
export async function withServer<T>(peer: Peer, task: (port: number) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'restante-bench-'))
  const port = await freePort()
  const child = await peer.start(port, directory)
  try {
    await reachable(port)
    return await task(port)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
    await rm(directory, { recursive: true, force: true })
  }
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Resolves when the server at the port lets a client in; asks every `periodMs`, for ten seconds and more. */
export async function reachable(port: number, periodMs = 50): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await (await RawClient.connect(port, 'probe', true)).end()
      return
    } catch (error) {
      if (tries * periodMs > 20_000) throw error
      await new Promise(resolve => setTimeout(resolve, periodMs))
    }
  }
}
