import type { Clock } from '../clock.ts'
import type { DropReason } from '../events.ts'
import type { Journal } from '../journal/journal.ts'
import { laneOf } from '../lane.ts'
import type { Logger } from '../log.ts'
import type { Router } from '../routing/router.ts'
import type { Message } from '../wire/message.ts'
import { DUP_BIT, PUBLISH, RETAIN_BIT } from '../wire/publish.ts'
import type { Drops } from './drops.ts'
import { ENTRY, type InflightEntry, packetIdOf } from './inflight.ts'
import type { NoteBook } from './notes.ts'
import type { Outlet } from './outlet.ts'
import type { Retained } from './retained.ts'
import type { RetainedFeed } from './retained-feed.ts'
import type { PumpResult } from './scheduler.ts'
import type { Session, SessionState } from './session.ts'
import { directFilter, type Subscription } from './subscription.ts'
import { PLAIN, type Wanted, wantedBy } from './wanted.ts'

/** Asked for packet ids before they are used. */
export interface ReservationDesk {
  /** Sees to it that the session may use its next counter; false: not yet, the session is woken when it may. */
  mayUseNext(session: Session): boolean
}

/** What the pump works with. */
export interface PumpOptions {
  readonly clock: Clock
  readonly journal: Journal
  readonly retained: Retained
  readonly router: Router<Subscription>
  readonly notes: NoteBook
  readonly reservations: ReservationDesk
  readonly drops: Drops
  readonly log: Logger
}

/** One try to send: it was sent, it is not to be sent, or this is why it cannot be sent now. */
type Step = 'sent' | 'passed' | 'loading' | Exclude<SessionState, 'ready' | 'offline'>

/** A message on its way to one session. */
interface Delivery {
  readonly message: Message
  readonly wanted: Wanted
  readonly qos: number
  /** Bits of `ENTRY`. */
  readonly flags: number
  /** RETAIN and DUP of the first byte. */
  readonly bits: number
}

