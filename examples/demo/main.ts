#!/usr/bin/env node
/* The queue server and the four applications in one terminal, with customers created all the time. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { styleText } from 'node:util'
import yargs, { type ArgumentsCamelCase, type InferredOptionTypes } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { failAs } from '../shared/fail.ts'
import type { Child, Listener } from './child.ts'
import { story } from './story.ts'

const COLORS: Readonly<Record<string, 'cyan' | 'green' | 'magenta' | 'yellow'>> = {
  'api-server': 'cyan',
  logger: 'green',
  monitor: 'magenta',
  dashboard: 'yellow'
}

/** The end that was asked for; every other one is a failure. */
class Stop extends Error {}

const port = (describe: string) =>
  ({ type: 'number', default: 0, describe: `${describe}; 0: any free one` }) as const

const options = {
  customers: {
    type: 'number',
    describe: 'End when so many customers (3 or more) were created and handled; left out: at Ctrl-C'
  },
  'interval-ms': { type: 'number', default: 800, describe: 'Milliseconds from one customer to the next' },
  data: {
    type: 'string',
    describe: 'Folder for all data, which is kept; left out: one that is removed at the end'
  },
  'mqtt-port': port('Port for MQTT'),
  'http-port': port('Port for HTTP of the queue server'),
  'api-port': port('Port of the API server'),
  'dashboard-port': port('Port of the dashboard')
} as const

await yargs(hideBin(process.argv))
  .scriptName('demo')
  .command('$0', 'Run the queue server and the four applications, and create customers', options, main)
  .strict()
  .version(false)
  .fail(failAs('demo'))
  .wrap(100)
  .parseAsync()

async function main(args: ArgumentsCamelCase<InferredOptionTypes<typeof options>>): Promise<void> {
  const { customers = 3 } = args
  if (!(Number.isInteger(customers) && customers >= 3)) {
    throw new Error(
      `--customers: expected a whole number from 3 (before, while and after they are away), found ${customers}`
    )
  }
  const data = args.data ? resolve(args.data) : mkdtempSync(join(tmpdir(), 'restante-demo-'))
  mkdirSync(data, { recursive: true })
  const ending = new AbortController()
  const ended = new Promise<never>((_, reject) => {
    ending.signal.addEventListener('abort', () => reject(ending.signal.reason))
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => ending.abort(new Stop('stopping')))
  }
  const listener: Listener = {
    ending: ending.signal,
    onLine: (name, line, stream) => {
      if (name !== 'server' || stream === 'stderr') say(name, line.replace(`${name}: `, '')) // not its first screen
    },
    onDeath: (name, how) => ending.abort(new Error(`${name} has ended by itself (${how})`))
  }
  const children: Child[] = []
  try {
    await Promise.race([ended, story(data, args, children, listener, say)])
  } catch (error) {
    if (!(error instanceof Stop)) process.exitCode = 1
    say('demo', (error as Error).message)
  }
  ending.abort(new Stop('stopping'))
  for (const child of children.toReversed()) await child.stop()
  if (!args.data) rmSync(data, { recursive: true, force: true })
  say('demo', args.data ? `stopped; the data is in ${data}` : 'stopped; nothing is left')
}

/** Prints a line of a program. */
function say(name: string, line: string): void {
  const color = COLORS[name]
  const margin = `${name.padEnd(10)} |`
  console.log(`${color && process.stdout.isTTY ? styleText(color, margin) : margin} ${line}`)
}
