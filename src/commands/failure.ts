import { type ErrorCode, errorText, QueueError, systemCode } from '../errors.ts'
import { CommandError, EXIT } from './command.ts'

/** What is told of a failure: lines for stderr, and the exit code. */
export interface Failure {
  readonly lines: readonly string[]
  readonly exitCode: number
}

/** Codes that mean: what was typed, or configured, is wrong. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'QUEUE_CONFIG_INVALID',
  'QUEUE_FILTER_INVALID',
  'QUEUE_STORE_LOGIN_REFUSED',
  'QUEUE_TOPIC_INVALID'
])

/** Ways out that the message of a code does not name. */
const REMEDIES: Partial<Record<ErrorCode, string>> = {
  QUEUE_DATA_VERSION: 'use the version of Restante that wrote it, or another folder with --data',
  QUEUE_DATA_CORRUPT: 'keep a copy of the data folder; another folder can be named with --data'
}

/** Puts anything thrown into words. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CommandError) return { lines: [error.message], exitCode: error.exitCode }
  if (error instanceof QueueError) return describeQueueError(error)
  const code = systemCode(error)
  if (code === 'EPIPE') return { lines: [], exitCode: EXIT.done } // the reader of our output has seen enough
  const text = errorText(error) || (code ?? 'unknown error')
  return { lines: [text], exitCode: EXIT.failed }
}

function describeQueueError(error: QueueError): Failure {
  const exitCode = USAGE_CODES.has(error.code) ? EXIT.usage : EXIT.failed
  if (error.code === 'QUEUE_CONFIG_INVALID') return { lines: configLines(error), exitCode }
  const remedy = REMEDIES[error.code]
  return { lines: [remedy ? `${error.message}: ${remedy}` : error.message], exitCode }
}

/** One line for each bad value. */
function configLines(error: QueueError): string[] {
  const { problems } = error.detail
  if (!Array.isArray(problems)) return [error.message]
  return problems.map(detail => new QueueError('QUEUE_CONFIG_INVALID', { detail }).message)
}
