import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  unlinkSync,
  watch
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { DEADLINE_MS, Signal } from './signal.ts'

/** The compiled command line of the server under test. */
export const MAIN = fileURLToPath(new URL('../../src/commands/main.js', import.meta.url))

/** How a process ended: by a code or by a signal. */
export interface ExitStatus {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** How to start a server. Ports are always free ones. */
export interface StartOptions {
  /** Its data folder; left out: a new one under the test's folder. */
  readonly dataDirectory?: string
  readonly fsync?: 'always' | 'interval' | 'off'
  readonly store?: 'local' | 'memory'
  /** Another command line than {@link MAIN}, for example an installed one. */
  readonly main?: string
  /** Further arguments of `restante start`. */
  readonly args?: readonly string[]
  /** Further environment, for example of the watch of {@link watchSyncs}. */
  readonly env?: Readonly<Record<string, string>>
  /** Told of the process before it is ready, or has failed. */
  readonly launched?: (program: Program) => void
}

/** A program that the test has started; ended by the test or, at the latest, in its teardown. */
export class Program {
  readonly pid: number
  exit: ExitStatus | undefined
  stdout = ''
  stderr = ''
  readonly #child: ChildProcess
  readonly #signal = new Signal()

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(command, args, {
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.pid = this.#child.pid ?? 0
    this.#child.stdout!.on('data', (bytes: Buffer) => this.#write('stdout', bytes))
    this.#child.stderr!.on('data', (bytes: Buffer) => this.#write('stderr', bytes))
    this.#child.on('error', error => this.#signal.fail(error))
    this.#child.on('close', (code, signal) => {
      running.delete(this.#child)
      this.exit = { code, signal }
      this.#signal.notify()
    })
    running.add(this.#child)
  }

  /** Waits for a condition, asked again at every output and at the exit. */
  until<T>(
    condition: () => T | undefined | false,
    deadlineMs = DEADLINE_MS,
    what = 'a condition'
  ): Promise<T> {
    return this.#signal.until(condition, { deadlineMs, describe: () => `${what}; ${this.story()}` })
  }

  /** Waits for the exit. */
  exited(deadlineMs = DEADLINE_MS): Promise<ExitStatus> {
    return this.until(() => this.exit, deadlineMs, 'the exit')
  }

  /** Sends a signal and waits for the exit. */
  async kill(signal: NodeJS.Signals = 'SIGKILL', deadlineMs = DEADLINE_MS): Promise<ExitStatus> {
    this.#child.kill(signal)
    return await this.exited(deadlineMs)
  }

  /** Sends a signal and does not wait. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** What the program said, for failure messages. */
  story(): string {
    const state = this.exit ? `exit ${this.exit.code ?? this.exit.signal}` : 'running'
    return `${state}\nstdout: ${this.stdout.slice(-2_000)}\nstderr: ${this.stderr.slice(-4_000)}`
  }

  /** Lets those who wait look again, for a change that is not an output. */
  notify(): void {
    this.#signal.notify()
  }

  #write(to: 'stdout' | 'stderr', bytes: Buffer): void {
    this[to] += bytes.toString()
    this.#signal.notify()
  }
}

/** A running server. */
export interface ServerProcess {
  readonly program: Program
  readonly mqttPort: number
  readonly httpPort: number
  readonly dataDirectory: string
}

/** A folder of this test, removed in its teardown. */
export function testFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'restante-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs a program; it is killed in the teardown of the test at the latest. */
export function startProgram(
  t: ExecutionContext,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {}
): Program {
  const program = new Program(command, args, env)
  t.teardown(async () => {
    if (!program.exit) await program.kill()
  })
  return program
}

/** Runs a command of `restante` to its end. */
export async function runCommand(
  t: ExecutionContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {}
): Promise<Program> {
  const program = startProgram(t, process.execPath, [MAIN, ...args], env)
  await program.exited()
  return program
}

/** Starts `restante start` and does not wait for it. */
export function launchServer(t: ExecutionContext, options: StartOptions, readyFile: string): Program {
  const args = [
    options.main ?? MAIN,
    'start',
    '--mqtt-port',
    '0',
    '--http-port',
    '0',
    '--ready-file',
    readyFile
  ]
  if (options.dataDirectory) args.push('--data', options.dataDirectory)
  if (options.fsync) args.push('--fsync', options.fsync)
  if (options.store) args.push('--store', options.store)
  return startProgram(t, process.execPath, [...args, ...(options.args ?? [])], options.env)
}

/** Starts a server as a process of its own and waits until it listens. */
export async function startServer(t: ExecutionContext, options: StartOptions = {}): Promise<ServerProcess> {
  const dataDirectory = options.dataDirectory ?? join(testFolder(t), 'data')
  const runFolder = `${dataDirectory}.run`
  mkdirSync(runFolder, { recursive: true })
  const readyFile = join(runFolder, 'ready.json')
  if (existsSync(readyFile)) unlinkSync(readyFile)
  let look = () => {}
  const watcher = watch(runFolder, () => look())
  try {
    const program = launchServer(t, { ...options, dataDirectory }, readyFile)
    options.launched?.(program)
    look = () => program.notify()
    const ready = await program.until(() => readReady(program, readyFile), DEADLINE_MS * 2, 'the ready file')
    return { program, mqttPort: ready.mqtt.port, httpPort: ready.http.port, dataDirectory }
  } finally {
    watcher.close()
  }
}

interface ReadyFile {
  readonly mqtt: { readonly host: string; readonly port: number }
  readonly http: { readonly host: string; readonly port: number }
}

function readReady(program: Program, file: string): ReadyFile | undefined {
  if (program.exit) throw new Error(`the server did not start: ${program.story()}`)
  if (!existsSync(file)) return undefined
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ReadyFile
  } catch {
    return undefined // not written to its end yet: the next change tells
  }
}

// ---- no process outlives the tests, also when the runner ends them

const running = new Set<ChildProcess>()

function killRunning(): void {
  for (const child of running) child.kill('SIGKILL')
}

process.on('exit', killRunning)
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    killRunning()
    process.kill(process.pid, signal)
  })
}

/** The environment without the settings of a server and of the test runner. */
function cleanEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name, value]) => value !== undefined && !name.startsWith('RESTANTE_') && name !== 'NODE_OPTIONS'
  )
  return Object.fromEntries(kept) as Record<string, string>
}
