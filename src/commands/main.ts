#!/usr/bin/env node
import { runCommandLine } from './cli.ts'
import { describeFailure } from './failure.ts'

process.stdout.on('error', () => {}) // who writes to a closed pipe is told by the write
runCommandLine(process.argv.slice(2)).then(exit, error => {
  const { lines, exitCode } = describeFailure(error)
  for (const line of lines) process.stderr.write(`restante: ${line}\n`)
  if (isDebugging()) process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
  exit(exitCode)
})

/** Leaves once what was written has gone out. */
function exit(exitCode: number): void {
  process.exitCode = exitCode
  process.stdout.write('', () => process.stderr.write('', () => process.exit()))
}

function isDebugging(): boolean {
  const words = `${process.argv.slice(2).join(' ')} --log-level=${process.env.RESTANTE_LOG_LEVEL}`
  return /--log-level[= ](debug|trace)\b/.test(words)
}
