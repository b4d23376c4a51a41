import { styleText } from 'node:util'

/** Width of the terminal in columns; Infinity when the output goes elsewhere. */
export function terminalColumns(): number {
  return process.stdout.isTTY ? process.stdout.columns || 80 : Number.POSITIVE_INFINITY
}

/** Whether the output may have colours: a terminal, and nobody said no (https://no-color.org). */
export function isColoured(): boolean {
  return process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'
}

/** Text in bold where colours are wanted. */
export function bold(text: string, coloured: boolean): string {
  return coloured ? styleText('bold', text) : text
}

/** Text in yellow where colours are wanted. */
export function yellow(text: string, coloured: boolean): string {
  return coloured ? styleText('yellow', text) : text
}

/** Writes a line to stdout, without waiting. */
export function writeLine(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Writes a line to stdout; resolves when the system has taken it. */
export function writeOut(bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, error => (error ? reject(error) : resolve()))
  })
}

/** Prints JSON for programs and people. */
export async function printJson(content: object): Promise<void> {
  await writeOut(`${JSON.stringify(content, null, 2)}\n`)
}

/**
 * Text from strangers (client ids, topics, payloads) made safe for a terminal: control characters, and those that
 * turn the direction of writing, are shown as escapes such as \u001b.
 */
export function printable(text: string): string {
  return text.replaceAll(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}
