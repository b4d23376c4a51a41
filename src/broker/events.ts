import type { Aedes } from 'aedes'
import type { IConnackPacket } from 'mqtt-packet'
import type { AedesClient } from './aedes-types.ts'
import { viewOf } from './client-view.ts'
import { emitSafely, type Report } from './guard.ts'

/**
 * Sees to it that a listener which throws hurts nobody, and that the events of a client that was let in come when its
 * session is open: Aedes believes that it is as soon as its own CONNACK is written.
 */
export function guardEvents(aedes: Aedes, report: Report): void {
  aedes.emit = (event: string | symbol, ...args: unknown[]) => {
    const emit = (values: unknown[]) => emitSafely(aedes, event, values, report)
    const view = lettingIn(event, args)
    if (!view) return emit(args)
    const [packet, ...rest] = args
    view.tell(() => {
      if (event === 'connackSent') emit([view.connackSent(packet as IConnackPacket), ...rest])
      else {
        emit(args)
        view.toldReady()
      }
    })
    return true
  }
}

/** The client that an event says is let in. */
function lettingIn(event: string | symbol, args: unknown[]) {
  if (event === 'clientReady') return viewOf(args[0] as AedesClient)
  if (event !== 'connackSent') return undefined
  const { returnCode = 0, reasonCode = returnCode } = args[0] as IConnackPacket
  return reasonCode === 0 ? viewOf(args[1] as AedesClient) : undefined
}
