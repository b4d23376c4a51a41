import type { EventMap } from '../events.ts'
import type { Connection } from './connection.ts'

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

/** What is told of a client that was let in. @param isResumed whether its session was there before. */
export function connectedEvent(connection: Connection, isResumed: boolean): EventMap['clientConnected'] {
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
