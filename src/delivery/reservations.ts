import { monotonicMs } from '../clock.ts'
import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { StateStore } from '../store/store.ts'
import { encodeCursor } from './cursor.ts'
import type { ReservationDesk } from './pump.ts'
import { cursorChange } from './rows.ts'
import type { Session } from './session.ts'

/** Counters that a session reserves with its first synced write, and while it uses them up slowly. */
export const LEAST_RESERVED = 1_024
/** Counters reserved by a session that is fast; with the window it stays well below the 65,535 packet ids. */
const MOST_RESERVED = 16_384
/** What is used up in less time is reserved in larger pieces, what takes longer in smaller ones. */
const QUICK_MS = 5_000
const GROWTH = 4
const RETRY_MS = 1_000

/** How many counters a session reserves at a time, and when it last did. */
interface Pace {
  readonly size: number
  readonly atMs: number
}

/** What reservations work with. */
export interface ReservationOptions {
  readonly state: StateStore
  readonly log: Logger
  readonly later: (delayMs: number, callback: () => void) => void
}

/**
 * Notes of what was sent are not synced, so a power cut may take the newest. What cannot be taken is an upper bound
 * of the counters used: it is synced before they are. The server that opens afterwards begins above it, so that no
 * packet id of a lost note comes again for another message while a client may still hold the old one. What is
 * reserved is what a session uses in some seconds: each such start leaves that many packet ids out, of which there
 * are 65,535, and marks as many deliveries with DUP.
 */
export class Reservations implements ReservationDesk {
  readonly #options: ReservationOptions
  readonly #running = new Set<Session>()
  readonly #paces = new WeakMap<Session, Pace>()

  constructor(options: ReservationOptions) {
    this.#options = options
  }

  mayUseNext(session: Session): boolean {
    const left = session.reservedCounter - session.inflight.nextCounter
    const size = this.#paces.get(session)?.size ?? LEAST_RESERVED
    if (left <= size / 2 && !this.#running.has(session)) this.#renew(session)
    if (left > 0) return true
    session.isWaiting = true
    return false
  }

  #renew(session: Session): void {
    const pace = nextPace(this.#paces.get(session))
    const reserved = session.inflight.nextCounter + pace.size
    this.#paces.set(session, pace)
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

function nextPace(last: Pace | undefined): Pace {
  const atMs = monotonicMs()
  if (!last) return { size: LEAST_RESERVED, atMs }
  const size = atMs - last.atMs < QUICK_MS ? last.size * GROWTH : last.size / GROWTH
  return { size: Math.min(Math.max(size, LEAST_RESERVED), MOST_RESERVED), atMs }
}