/**
 * Moves messages from the streams to the connections, one session at a time: first what was inflight on an earlier
 * connection, then retained messages that a subscribe has brought up, then what comes next in the merged streams, never
 * more than the window allows.
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
    for (let steps = 0; steps < budget; steps++) {
      const step = this.#step(session, outlet)
      if (step === 'sent') sent++
      else if (step !== 'passed') {
        session.state = step === 'loading' ? 'ready' : step
        return { sent, hasMore: false }
      }
    }
    session.state = 'ready'
    return { sent, hasMore: true }
  }

  #step(session: Session, outlet: Outlet): Step {
    if (session.inflight.outstanding >= outlet.window) return 'inflight-full'
    if (outlet.isFull) return 'socket-full'
    const again = session.inflight.nextResend()
    if (again) return this.#resend(session, outlet, again)
    const feed = session.retained[0]
    if (feed) return this.#sendRetained(session, outlet, feed)
    const sequence = session.peek()
    if (sequence === null) return 'caught-up'
    const message = this.#message(session, sequence)
    if (message === undefined) return 'loading'
    return this.#sendNext(session, outlet, sequence, message)
  }

  /** @see MQTT 5.0 section 4.4 */
  #resend(session: Session, outlet: Outlet, entry: InflightEntry): Step {
    const { inflight } = session
    const packetId = packetIdOf(entry.counter)
    if (entry.flags & ENTRY.released) {
      inflight.resent()
      outlet.holdFor(0, session.syncNote)
      outlet.release(packetId)
      return 'sent'
    }
    const message = this.#kept(session, entry)
    if (message === undefined) return 'loading'
    if (message === null) return this.#lose(session, entry)
    const isExact = (entry.flags & ENTRY.qos2) !== 0
    if (!isExact && this.#isExpired(message)) return this.#expireInflight(session, message)
    const wanted = (session.specials > 0 && this.#wantedBy(session, message)) || PLAIN[isExact ? 2 : 1]!
    const form = outlet.prepare(message, wanted.identifiers, isExact ? 2 : 1)
    if (!form) {
      session.ack(packetId)
      return this.#drop(session, message, 'not-taken')
    }
    inflight.resent()
    // its packet id may not have been noted yet
    outlet.holdFor(session.sentNote, isExact ? session.syncNote : 0)
    const isRetained = (entry.flags & ENTRY.aside) !== 0 || (wanted.keepsRetain && message.isRetained)
    const bits = DUP_BIT | (isRetained ? RETAIN_BIT : 0) // [MQTT-3.3.1-1]
    outlet.publish(form, PUBLISH | (isExact ? 0x04 : 0x02) | bits, packetId)
    return 'sent'
  }

  #sendRetained(session: Session, outlet: Outlet, feed: RetainedFeed): Step {
    const { subscription } = feed
    const message = feed.isWanted ? feed.peek() : undefined
    if (message === undefined) {
      session.retained.shift()
      return 'passed'
    }
    if (message === null) return 'passed'
    if (feed.comesLive(message) || (subscription.isNoLocal && message.publisher === session.clientId)) {
      feed.advance()
      return 'passed'
    }
    const qos = Math.min(message.qos, subscription.qos)
    if (qos > 0 && !this.#mayUseId(session)) return session.isWaiting ? 'loading' : 'inflight-full'
    feed.advance()
    const { identifier } = subscription
    const wanted = { qos, keepsRetain: true, identifiers: identifier === 0 ? [] : [identifier] }
    return this.#send(session, outlet, { message, wanted, qos, flags: ENTRY.aside, bits: RETAIN_BIT })
  }

  #sendNext(session: Session, outlet: Outlet, sequence: number, message: Message | null): Step {
    if (message === null) {
      this.#pass(session, sequence)
      return this.#lost(session, sequence)
    }
    if (this.#isExpired(message)) {
      this.#pass(session, sequence)
      return this.#drop(session, message, 'expired')
    }
    if (!this.#mayUseId(session)) return session.isWaiting ? 'loading' : 'inflight-full'
    const plain = PLAIN[session.take(sequence)]!
    const wanted =
      session.specials > 0 ? (this.#wantedBy(session, message) ?? direct(session, sequence, plain)) : plain
    if (!wanted) {
      this.#touch(session)
      return 'passed'
    }
    const qos = Math.min(message.qos, wanted.qos)
    const bits = wanted.keepsRetain && message.isRetained ? RETAIN_BIT : 0
    return this.#send(session, outlet, { message, wanted, qos, flags: 0, bits })
  }

  /** Everything that could make it wait is behind it. */
  #send(session: Session, outlet: Outlet, { message, wanted, qos, flags, bits }: Delivery): Step {
    const form = outlet.prepare(message, wanted.identifiers, qos)
    if (!form) {
      this.#touch(session)
      return this.#drop(session, message, 'not-taken')
    }
    if (qos === 0) {
      outlet.publish(form, PUBLISH | bits, 0)
      this.#touch(session)
      return 'sent'
    }
    const { inflight } = session
    const all = qos === 2 ? flags | ENTRY.qos2 : flags
    const dup = this.#dup(session, all)
    const counter = inflight.nextCounter
    const packetId = inflight.send(message.sequence, all)
    if (session.isPersistent) {
      const { notes } = this.#options
      notes.sent(session, counter, message.sequence, all)
      session.sentNote = notes.pendingNote
      outlet.holdFor(session.sentNote, qos === 2 ? session.syncNote : 0)
    }
    outlet.publish(form, PUBLISH | (qos << 1) | bits | dup, packetId)
    return 'sent'
  }

  #mayUseId(session: Session): boolean {
    if (!session.inflight.findFree()) return false
    return !session.isPersistent || this.#options.reservations.mayUseNext(session)
  }

  /**
   * After a power cut the first messages may have been sent before: DUP says "perhaps". Those with QoS 2 have not: what
   * was sent with it is known for certain. @see MQTT 5.0 section 3.3.1.1
   */
  #dup(session: Session, flags: number): number {
    if (session.suspects === 0 || flags & ENTRY.aside) return 0
    session.suspects--
    return flags & ENTRY.qos2 ? 0 : DUP_BIT
  }

  #wantedBy(session: Session, message: Message): Wanted | null {
    const { streams } = this.#options.router.route(message.topic())
    return wantedBy(session, streams, message)
  }

  #isExpired({ expiresAt }: Message): boolean {
    return expiresAt !== 0 && expiresAt <= this.#options.clock.now() // [MQTT-3.3.2-5]
  }

  /** The message of an inflight entry: a retained one may have left the journal and still be in its table. */
  #kept(session: Session, { sequence, flags }: InflightEntry): Message | null | undefined {
    if ((flags & ENTRY.aside) === 0) return this.#message(session, sequence)
    return this.#options.retained.bySequence(sequence) ?? this.#message(session, sequence)
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

  /** Its time was over before it could be sent again: whether it has arrived is not known. */
  #expireInflight(session: Session, message: Message): Step {
    session.inflight.lose()
    this.#touch(session)
    return this.#drop(session, message, 'expired')
  }

  #lose(session: Session, entry: InflightEntry): Step {
    const { sequence, flags } = entry
    // the receiver may hold the packet id until PUBREL, and would take another message under it for this one
    if (flags & ENTRY.qos2) session.release(entry)
    else session.inflight.lose()
    this.#touch(session)
    // a retained message was replaced meanwhile: the newer one comes by itself
    if (flags & ENTRY.aside) return this.#drop(session, null, 'replaced')
    return this.#lost(session, sequence)
  }

  #pass(session: Session, sequence: number): void {
    session.take(sequence)
    this.#touch(session)
  }

  /** Its frontier or its list has moved without a note. */
  #touch(session: Session): void {
    if (session.isPersistent) this.#options.notes.touch(session)
  }

  #drop({ clientId }: Session, message: Message | null, reason: DropReason): Step {
    this.#options.drops.one(clientId, message, reason)
    return 'passed'
  }

  #lost(session: Session, sequence: number): Step {
    const fields = { clientId: session.clientId, sequence }
    this.#options.log.error(
      fields,
      `message ${sequence} for ${session.clientId} is not in the store any more`
    )
    return this.#drop(session, null, 'lost')
  }
}

/** What was published to this session alone is wanted, whatever its filters say of the topic. */
function direct(session: Session, sequence: number, plain: Wanted): Wanted | null {
  const own = session.subscriptions.get(directFilter(session.clientId))
  return own?.stream.feed(laneOf(sequence))?.sequences.has(sequence) ? plain : null
}
