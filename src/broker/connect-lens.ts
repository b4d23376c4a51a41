import { isDeepStrictEqual } from 'node:util'
import type { IConnectPacket } from 'mqtt-packet'
import type { AedesClient } from './aedes-types.ts'
import { type ConnectTerms, type HookWill, viewOf } from './client-view.ts'
import type { ConnectLens } from './hooks.ts'

const EXPIRY_NEVER = 0xffffffff

/**
 * Aedes is given a CONNECT without session, keep alive and will, which are not its business. The hook `preConnect` is
 * shown the one that the client sent, and what it changes there is passed on.
 */
export const connectLens: ConnectLens = {
  show(client: AedesClient, packet: object): () => void {
    const view = viewOf(client)
    const before = view?.port.terms
    if (!view || !before) return () => {}
    const connect = packet as IConnectPacket
    putTerms(connect, before)
    return () => {
      const after = takeTerms(connect)
      if (!isDeepStrictEqual(after, before)) view.port.terms = after
    }
  }
}

function putTerms(packet: IConnectPacket, { isCleanStart, keepAliveSeconds, ...terms }: ConnectTerms): void {
  packet.clean = isCleanStart
  packet.keepalive = keepAliveSeconds
  if (terms.will) packet.will = { ...terms.will } as never
  if (packet.protocolVersion === 5 && terms.expirySeconds !== 0) {
    const sessionExpiryInterval = terms.expirySeconds ?? EXPIRY_NEVER
    packet.properties = { ...packet.properties, sessionExpiryInterval }
  }
}

/** Reads what the hook has left, and makes the packet again what Aedes is to see. */
function takeTerms(packet: IConnectPacket): ConnectTerms {
  const { will, properties } = packet
  const isCleanStart = packet.clean !== false
  const terms = {
    isCleanStart,
    keepAliveSeconds: packet.keepalive ?? 0,
    expirySeconds:
      packet.protocolVersion === 5 ? expiryOf(properties?.sessionExpiryInterval) : isCleanStart ? 0 : null,
    will: will ? ({ ...will, payload: Buffer.from(will.payload) } as HookWill) : null
  }
  packet.clean = true
  packet.keepalive = 0
  delete packet.will
  if (properties) delete properties.sessionExpiryInterval
  return terms
}

function expiryOf(seconds: number | undefined): number | null {
  return seconds === EXPIRY_NEVER ? null : (seconds ?? 0)
}
