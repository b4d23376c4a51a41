import type { Clock } from '../clock.ts'
import type { EndReason, Events } from '../events.ts'
import type { Journal } from '../journal/journal.ts'
import type { Router } from '../routing/router.ts'
import { Serial } from '../serial.ts'
import type { StateChange, StateStore } from '../store/store.ts'
import { encodeCursor } from './cursor.ts'
import { Deadlines } from './deadlines.ts'
import type { Drops } from './drops.ts'
import type { FanOut } from './fan-out.ts'
import type { NoteBook } from './notes.ts'
import { LEAST_RESERVED } from './reservations.ts'
import * as rows from './rows.ts'
import { Session, type SessionHost } from './session.ts'
import type { Shared } from './shared.ts'
import type { Subscription } from './subscription.ts'
import { type SubscribeRequest, Subscriptions } from './subscriptions.ts'
import type { Will, WillRequest, Wills } from './wills.ts'

const RETRY_MS = 1_000

/** What the table of sessions works with. */
export interface SessionsOptions {
  readonly state: StateStore
  readonly router: Router<Subscription>
  readonly journal: Journal
  readonly fanOut: FanOut
  readonly notes: NoteBook
  readonly wills: Wills
  readonly clock: Clock
  readonly events: Events
  readonly drops: Drops
  /** Null for a server that is alone. */
  readonly shared: Shared | null
  readonly wake: (session: Session) => void
  /** The time of a session whose client was away is over. */
  readonly expired: (session: Session) => void
}

/** What a client asks for when it connects. */
export interface OpenRequest {
  readonly clientId: string
  /** Clean Start (Clean Session in 3.1.1): what was there is discarded. */
  readonly isCleanStart: boolean
  /** Seconds it is kept after the disconnect; 0: not at all; null: for ever. */
  readonly expirySeconds: number | null
  readonly will: WillRequest | null
}

/** What was opened. The will is the connection's to drop or to lose. */
export interface Opening {
  readonly session: Session
  readonly isPresent: boolean
  readonly will: Will | null
}

/** Numbers over all sessions. */
export interface SessionTotals {
  readonly sessions: number
  /** Those that outlive their connection. */
  readonly persistentSessions: number
  readonly subscriptions: number
  /** Sent and not acked. */
  readonly inflightMessages: number
}

/** Called when a session is open, in the same turn; the connection attaches itself. */
export type Opened = (opening: Opening) => void

/**
 * All sessions. What changes one is done in order for each client id: state first reaches the store, then memory,
 * then the client. @see MQTT 5.0 sections 3.1.2.4, 4.1
 */
export class Sessions implements SessionHost {
  readonly clock: Clock
  readonly #options: SessionsOptions
  readonly #byClient = new Map<string, Session>()
  readonly #serial = new Serial<string>()
  readonly #subscriptions: Subscriptions
  readonly #deadlines: Deadlines<Session>
  #nextSessionId = 1

  constructor(options: SessionsOptions) {
    this.#options = options
    this.clock = options.clock
    this.#subscriptions = new Subscriptions(options, this.#serial)
    this.#deadlines = new Deadlines(options.clock, session => this.#expireIfDue(session))
  }

  get size(): number {
    return this.#byClient.size
  }

  get(clientId: string): Session | undefined {
    return this.#byClient.get(clientId)
  }

  /** Seconds that the session of a client is kept; null: for ever; 0 when there is none. */
  expirySecondsOf(clientId: string): number | null {
    const session = this.#byClient.get(clientId)
    return session ? session.expirySeconds : 0
  }

  all(): Iterable<Session> {
    return this.#byClient.values()
  }

  /** Added up now, over all sessions. */
  totals(): SessionTotals {
    const totals = { sessions: 0, persistentSessions: 0, subscriptions: 0, inflightMessages: 0 }
    for (const { isPersistent, expirySeconds, subscriptions, inflight } of this.#byClient.values()) {
      totals.sessions++
      if (isPersistent && expirySeconds !== 0) totals.persistentSessions++
      totals.subscriptions += subscriptions.size
      totals.inflightMessages += inflight.size
    }
    return totals
  }

  wake(session: Session): void {
    this.#options.wake(session)
  }

  acked(session: Session, counter: number): void {
    this.#options.notes.acked(session, counter)
  }

  released(session: Session, counter: number): void {
    this.#options.notes.released(session, counter)
  }

  inboundFree(session: Session, sequence: number): void {
    this.#options.notes.inboundFree(session, sequence)
  }

  /** Puts a session found in the store into the table; when it was connected, its time begins now. */
  restore(session: Session): void {
    this.#byClient.set(session.clientId, session)
    this.reserveId(session.sessionId)
    if (session.expirySeconds !== null) session.disconnectedAt ??= this.clock.now()
    this.#limit(session)
  }

