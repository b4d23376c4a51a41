import type { Clock } from '../clock.ts'
import { QueueError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import type { Router } from '../routing/router.ts'
import { Serial } from '../serial.ts'
import type { StateChange, StateStore } from '../store/store.ts'
import { encodeCursor } from './cursor.ts'
import type { NoteBook } from './notes.ts'
import { RESERVED_COUNTERS } from './reservations.ts'
import * as rows from './rows.ts'
import { Session, type SessionHost } from './session.ts'
import { Subscription } from './subscription.ts'

const RETRY_MS = 1_000
/** Key of the writes that belong to no client; no client id has this character. */
const STREAM_ROWS = '\0'

/** What the table of sessions works with. */
export interface SessionsOptions {
  readonly state: StateStore
  readonly router: Router<Subscription>
  readonly journal: Journal
  readonly notes: NoteBook
  readonly clock: Clock
  readonly wake: (session: Session) => void
}

/** What a client asks for when it connects. */
export interface OpenRequest {
  readonly clientId: string
  /** Clean Start (Clean Session in 3.1.1): what was there is discarded. */
  readonly isCleanStart: boolean
  /** Seconds it is kept after the disconnect; 0: not at all; null: for ever. */
  readonly expirySeconds: number | null
}

/** One filter of a SUBSCRIBE. */
export interface SubscribeRequest {
  readonly filter: string
  /** 0 or 1. */
  readonly qos: number
}

/** Called when a session is open, in the same turn; the connection attaches itself. */
export type Opened = (session: Session, isPresent: boolean) => void

/**
 * All sessions. What changes one is done in order for each client id: state first reaches the store, then memory,
 * then the client. @see MQTT 5.0 sections 3.1.2.4, 4.1
 */
export class Sessions implements SessionHost {
  readonly clock: Clock
  readonly #options: SessionsOptions
  readonly #byClient = new Map<string, Session>()
  readonly #serial = new Serial<string>()
  #nextSessionId = 1

  constructor(options: SessionsOptions) {
    this.#options = options
    this.clock = options.clock
  }

  get size(): number {
    return this.#byClient.size
  }

  get(clientId: string): Session | undefined {
    return this.#byClient.get(clientId)
  }

  all(): Iterable<Session> {
    return this.#byClient.values()
  }

  wake(session: Session): void {
    this.#options.wake(session)
  }

  acked(session: Session, sequence: number): void {
    this.#options.notes.acked(session, sequence)
  }

  /** Puts a session found in the store into the table. */
  restore(session: Session): void {
    this.#byClient.set(session.clientId, session)
    this.reserveId(session.sessionId)
  }

  /** No new session gets an id up to this one. */
  reserveId(sessionId: number): void {
    if (sessionId >= this.#nextSessionId) this.#nextSessionId = sessionId + 1
  }

  /**
   * Opens the session of a client that was let in: resumes it or makes a new one, durable before `opened` is called.
   * An older connection of the same client is closed first. @see MQTT 5.0 section 3.1.4 (2, 3)
   * @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED: nothing has changed then.
   */
  open(request: OpenRequest, opened: Opened): Promise<void> {
    return this.#serial.run(request.clientId, async () => {
      const before = this.#byClient.get(request.clientId)
      // its end could not be stored yet: see #expire
      const isOver = before?.outlet === null && before.expirySeconds === 0
      before?.outlet?.takenOver()
      const old = this.#byClient.get(request.clientId)
      if (old && !isOver && !request.isCleanStart) await this.#resume(old, request, opened)
      else await this.#replace(old, request, opened)
    })
  }

  /**
   * Adds subscriptions, or changes those with the same filter. They are durable when the promise resolves, and every
   * message accepted from then on is theirs; so is what comes in meanwhile, as it will be after a restart: were it
   * passed over now, it could come later, out of order. @see MQTT 5.0 section 3.8.4
   * @param requests legal filters, each once. @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED,
   * QUEUE_CONNECTION_CLOSED when the session has ended meanwhile.
   */
  subscribe(session: Session, requests: readonly SubscribeRequest[]): Promise<void> {
    return this.#serial.run(session.clientId, async () => {
      assertAlive(session)
      const changes = requests
        .map(request => this.#prepare(session, request))
        .filter(change => change !== null)
      const [lowered, others] = [changes.filter(isLowered), changes.filter(change => !isLowered(change))]
      for (const { subscription } of others) this.#enter(session, subscription)
      session.wake()
      try {
        await this.#store(session, changes)
        assertAlive(session)
      } catch (error) {
        for (const change of others) this.#undo(session, change)
        throw error
      }
      for (const { subscription } of lowered) this.#enter(session, subscription)
    })
  }

  /**
   * Removes subscriptions; what they had queued and no other filter matches is not delivered any more.
   * @returns for each filter whether there was such a subscription. @throws as {@link subscribe}
   */
  unsubscribe(session: Session, filters: readonly string[]): Promise<boolean[]> {
    return this.#serial.run(session.clientId, async () => {
      assertAlive(session)
      const found = filters.map(filter => session.subscriptions.get(filter))
      const gone = [...new Set(found.filter(subscription => subscription !== undefined))]
      if (session.isPersistent && gone.length > 0) await this.#write(gone.map(rows.unsubscribeChange))
      assertAlive(session)
      this.#leave(session, gone)
      return found.map(subscription => subscription !== undefined)
    })
  }

  /** The connection of a session is gone; a session that is not to be kept ends. */
  detach(session: Session): void {
    session.detach()
    if (session.isEnded) return
    if (!session.isPersistent) this.#forget(session)
    else if (session.expirySeconds === 0) this.#expire(session)
  }

  /** Ends a session: its subscriptions and its claims are gone. @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED */
  end(session: Session): Promise<void> {
    return this.#serial.run(session.clientId, async () => {
      if (session.isEnded || session.outlet) return
      if (session.isPersistent) await this.#write(rows.endChanges(session))
      this.#forget(session)
    })
  }

  /** Ends a session that lasts as long as its connection; a store that does not take it is asked again. */
  #expire(session: Session): void {
    this.end(session).catch(() => {
      this.clock.after(RETRY_MS, () => this.detach(session))
    })
  }

  /** Resolves when nothing is on its way to the store. */
  idle(): Promise<void> {
    return this.#serial.idle()
  }

  async #resume(session: Session, request: OpenRequest, opened: Opened): Promise<void> {
    if (session.expirySeconds !== request.expirySeconds && session.isPersistent) {
      await this.#write([rows.sessionChange(session, request.expirySeconds)])
    }
    session.expirySeconds = request.expirySeconds
    opened(session, true)
  }

  async #replace(old: Session | undefined, request: OpenRequest, opened: Opened): Promise<void> {
    const isPersistent = request.expirySeconds !== 0
    const { clientId, expirySeconds } = request
    const sessionId = isPersistent ? this.#nextSessionId++ : 0
    const session = new Session({ clientId, sessionId, createdAt: this.clock.now(), expirySeconds }, this)
    session.frontier = this.#options.journal.headSequence
    const changes: StateChange[] = old?.isPersistent ? rows.endChanges(old) : []
    if (isPersistent) {
      session.reservedCounter = RESERVED_COUNTERS
      session.requestedCounter = RESERVED_COUNTERS
      const cursor = encodeCursor(session)
      changes.push(rows.sessionChange(session, expirySeconds), rows.cursorChange(session, cursor))
      changes.push({ table: 'meta', key: 'sessions', row: { next: this.#nextSessionId } })
    }
    if (changes.length > 0) await this.#write(changes)
    if (old) this.#forget(old)
    this.#byClient.set(clientId, session)
    opened(session, false)
  }

  /** What a request changes; null when nothing. */
  #prepare(session: Session, { filter, qos }: SubscribeRequest): Change | null {
    const { router, journal, clock } = this.#options
    const old = session.subscriptions.get(filter)
    if (old?.qos === qos) return null
    // what is accepted from now on has a higher sequence; those given out beyond the head come again if a commit fails
    const options = { qos, fromSequence: journal.headSequence, createdAt: old?.createdAt ?? clock.now() }
    return { old, subscription: new Subscription(session, router.stream(filter), options) }
  }

  async #store(session: Session, changes: readonly Change[]): Promise<void> {
    if (!session.isPersistent || changes.length === 0) return
    for (const { subscription } of changes) subscription.stream.isStored = true
    await this.#write(changes.flatMap(({ subscription }) => rows.subscribeChanges(session, subscription)))
  }

  /** Puts a subscription in, in place of the one that the session has for the filter. */
  #enter(session: Session, subscription: Subscription): void {
    const { stream, filter, qos } = subscription
    const old = session.subscriptions.get(filter)
    if (old) this.#take(session, old)
    else stream.subscribers++
    session.subscriptions.set(filter, subscription)
    if (qos > 0) stream.durable.add(subscription)
    this.#options.router.activate(stream)
    if (session.outlet) session.join(subscription)
  }

  #undo(session: Session, { old, subscription }: Change): void {
    if (session.isEnded) return
    if (old) this.#enter(session, old)
    else this.#leave(session, [subscription])
  }

  #leave(session: Session, gone: readonly Subscription[]): void {
    for (const subscription of gone) {
      this.#take(session, subscription)
      session.subscriptions.delete(subscription.filter)
    }
    this.#release(gone)
  }

  #take(session: Session, subscription: Subscription): void {
    session.leave(subscription)
    subscription.stream.durable.delete(subscription)
  }

  /** Takes streams out that nobody reads any more, then their rows: one that stays is passed over by recovery. */
  #release(subscriptions: readonly Subscription[]): void {
    const changes: StateChange[] = []
    for (const { stream } of subscriptions) {
      stream.subscribers--
      this.#options.router.release(stream)
      if (stream.subscribers === 0 && stream.isStored) changes.push(rows.streamGone(stream))
    }
    if (changes.length === 0) return
    const write = () => this.#options.state.write(changes, { sync: false })
    this.#serial.run(STREAM_ROWS, write).catch(() => {})
  }

  #forget(session: Session): void {
    session.isEnded = true
    session.detach()
    this.#leave(session, [...session.subscriptions.values()])
    if (this.#byClient.get(session.clientId) === session) this.#byClient.delete(session.clientId)
  }

  #write(changes: readonly StateChange[]): Promise<void> {
    return this.#options.state.write(changes, { sync: true })
  }
}

interface Change {
  readonly old: Subscription | undefined
  readonly subscription: Subscription
}

/** A lower QoS takes claims away: that waits until it is stored. */
function isLowered({ old, subscription }: Change): boolean {
  return old !== undefined && old.qos > subscription.qos
}

function assertAlive(session: Session): void {
  if (session.isEnded) throw new QueueError('QUEUE_CONNECTION_CLOSED')
}
