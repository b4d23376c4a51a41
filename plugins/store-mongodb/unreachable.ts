import { errorText, QueueError } from '../../src/plugin.ts'
import { failureOf, isOfLogin, isOfServer } from './database.ts'

/** Why the server cannot start without its database, and what to do. */
export function unreachable(cause: unknown, shownUrl: string, timeoutMs: number): QueueError {
  const error = cause instanceof QueueError ? (cause.cause ?? cause) : cause
  const problem = problemOf(error, `MongoDB at ${shownUrl}`, timeoutMs)
  return new QueueError('QUEUE_STORE_AWAY', { cause, detail: { problem, url: shownUrl } })
}

function problemOf(error: unknown, server: string, timeoutMs: number): string {
  const text = errorText(error)
  if (isOfLogin(error))
    return `${server} refuses: ${text}: look at the user, the password and the rights in mongodbUrl`
  switch (failureOf(error).kind) {
    case 'full':
      return `${server} has no room: ${text}`
    case 'refused':
    case 'duplicate':
      return `${server} refuses: ${text}`
  }
  if (isOfServer(error))
    return `${server} is not ready within ${timeoutMs} ms: ${text}: wait longer with storeTimeoutMs`
  return `no ${server} within ${timeoutMs} ms: ${text}: start it, or mend mongodbUrl, or wait longer with storeTimeoutMs`
}
