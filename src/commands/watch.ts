import { scheduler } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import type { Options } from 'yargs'
import { type Arguments, CommandError, EXIT, textArgument } from './command.ts'
import { ServerAwayError } from './http-client.ts'
import { printJson, terminalColumns, writeOut } from './terminal.ts'

/** The options of a command that shows something that changes. */
export const watchOptions: Readonly<Record<string, Options>> = {
  json: { type: 'boolean', describe: 'Print JSON; with --watch one document a line' },
  watch: { describe: 'Show it again every 2 seconds, or as many as are given, until Ctrl-C' }
}

/** Something that can be read again and again. */
export interface Shown<Content extends object> {
  read(signal: AbortSignal | undefined): Promise<Content>
  /** For people. */
  text(content: Content): string
}

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'

/**
 * Reads once and prints; with --watch again and again: in place on a terminal, one after the other elsewhere. A server that goes
 * away is told on stderr and waited for.
 * @returns the exit code: after Ctrl-C too it is that of success.
 * @throws CommandError as `read` does at the first time.
 */
export async function show<Content extends object>(
  args: Arguments,
  { read, text }: Shown<Content>
): Promise<number> {
  const seconds = watchSeconds(args)
  const first = await read(undefined)
  if (seconds === undefined) {
    if (args.json) await printJson(first)
    else await writeOut(`${text(first)}\n`)
    return EXIT.done
  }
  const isScreen = process.stdout.isTTY === true && !args.json
  const printer = isScreen ? new Screen() : new Roll()
  const form = (content: Content) => (args.json ? JSON.stringify(content) : text(content))
  const stop = interruption()
  try {
    await printer.print(form(first))
    await watch(seconds, { stop, printer, read: async () => form(await read(stop)) })
  } finally {
    await printer.close()
  }
  return EXIT.done
}

interface Printer {
  print(text: string): Promise<void>
  /** The server is away; said once for each time. */
  away(problem: string): Promise<void>
  close(): Promise<void>
}

interface Watch {
  readonly stop: AbortSignal
  readonly printer: Printer
  read(): Promise<string>
}

async function watch(seconds: number, { stop, printer, read }: Watch): Promise<void> {
  for (;;) {
    // a wait that keeps the process alive, and ends with Ctrl-C
    await scheduler.wait(seconds * 1_000, { signal: stop }).catch(() => {})
    if (stop.aborted) return
    try {
      await printer.print(await read())
    } catch (error) {
      if (stop.aborted) return
      if (!(error instanceof ServerAwayError)) throw error
      await printer.away(`${error.message}; asking again every ${seconds} s`)
    }
  }
}

/** One text after the other: for files, pipes and programs. */
class Roll implements Printer {
  #isAway = false

  async print(text: string): Promise<void> {
    if (this.#isAway) process.stderr.write('restante: the server is back\n')
    this.#isAway = false
    await writeOut(`${text}\n`)
  }

  async away(problem: string): Promise<void> {
    if (!this.#isAway) process.stderr.write(`restante: ${problem}\n`)
    this.#isAway = true
  }

  async close(): Promise<void> {}
}

/** Each text in the place of the one before; no higher and no wider than the terminal. */
class Screen implements Printer {
  #lines = 0
  #last = ''

  async print(text: string): Promise<void> {
    this.#last = text
    await this.#draw(text)
  }

  async away(problem: string): Promise<void> {
    await this.#draw(`${this.#last}\n\n${problem}`)
  }

  async close(): Promise<void> {
    await writeOut(SHOW_CURSOR)
  }

  async #draw(text: string): Promise<void> {
    const lines = fitLines(text.split('\n'), { width: terminalColumns(), height: process.stdout.rows || 24 })
    const up = this.#lines === 0 ? '' : `\u001b[${this.#lines}A`
    this.#lines = lines.length
    await writeOut(`${HIDE_CURSOR}${up}\r\u001b[J${lines.join('\n')}\n`)
  }
}

/** The lines that fit into a terminal; what does not is counted, or cut. The last line stays free for the cursor. */
export function fitLines(
  lines: readonly string[],
  { width, height }: { readonly width: number; readonly height: number }
): string[] {
  const most = Math.max(2, height - 1)
  const shown = lines.length > most ? lines.slice(0, most - 1) : [...lines]
  const hidden = lines.length - shown.length
  if (hidden > 0) shown.push(`… and ${hidden} more lines`)
  return shown.map(line => {
    const plain = stripVTControlCharacters(line)
    return [...plain].length > width ? `${[...plain].slice(0, width - 1).join('')}…` : line
  })
}

/** Aborted by Ctrl-C; a second one ends the process at once. */
function interruption(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  return stop.signal
}

function watchSeconds(args: Arguments): number | undefined {
  if (args.watch === undefined || args.watch === false) return undefined
  const text = args.watch === true || args.watch === '' ? '2' : textArgument(args, 'watch')!
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (seconds >= 0.1 && seconds <= 86_400) return seconds
  const problem = `flag --watch: expected seconds from 0.1 to 86400, found ${JSON.stringify(text)}; what does not belong to it goes before it`
  throw new CommandError(problem, { exitCode: EXIT.usage })
}
