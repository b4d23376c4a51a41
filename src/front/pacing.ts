import type { Clock } from '../clock.ts'
import type { Outlet } from '../delivery/outlet.ts'
import type { Connection } from './connection.ts'
import type { Outgoing } from './outgoing.ts'

/** Longest pause of a publisher for one crowded receiver. */
const MAX_PAUSE_MS = 100
/** A receiver whose socket took nothing for so long is stalled, and holds nobody up. */
const STALLED_MS = 250

/**
 * Holds back publishers of QoS 0 for a moment while a receiver's socket is filling up but still draining: a burst is
 * then slowed down instead of dropped. A receiver that has stopped reading slows down nobody.
 */
export class Pacing {
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A QoS 0 publish has found a receiver's socket more than half full. */
  crowded(publisher: Connection, receiver: Outlet): void {
    const outgoing = receiver as Outgoing
    if (outgoing === publisher.outgoing || publisher.isPaced || outgoing.isClosed) return
    if (this.#clock.now() - outgoing.drainedAt > STALLED_MS) return
    publisher.hold('pace')
    const timer = this.#clock.after(MAX_PAUSE_MS, release)
    outgoing.onRoom(release)
    let isOver = false
    function release(): void {
      if (isOver) return
      isOver = true
      timer.cancel()
      publisher.release('pace')
    }
  }
}
