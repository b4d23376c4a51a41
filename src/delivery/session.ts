import type { Clock } from '../clock.ts'
import { LaneMarks } from '../lane.ts'
import { type Claim, countClaims } from './backlog.ts'
import { InboundIds } from './inbound-ids.ts'
import { Inflight, type InflightEntry } from './inflight.ts'
import { LaneMerge } from './lane-merge.ts'
import type { Outlet } from './outlet.ts'
import { Place } from './place.ts'
import type { RetainedFeed } from './retained-feed.ts'
import type { Subscription } from './subscription.ts'
import { atOnce } from './turns.ts'

/** Why a session gets nothing at this moment. */
export type SessionState = 'ready' | 'caught-up' | 'inflight-full' | 'socket-full' | 'offline'

/** What a session asks of those around it. */
export interface SessionHost {
  readonly clock: Clock
  /** The session may have something to send. */
  wake(session: Session): void
  /** A message of a persistent session was acked. */
  acked(session: Session, counter: number): void
  /** PUBREC has come for a message of a persistent session. */
  released(session: Session, counter: number): void
  /** PUBREL has come for a message that a persistent session has published. */
  inboundFree(session: Session, sequence: number): void
}

/** What a session is from its first moment. */
export interface SessionOptions {
  readonly clientId: string
  /** 0: it lives in memory only. */
  readonly sessionId: number
  readonly createdAt: number
  /** Seconds after the disconnect until it ends; 0: with the connection; null: never. */
  readonly expirySeconds: number | null
  /** When its last connection ended, as far as it is known. */
  readonly disconnectedAt?: number | null
}

/**
 * The server's memory of a client id. Everything up to its frontier in a lane that the session was entitled to has been
 * sent at least once: what of it is not acked is inflight, all else of it is acked. So the whole state of delivery is one
 * number for each lane and a list no longer than the window, whatever is acked in which order.
 */
export class Session {
  readonly clientId: string
  readonly sessionId: number
  readonly createdAt: number
  expirySeconds: number | null
  /** Subscriptions by filter. */
  readonly subscriptions = new Map<string, Subscription>()
  readonly inflight = new Inflight()
  /** Packet ids of its own QoS 2 publishes. */
  readonly inbound = new InboundIds()
  /** Retained messages that subscribes have brought up and that are still to be sent. */
  readonly retained: RetainedFeed[] = []
  readonly merge = new LaneMerge()
  /** Sequence of the last message taken up for sending, by lane. */
  readonly frontiers = new LaneMarks()
  /** Counters below this one may be used; see Reservations. */
  reservedCounter = 0
  /** The same, with the reservation that is on its way to the store: what rows of the session must say. */
  requestedCounter = 0
  /** The note in which its last first delivery stands. */
  sentNote = 0
  /** What it has said with QoS 2 must be synced up to this note before it is answered. */
  syncNote = 0
  /** Subscriptions that ask for more than a QoS. */
  specials = 0
  /** So many next first deliveries may have been sent before a power cut, and carry DUP. */
  suspects = 0
  outlet: Outlet | null = null
  connectedAt: number | null = null
  disconnectedAt: number | null
  state: SessionState = 'offline'
  /** In the run queue. */
  isQueued = false
  /** Waiting for the store (a message to be read, a reservation); woken when it is there. */
  isWaiting = false
  /** Ended: nothing of it may be stored any more. */
  isEnded = false
  /** The last fan-out that reached it; keeps overlapping filters from sending twice. */
  lastFanOut = 0
  readonly #host: SessionHost

  constructor(options: SessionOptions, host: SessionHost) {
    this.clientId = options.clientId
    this.sessionId = options.sessionId
    this.createdAt = options.createdAt
    this.expirySeconds = options.expirySeconds
    this.disconnectedAt = options.disconnectedAt ?? null
    this.#host = host
  }

  /** Whether it is kept in the store. */
  get isPersistent(): boolean {
    return this.sessionId !== 0
  }

  /** A connection takes the session: what is inflight goes out again first, then the backlog, then live messages. */
  attach(outlet: Outlet): void {
    this.outlet = outlet
    this.connectedAt = this.#host.clock.now()
    this.disconnectedAt = null
    this.state = 'ready'
    this.inflight.connect()
    for (const subscription of this.subscriptions.values()) this.join(subscription)
    this.wake()
  }

  /** The connection is gone. */
  detach(): void {
    if (!this.outlet) return
    this.outlet = null
    this.connectedAt = null
    this.disconnectedAt = this.#host.clock.now()
    this.state = 'offline'
    this.merge.clear()
    for (const subscription of this.subscriptions.values()) this.leave(subscription)
  }

