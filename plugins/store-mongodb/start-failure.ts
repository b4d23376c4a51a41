import { errorText, QueueError } from '../../src/plugin.ts'
import { failureOf, isOfDriver, isOfLogin, isOfServer } from './database.ts'

/**
 * Why a start cannot go on with its database, and what to do: an error of the driver, or QUEUE_STORE_AWAY with one behind
 * it, is put into words; any other is handed back.
 */
export function startFailure(thrown: unknown, shownUrl: string, timeoutMs: number): unknown {
  const isAway = thrown instanceof QueueError && thrown.code === 'QUEUE_STORE_AWAY'
  const error = isAway ? thrown.cause : thrown
  if (error === undefined || (!isAway && !isOfDriver(error))) return thrown
  const server = `MongoDB at ${shownUrl}`
  if (isOfLogin(error)) {
    const detail = { problem: `${server}: ${errorText(error)}`, setting: 'mongodbUrl', url: shownUrl }
    return new QueueError('QUEUE_STORE_LOGIN_REFUSED', { cause: thrown, detail })
  }
  const detail = { problem: problemOf(error, server, timeoutMs), url: shownUrl }
  return new QueueError('QUEUE_STORE_AWAY', { cause: thrown, detail })
}

function problemOf(error: unknown, server: string, timeoutMs: number): string {
  const text = errorText(error)
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
