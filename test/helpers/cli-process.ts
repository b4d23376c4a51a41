import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

/** What a command left behind. */
export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** How a command is started. */
export interface RunOptions {
  /** Variables besides those of the test; RESTANTE_ ones of the test are not handed on. */
  readonly env?: Readonly<Record<string, string>>
  /** What it reads from stdin; '' by default. */
  readonly stdin?: string | Buffer
  /** Its current folder. */
  readonly cwd?: string
  /** Compiled script to run in place of the CLI. */
  readonly script?: string
}

/** A command that was started. */
export interface RunningCommand {
  readonly child: ChildProcess
  readonly outcome: Promise<Outcome>
  /** Resolves once stdout has matched; rejects when the command ends before. */
  output(pattern: RegExp): Promise<string>
}

/** The compiled bin. */
export const MAIN = fileURLToPath(new URL('../../src/commands/main.js', import.meta.url))

/** Starts the CLI as a process of its own; it is killed at the end of the test if it still runs. */
export function startCommand(
  t: ExecutionContext,
  words: readonly string[],
  options: RunOptions = {}
): RunningCommand {
  const child = spawn(process.execPath, [options.script ?? MAIN, ...words], {
    cwd: options.cwd,
    env: { ...ownEnvironment(), ...options.env }
  })
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
  child.stdin.on('error', () => {}) // it may end without reading
  child.stdin.end(options.stdin ?? '')
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  const output = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (pattern.test(stdout)) resolve(stdout)
      }
      child.stdout.on('data', look)
      child.on('close', () => reject(new Error(`ended without ${pattern}: ${stdout}${stderr}`)))
      look()
    })
  return { child, outcome, output }
}

/** Runs the CLI to its end. */
export function runCommand(
  t: ExecutionContext,
  words: readonly string[],
  options: RunOptions = {}
): Promise<Outcome> {
  return startCommand(t, words, options).outcome
}

function ownEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('RESTANTE_'))
  return Object.fromEntries(entries)
}
