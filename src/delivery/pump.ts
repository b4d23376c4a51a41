import type { Journal } from '../journal/journal.ts'
import type { Logger } from '../log.ts'
import type { Message } from '../wire/message.ts'
import { DUP_BIT, PUBLISH } from '../wire/publish.ts'
import type { Counters } from './counters.ts'
import { packetIdOf } from './inflight.ts'
import type { NoteBook } from './notes.ts'
import type { Outlet } from './outlet.ts'
import type { PumpResult } from './scheduler.ts'
import type { Session, SessionState } from './session.ts'

/** Asked for packet ids before they are used. */
export interface ReservationDesk {
  /** Sees to it that the session may use its next counter; false: not yet, the session is woken when it may. */
  mayUseNext(session: Session): boolean
}

/** What the pump works with. */
export interface PumpOptions {
  readonly journal: Journal
  readonly notes: NoteBook
  readonly reservations: ReservationDesk
  readonly counters: Counters
  readonly log: Logger
}

/** One try to send: it was sent, or this is why not. `lost` means that the message is gone from the store. */
type Step = 'sent' | 'lost' | 'loading' | Exclude<SessionState, 'ready' | 'offline'>

/**
 * Moves messages from the streams to the connections, one session at a time: first what was inflight on an earlier
 * connection, then what comes next in the merged streams, never more than the window allows.
 */
export class SessionPump {
  readonly #options: PumpOptions

  constructor(options: PumpOptions) {
    this.#options = options
  }

  /** Serves a session until it is paused or the budget is used up. */
  serve(session: Session, budget: number): PumpResult {
    let sent = 0
    const { outlet } = session
    if (!outlet || session.isWaiting) return { sent, hasMore: false }
    while (sent < budget) {
      const step = this.#step(session, outlet)
      if (step === 'sent') sent++
      else if (step !== 'lost') {
        session.state = step === 'loading' ? 'ready' : step
        return this.#done(sent, false)
      }
    }
    session.state = 'ready'
    return this.#done(sent, true)
  }

  #done(sent: number, hasMore: boolean): PumpResult {
    this.#options.counters.deliveredMessages += sent
    return { sent, hasMore }
  }

  #step(session: Session, outlet: Outlet): Step {
    if (session.inflight.outstanding >= outlet.window) return 'inflight-full'
    if (outlet.isFull) return 'socket-full'
    const again = session.inflight.nextResend()
    if (again) return this.#resend(session, outlet, again)
    const sequence = session.peek()
    if (sequence === null) return 'caught-up'
    const message = this.#message(session, sequence)
    if (message === undefined) return 'loading'
    return this.#send(session, outlet, sequence, message)
  }

  #resend(session: Session, outlet: Outlet, entry: { counter: number; sequence: number }): Step {
    const message = this.#message(session, entry.sequence)
    if (message === undefined) return 'loading'
    const packetId = packetIdOf(entry.counter)
    if (message === null) {
      session.inflight.lose()
      return this.#lost(session, entry.sequence)
    }
    session.inflight.resent()
    outlet.publish(message.form(outlet.isV5, true), PUBLISH | 0x02 | DUP_BIT, packetId) // [MQTT-4.4.0-1]
    return 'sent'
  }

  #send(session: Session, outlet: Outlet, sequence: number, message: Message | null): Step {
    const { inflight } = session
    if (message === null) {
      session.take(sequence)
      return this.#lost(session, sequence)
    }
    if (!inflight.findFree()) return 'inflight-full'
    if (session.isPersistent && !this.#options.reservations.mayUseNext(session)) return 'loading'
    session.take(sequence)
    const counter = inflight.nextCounter
    const packetId = inflight.send(sequence)
    if (session.isPersistent) {
      this.#options.notes.sent(session, counter, sequence)
      outlet.holdFor(this.#options.notes.pendingNote)
    }
    outlet.publish(message.form(outlet.isV5, true), PUBLISH | 0x02 | this.#dup(session), packetId)
    return 'sent'
  }

  /** After a power cut the first messages may have been sent before: DUP says "perhaps". @see MQTT 5.0 section 3.3.1.1 */
  #dup(session: Session): number {
    if (session.suspects === 0) return 0
    session.suspects--
    return DUP_BIT
  }

  /** The message; undefined when the session has to wait for it. */
  #message(session: Session, sequence: number): Message | null | undefined {
    const { journal } = this.#options
    const message = journal.get(sequence)
    if (message !== undefined) return message
    session.isWaiting = true
    void journal.load(sequence).then(() => {
      session.isWaiting = false
      session.wake()
    })
    return undefined
  }

  #lost(session: Session, sequence: number): Step {
    this.#options.counters.lostMessages++
    const fields = { clientId: session.clientId, sequence }
    this.#options.log.error(
      fields,
      `message ${sequence} for ${session.clientId} is not in the store any more`
    )
    return 'lost'
  }
}
