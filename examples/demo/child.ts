import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** How long a program may take to start, and to end. */
const PATIENCE_MS = 20_000

/** What the demo does with what its programs say and do. */
export interface Listener {
  /** Whether the demo is ending: then no program starts any more. */
  readonly ending: AbortSignal
  onLine(name: string, line: string, stream: 'stdout' | 'stderr'): void
  /** A program has ended that was not told to. */
  onDeath(name: string, how: string): void
}

/** A program of the demo. It can be stopped and started again. */
export class Child {
  readonly name: string
  readonly #command: readonly string[]
  readonly #listener: Listener
  #process: ChildProcess | undefined
  #isWanted = false

  /** @param program path of the compiled program from here, then its arguments. */
  constructor(name: string, [program = '', ...args]: readonly string[], listener: Listener) {
    this.name = name
    const path = (file: string) => new URL(file, import.meta.url)
    this.#command = ['--import', path('./lifeline.js').href, fileURLToPath(path(program)), ...args]
    this.#listener = listener
  }

  /**
   * Starts it and waits until it has said what it says when it is ready.
   * @param ready what to look for in its output; the groups of it are the answer.
   * @throws Error when it ends before, or takes too long.
   */
  async start(ready: RegExp): Promise<string[]> {
    this.#listener.ending.throwIfAborted()
    // a process group of its own: Ctrl-C reaches the demo alone, which then ends one after the other
    const child = spawn(process.execPath, this.#command, { stdio: 'pipe', detached: true })
    this.#process = child
    this.#isWanted = true
    child.on('close', (code, signal) => {
      this.#process = undefined
      if (this.#isWanted) this.#listener.onDeath(this.name, `exit ${code ?? signal}`)
    })
    return await new Promise((resolve, reject) => {
      const fail = (how: string) => reject(new Error(`${this.name} has not started: ${how}`))
      const timer = setTimeout(fail, PATIENCE_MS, `it says nothing like ${ready}`)
      let output = ''
      child.stdout.on('data', text => {
        const found = ready.exec((output += text))
        if (found) resolve(found.slice(1))
      })
      child.on('error', error => fail(error.message))
      child.on('close', code => fail(`exit ${code}`))
      child.on('close', () => clearTimeout(timer))
      for (const stream of ['stdout', 'stderr'] as const) {
        createInterface(child[stream]).on('line', line => this.#listener.onLine(this.name, line, stream))
      }
    })
  }

  /** Tells it to end and waits for that; a program that does not is killed. */
  async stop(): Promise<void> {
    this.#isWanted = false
    const child = this.#process
    if (!child) return
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    await new Promise(resolve => child.on('close', resolve).kill('SIGTERM'))
    clearTimeout(timer)
  }
}
