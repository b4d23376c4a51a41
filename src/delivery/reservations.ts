import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { StateStore } from '../store/store.ts'
import { encodeCursor } from './cursor.ts'
import type { ReservationDesk } from './pump.ts'
import { cursorChange } from './rows.ts'
import type { Session } from './session.ts'

/** Counters reserved with one synced write; with the window it stays well below the 65,535 packet ids. */
export const RESERVED_COUNTERS = 16_384
const RENEW_BELOW = RESERVED_COUNTERS / 2
const RETRY_MS = 1_000

/** What reservations work with. */
export interface ReservationOptions {
  readonly state: StateStore
  readonly log: Logger
  readonly later: (delayMs: number, callback: () => void) => void
}

/**
 * Notes of what was sent are not synced, so a power cut may take the newest. What cannot be taken is an upper bound
 * of the counters used: it is synced before they are. The server that opens afterwards begins above it, so that no
 * packet id of a lost note comes again for another message while a client may still hold the old one.
 */
export class Reservations implements ReservationDesk {
  readonly #options: ReservationOptions
  readonly #running = new Set<Session>()

  constructor(options: ReservationOptions) {
    this.#options = options
  }

  mayUseNext(session: Session): boolean {
    const left = session.reservedCounter - session.inflight.nextCounter
    if (left <= RENEW_BELOW && !this.#running.has(session)) this.#renew(session)
    if (left > 0) return true
    session.isWaiting = true
    return false
  }

  #renew(session: Session): void {
    const reserved = session.inflight.nextCounter + RESERVED_COUNTERS
    session.requestedCounter = reserved
    this.#running.add(session)
    const change = cursorChange(session, encodeCursor(session))
    this.#options.state.write([change], { sync: true }).then(
      () => {
        session.reservedCounter = reserved
        this.#finish(session)
      },
      (cause: unknown) => this.#failed(session, cause)
    )
  }

  /** Without a reservation nothing new may be sent; what is reserved is used up meanwhile. */
  #failed(session: Session, cause: unknown): void {
    const fields = { err: cause, clientId: session.clientId }
    this.#options.log.error(
      fields,
      `packet ids for ${session.clientId} cannot be reserved: ${errorText(cause)}`
    )
    this.#options.later(RETRY_MS, () => this.#finish(session))
  }

  #finish(session: Session): void {
    this.#running.delete(session)
    if (!session.isWaiting) return
    session.isWaiting = false
    session.wake()
  }
}