  /** No new session gets an id up to this one. */
  reserveId(sessionId: number): void {
    if (sessionId >= this.#nextSessionId) this.#nextSessionId = sessionId + 1
  }

  /**
   * Opens the session of a client that was let in: resumes it or makes a new one, durable before `opened` is called,
   * together with the client's will. An older connection of the same client is closed first.
   * @see MQTT 5.0 section 3.1.4 (2, 3)
   * @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED: nothing has changed then.
   */
  async open(request: OpenRequest, opened: Opened): Promise<void> {
    const { clientId } = request
    const { shared } = this.#options
    for (let isOpen = false; !isOpen; ) {
      // not in the task: the store may be at giving the client id to another server, which waits for a task of ours
      await shared?.claim(clientId)
      isOpen = await this.#serial.run(clientId, async () => {
        if (shared && !shared.holds(clientId)) return false
        await this.#open(request, opened)
        return true
      })
    }
  }

  /** @see Subscriptions.subscribe */
  subscribe(session: Session, requests: readonly SubscribeRequest[]): Promise<boolean[]> {
    return this.#subscriptions.subscribe(session, requests)
  }

  /** @see Subscriptions.unsubscribe */
  unsubscribe(session: Session, filters: readonly string[]): Promise<boolean[]> {
    return this.#subscriptions.unsubscribe(session, filters)
  }

  /**
   * The connection of a session is gone. A session that is not to be kept ends; of others the time is counted.
   * @param expirySeconds when the client has changed it with DISCONNECT. @see MQTT 5.0 section 3.14.2.2.2
   */
  detach(session: Session, expirySeconds: number | null = session.expirySeconds): void {
    session.detach()
    if (session.isEnded) return
    // a client that was gone before its session was open was never attached
    session.disconnectedAt ??= this.clock.now()
    const hasChanged = expirySeconds !== session.expirySeconds
    session.expirySeconds = expirySeconds
    if (!session.isPersistent) this.#forget(session, 'disconnected')
    else if (expirySeconds === 0) this.#expire(session, 'disconnected')
    else this.#leave(session, hasChanged)
  }

  /**
   * Drops what is queued and inflight for a session.
   * @returns how many messages. @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED
   */
  purge(session: Session): Promise<number> {
    return this.#serial.run(session.clientId, async () => {
      if (session.isEnded) return 0
      const messages = session.countOwed()
      session.purge(this.#options.journal.heads)
      this.#options.drops.several(session.clientId, messages, 'purged')
      if (session.isPersistent) await this.#write([rows.cursorChange(session, encodeCursor(session))])
      return messages
    })
  }

  /** Ends a session: its subscriptions and its claims are gone. @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED */
  end(session: Session, reason: EndReason = 'ended'): Promise<void> {
    return this.#serial.run(session.clientId, async () => {
      if (session.isEnded || session.outlet) return
      if (session.isPersistent) await this.#write(rows.endChanges(session))
      this.#forget(session, reason)
    })
  }

  /**
   * Hands a session over to another server: resolves when its connection is closed, and all of it is written and forgotten
   * here. @param left called in the turn in which it is forgotten.
   * @throws QueueError when it cannot be written: it stays then.
   */
  handOver(clientId: string, left: () => void): Promise<void> {
    const { journal, notes, wills } = this.#options
    const close = () => this.#byClient.get(clientId)?.outlet?.takenOver()
    close()
    return this.#serial.run(clientId, async () => {
      close() // the client may have come back meanwhile
      // what the connection has published is on its way still, and so may be its will
      await journal.settled()
      await wills.evict(clientId)
      await notes.drained()
      const session = this.#byClient.get(clientId)
      if (session && !session.outlet && session.isPersistent) {
        const { expirySeconds, disconnectedAt } = session
        const row = rows.sessionChange(session, expirySeconds, disconnectedAt)
        await this.#write([row, rows.cursorChange(session, encodeCursor(session))])
        this.#evict(session)
      }
      left()
    })
  }

  /** Resolves when nothing is on its way to the store. */
  idle(): Promise<void> {
    return this.#serial.idle()
  }

  /** Ends no session any more; what is due is for the next server. */
  stop(): void {
    this.#deadlines.stop()
  }

  /** Writes down when it was left, and how long it is kept from then on. */
  #leave(session: Session, hasChanged: boolean): void {
    this.#limit(session)
    const { disconnectedAt } = session
    // not synced: were it lost, the time would begin with the next start. A changed interval is another matter
    void this.#serial.run(session.clientId, async () => {
      if (session.isEnded || session.disconnectedAt !== disconnectedAt) return
      await this.#writeRow(session, disconnectedAt, hasChanged).catch(() => {})
    })
  }

  /** Only who looks at it is told wrong when this does not reach the store: no time hangs on it. */
  #writeLater(session: Session, disconnectedAt: number | null): void {
    this.#writeRow(session, disconnectedAt, false).catch(() => {})
  }

  #writeRow(session: Session, disconnectedAt: number | null, sync: boolean): Promise<void> {
    const change = rows.sessionChange(session, session.expirySeconds, disconnectedAt)
    return this.#options.state.write([change], { sync })
  }

  #limit(session: Session): void {
    const { expirySeconds, disconnectedAt } = session
    if (expirySeconds === null || disconnectedAt === null) return
    this.#deadlines.add(disconnectedAt + expirySeconds * 1_000, session)
  }

  #isOver({ expirySeconds, disconnectedAt }: Session): boolean {
    if (expirySeconds === null || disconnectedAt === null) return false
    return disconnectedAt + expirySeconds * 1_000 <= this.clock.now()
  }

  #expireIfDue(session: Session): void {
    if (session.isEnded || session.outlet || !this.#isOver(session)) return
    this.#expire(session, 'expired')
    this.#options.expired(session)
  }

  /** Ends a session whose time is over; a store that does not take it is asked again. */
  #expire(session: Session, reason: EndReason): void {
    this.end(session, reason).catch(() => {
      this.clock.after(RETRY_MS, () => this.#expireIfDue(session))
    })
  }

  async #open(request: OpenRequest, opened: Opened): Promise<void> {
    const before = this.#byClient.get(request.clientId)
    // its end could not be stored yet, or its time is over and nobody has noticed: see #expire
    const isOver = before?.outlet === null && this.#isOver(before)
    before?.outlet?.takenOver()
    const old = this.#byClient.get(request.clientId)
    if (old && !isOver && !request.isCleanStart) await this.#resume(old, request, opened)
    else await this.#replace(old, request, opened)
  }

  async #resume(session: Session, request: OpenRequest, opened: Opened): Promise<void> {
    const { wills } = this.#options
    const will = request.will && (await wills.make(request.clientId, request.will))
    const changes = wills.resumeChanges(request.clientId)
    if (will) changes.push(...wills.changes(will))
    // what stands in the store must not say any more that it was left
    const isLimited = session.expirySeconds !== null && session.disconnectedAt !== null
    const hasChanged = session.expirySeconds !== request.expirySeconds
    if (session.isPersistent && (isLimited || hasChanged)) {
      changes.push(rows.sessionChange(session, request.expirySeconds))
    } else if (session.isPersistent && session.disconnectedAt !== null) this.#writeLater(session, null)
    if (changes.length > 0) await this.#write(changes)
    session.expirySeconds = request.expirySeconds
    wills.resumed(request.clientId)
    if (will) wills.enter(will)
    opened({ session, isPresent: true, will })
  }

  async #replace(old: Session | undefined, request: OpenRequest, opened: Opened): Promise<void> {
    const { clientId, expirySeconds } = request
    const { wills } = this.#options
    const sessionId = expirySeconds === 0 ? 0 : await this.#newSessionId()
    const session = new Session({ clientId, sessionId, createdAt: this.clock.now(), expirySeconds }, this)
    for (const head of this.#options.journal.heads.all()) session.frontiers.set(head)
    const will = request.will && (await wills.make(clientId, request.will))
    const changes: StateChange[] = old?.isPersistent ? rows.endChanges(old) : []
    if (session.isPersistent) changes.push(...this.#newRows(session))
    if (will) changes.push(...wills.changes(will))
    if (changes.length > 0) await this.#write(changes)
    if (old) this.#forget(old, 'replaced')
    else wills.sessionEnded(clientId)
    this.#byClient.set(clientId, session)
    if (will) wills.enter(will)
    opened({ session, isPresent: false, will })
  }

  #newSessionId(): number | Promise<number> {
    return this.#options.shared?.sessionId() ?? this.#nextSessionId++
  }

  #newRows(session: Session): StateChange[] {
    session.reservedCounter = LEAST_RESERVED
    session.requestedCounter = LEAST_RESERVED
    const changes: StateChange[] = [
      rows.sessionChange(session, session.expirySeconds),
      rows.cursorChange(session, encodeCursor(session))
    ]
    if (this.#options.shared) return changes
    return [...changes, { table: 'meta', key: 'sessions', row: { next: this.#nextSessionId } }]
  }

  /** Takes a session out of memory that goes on elsewhere. */
  #evict(session: Session): void {
    session.isEnded = true
    this.#subscriptions.removeAll(session)
    this.#byClient.delete(session.clientId)
  }

  #forget(session: Session, reason: EndReason): void {
    session.isEnded = true
    session.detach()
    this.#subscriptions.removeAll(session)
    if (this.#byClient.get(session.clientId) === session) this.#byClient.delete(session.clientId)
    this.#options.wills.sessionEnded(session.clientId)
    this.#options.events.tell('sessionEnded', { clientId: session.clientId, reason })
    if (reason !== 'replaced') this.#disown(session.clientId)
  }

  /**
   * In order with what else is done with the client id: it may be back already. It is not waited for: the store may be at
   * giving the client id to another server, which waits for us.
   */
  #disown(clientId: string): void {
    const { shared } = this.#options
    if (!shared) return
    void this.#serial.run(clientId, async () => {
      if (!this.#byClient.has(clientId)) void shared.disown(clientId)
    })
  }

  #write(changes: readonly StateChange[]): Promise<void> {
    return this.#options.state.write(changes, { sync: true })
  }
}
