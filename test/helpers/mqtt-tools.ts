import type { ExecutionContext } from 'ava'
import { type Program, startProgram } from './process.ts'

/** A running `mosquitto_sub`: one line per message. */
export class MosquittoSub {
  readonly #program: Program
  #taken = 0

  constructor(program: Program) {
    this.#program = program
  }

  /** The next `count` lines. */
  async lines(count: number): Promise<string[]> {
    const all = () => this.#program.stdout.split('\n').slice(0, -1)
    await this.#program.until(() => all().length >= this.#taken + count, undefined, `${count} more lines`)
    const lines = all().slice(this.#taken, this.#taken + count)
    this.#taken += count
    return lines
  }

  /** Stops it as Ctrl-C does: it says goodbye to the server. */
  async stop(): Promise<void> {
    await this.#program.kill('SIGINT')
  }
}

/** Starts `mosquitto_sub` with these arguments. */
export function mosquittoSub(t: ExecutionContext, port: number, ...args: readonly string[]): MosquittoSub {
  return new MosquittoSub(startProgram(t, 'mosquitto_sub', ['-p', String(port), ...args]))
}

/** Subscribes with `mosquitto_sub`, which ends as soon as the server has confirmed. */
export async function mosquittoSubscribe(
  t: ExecutionContext,
  port: number,
  ...args: readonly string[]
): Promise<void> {
  await run(t, 'mosquitto_sub', ['-E', '-p', String(port), ...args])
}

/** Runs `mosquitto_pub` with these arguments to its end. */
export async function mosquittoPub(
  t: ExecutionContext,
  port: number,
  ...args: readonly string[]
): Promise<void> {
  await run(t, 'mosquitto_pub', ['-p', String(port), ...args])
}

async function run(t: ExecutionContext, command: string, args: readonly string[]): Promise<void> {
  const program = startProgram(t, command, args)
  const exit = await program.exited()
  if (exit.code !== 0) throw new Error(`${command}: ${program.story()}`)
}
