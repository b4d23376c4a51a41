import type { Session } from './session.ts'

/** Deliveries of one session before the next has its turn. */
const SESSION_BUDGET = 256
/** Deliveries of all sessions before the event loop has its turn. */
const TURN_BUDGET = 4096

/** Something with bytes to write at the end of the turn. */
export interface Flushable {
  /** Whether it is in the list of the present turn; kept by the scheduler. */
  isDirty: boolean
  flush(): void
}

/** Serves one session; returns how many messages were sent, and whether there is more to send now. */
export type Pump = (session: Session, budget: number) => PumpResult

/** What came of serving a session once. */
export interface PumpResult {
  readonly sent: number
  readonly hasMore: boolean
}

/**
 * The turns of the server: in each, woken sessions are served from one run queue with a budget, then every connection
 * that has something to say writes once. A thousand sessions waking together do not stall the event loop.
 */
export class Scheduler {
  readonly #pump: Pump
  readonly #beforeFlush: () => void
  #runQueue: Session[] = []
  #dirty: Flushable[] = []
  #isArmed = false

  /** @param beforeFlush called once a turn after the pumps, before the writes. */
  constructor(pump: Pump, beforeFlush: () => void) {
    this.#pump = pump
    this.#beforeFlush = beforeFlush
  }

  /** Queues a session for the next turn. */
  wake(session: Session): void {
    session.isQueued = true
    this.#runQueue.push(session)
    this.arm()
  }

  /** Queues a connection for the writes of this turn. */
  dirty(connection: Flushable): void {
    if (connection.isDirty) return
    connection.isDirty = true
    this.#dirty.push(connection)
    this.arm()
  }

  /** Makes sure that a turn comes. */
  arm(): void {
    if (this.#isArmed) return
    this.#isArmed = true
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    this.#isArmed = false
    this.#servePumps()
    this.#beforeFlush()
    const dirty = this.#dirty
    this.#dirty = []
    for (const connection of dirty) {
      connection.isDirty = false
      connection.flush()
    }
  }

  #servePumps(): void {
    const queue = this.#runQueue
    this.#runQueue = []
    let budget = TURN_BUDGET
    let served = 0
    for (const session of queue) {
      if (budget <= 0) break
      served++
      session.isQueued = false
      const { sent, hasMore } = this.#pump(session, Math.min(SESSION_BUDGET, budget))
      budget -= sent + 1
      if (hasMore) this.wake(session)
    }
    if (served < queue.length) {
      // those not served come first in the next turn
      this.#runQueue = [...queue.slice(served), ...this.#runQueue]
      this.arm()
    }
  }
}