  /** A subscription begins to be served on the present connection. */
  join(subscription: Subscription): void {
    const { stream } = subscription
    stream.online.add(subscription)
    if (subscription.qos === 0) stream.online0++
    else for (const feed of stream.feeds()) this.#enter(new Place(subscription, feed))
  }

  /** The opposite of {@link join}. */
  leave(subscription: Subscription): void {
    const { stream } = subscription
    if (!stream.online.delete(subscription)) return
    if (subscription.qos === 0) stream.online0--
    for (const place of subscription.places.splice(0)) {
      if (!place.feed.waiting.delete(place)) this.merge.remove(place)
    }
  }

  /** A subscription that was at the end of its stream has a message. */
  arrived(place: Place): void {
    if (place.find()) this.merge.push(place)
    else place.feed.waiting.add(place)
    this.wake()
  }

  /** Drops everything up to these sequences that is queued or inflight. */
  purge(heads: LaneMarks): void {
    for (const subscription of this.subscriptions.values()) this.leave(subscription)
    for (const head of heads.all()) this.frontiers.raise(head)
    this.inflight.clear()
    this.retained.length = 0
    if (this.outlet) for (const subscription of this.subscriptions.values()) this.join(subscription)
  }

  wake(): void {
    if (this.outlet && !this.isQueued && !this.isWaiting) this.#host.wake(this)
  }

  /** Sequence of the next message of the merged streams; null when the session has caught up. */
  peek(): number | null {
    return this.merge.top?.next ?? null
  }

  /**
   * Takes the message of {@link peek} up for sending: the frontier moves to it.
   * @returns the highest QoS of the subscriptions that match it.
   */
  take(sequence: number): number {
    let qos = 0
    const merge = this.merge.current
    for (let top = merge?.top; top?.next === sequence; top = merge?.top) {
      if (top.subscription.qos > qos) qos = top.subscription.qos
      if (top.advance()) merge?.sink()
      else {
        merge?.pop()
        top.feed.waiting.add(top)
      }
    }
    this.frontiers.set(sequence)
    this.merge.turn()
    return qos
  }

  /**
   * The client is done with a packet id (PUBACK, PUBCOMP, a PUBREC that refuses).
   * @returns what was inflight under it; undefined when nothing was.
   */
  ack(packetId: number): InflightEntry | undefined {
    const entry = this.inflight.ack(packetId)
    if (!entry) return undefined
    if (this.isPersistent) this.#host.acked(this, entry.counter)
    if (this.state === 'inflight-full') this.wake()
    return entry
  }

  /** PUBREC has come for an entry: from now on only PUBREL is sent for it. */
  release(entry: InflightEntry): void {
    this.inflight.release(entry)
    if (this.isPersistent) this.#host.released(this, entry.counter)
  }

  /** PUBREL has come: the packet id is free again. False when no message was received under it. */
  freeInbound(packetId: number): boolean {
    const entry = this.inbound.get(packetId)
    if (!entry) return false
    this.inbound.free(packetId)
    if (this.isPersistent && entry.sequence > 0) this.#host.inboundFree(this, entry.sequence)
    return true
  }

  /** What its durable subscriptions claim, beyond what it has been sent. */
  claims(): Claim[] {
    const claims: Claim[] = []
    for (const subscription of this.subscriptions.values()) {
      if (subscription.qos === 0) continue
      for (const { lane, sequences } of subscription.stream.feeds()) {
        const low = subscription.lowSequence(lane)
        if (sequences.last > low) claims.push({ filter: subscription.filter, lane, sequences, low })
      }
    }
    return claims
  }

  /** Messages it has still to ack, counted at once: what is queued, and what is inflight. */
  countOwed(): number {
    return atOnce(countClaims(this.claims())) + this.inflight.size
  }

  /** Sequence of the oldest message that it has not acked and that has not expired; null when there is none. */
  oldestSequence(): number | null {
    let oldest = Number.POSITIVE_INFINITY
    for (const entry of this.inflight.entries()) oldest = Math.min(oldest, entry.sequence)
    for (const { sequences, low } of this.claims()) {
      oldest = Math.min(oldest, sequences.firstAfter(low) ?? oldest)
    }
    return Number.isFinite(oldest) ? oldest : null
  }

  #enter(place: Place): void {
    place.subscription.places.push(place)
    if (place.seek()) this.merge.push(place)
    else place.feed.waiting.add(place)
  }
}
