import { errorText, QueueError } from '../errors.ts'
import type { EventMap } from '../events.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'

/** Who is told. */
type Telling = Pick<FrontContext, 'events' | 'log'>

/** Ends of a connection that are no error. */
const ENDINGS: Readonly<Record<string, string>> = { client: 'client disconnected', lost: 'connection lost' }

/** What kind of stream a connection came over. */
export function transportOf({ request, remoteAddress }: Connection): 'tcp' | 'websocket' | 'stream' {
  if (request) return 'websocket'
  return remoteAddress === undefined ? 'stream' : 'tcp'
}

/** Remote address and port; null when the connection has none. */
export function addressOf({ remoteAddress, remotePort }: Connection): string | null {
  if (remoteAddress === undefined) return null
  return `${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`
}

/** Tells the log, and whoever listens, that a client was let in. @param isResumed whether its session was there before. */
export function tellConnected(connection: Connection, { events, log }: Telling, isResumed: boolean): void {
  const event = connectedEvent(connection, isResumed)
  const { clientId, address, transport, protocolVersion } = event
  log.info({ clientId, address, transport, protocolVersion, isResumed }, 'client connected')
  events.tell('clientConnected', event)
}

/** Tells that its connection is over. @param reason as in EventMap; the log was told of errors before. */
export function tellEnded(connection: Connection, { events, log }: Telling, reason: string): void {
  const { clientId, connectedAt } = connection
  const text = ENDINGS[reason]
  if (text !== undefined) log.info({ clientId, address: addressOf(connection) }, text)
  events.tell('clientDisconnected', { clientId, connectedAt, reason })
}

/** Tells the log of an error that ends a connection: a fault of ours, the end of a client, or one that is not let in. */
export function tellFailure(connection: Connection, { log }: Telling, error: unknown): void {
  const { clientId, session } = connection
  const known = error instanceof QueueError
  const code = known ? { code: error.code, reasonCode: error.reasonCode } : { err: error, reasonCode: 0x80 }
  const level = !known ? 'error' : session ? 'info' : 'warn'
  log[level]({ clientId, address: addressOf(connection), ...code }, `connection closed: ${errorText(error)}`)
}

function connectedEvent(connection: Connection, isResumed: boolean): EventMap['clientConnected'] {
  const { clientId, protocolVersion, keepAliveSeconds, session } = connection
  return {
    clientId,
    username: connection.connect?.username ?? null,
    address: addressOf(connection),
    transport: transportOf(connection),
    protocolVersion,
    keepAliveSeconds,
    isPersistent: Boolean(session?.isPersistent) && session?.expirySeconds !== 0,
    isResumed
  }
}
