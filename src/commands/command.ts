import type { Options, PositionalOptions } from 'yargs'

/** What a command was given: options by name without dashes, positionals by name. */
export type Arguments = Readonly<Record<string, unknown>>

/** A command of `restante`. Its file is light; what is heavy is imported when it runs. */
export interface Command {
  /** In the notation of yargs: `publish <topic> [payload]`. */
  readonly usage: string
  readonly describe: string
  readonly positionals?: Readonly<Record<string, PositionalOptions>>
  readonly options: Readonly<Record<string, Options>>
  /** Complete command lines, each with what it does. */
  readonly examples?: readonly (readonly [line: string, meaning: string])[]
  /**
   * @returns the exit code.
   * @throws CommandError, QueueError, or whatever went wrong: the caller says it in one line.
   */
  run(args: Arguments): Promise<number>
}

/** The exit codes of every command. */
export const EXIT = {
  done: 0,
  failed: 1,
  /** The command line, or the configuration, is wrong. */
  usage: 2,
  /** A fault of the program itself (EX_SOFTWARE of sysexits.h). */
  fault: 70
} as const

/** A failure that has been put into words for people. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  /** @param message what went wrong, what was expected, how to mend it; one line. */
  constructor(
    message: string,
    { exitCode = EXIT.failed, cause }: { exitCode?: number; cause?: unknown } = {}
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.exitCode = exitCode
  }
}

/** The text of an option or positional; `undefined` when it was not given. Of several the last one counts. */
export function textArgument(args: Arguments, name: string): string | undefined {
  const given = args[name]
  const last: unknown = Array.isArray(given) ? given.at(-1) : given
  return last === undefined ? undefined : String(last)
}

/**
 * The whole number given as an option.
 * @throws CommandError when it is none, or out of bounds.
 */
export function countArgument(
  args: Arguments,
  name: string,
  bounds: { min: number; max: number }
): number | undefined {
  const text = textArgument(args, name)
  if (text === undefined) return undefined
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (count >= bounds.min && count <= bounds.max) return count
  const problem = `flag --${name}: expected an integer from ${bounds.min} to ${bounds.max}, found ${JSON.stringify(text)}`
  throw new CommandError(problem, { exitCode: EXIT.usage })
}
