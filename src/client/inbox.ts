import type { IPublishPacket } from 'mqtt'
import { type BackOffLimits, backOffMs } from './back-off.ts'
import { after, nowMs, type Timer } from './clock.ts'
import { Delivery } from './delivery.ts'
import { ClientError, problemText } from './errors.ts'
import type { Lane } from './lane.ts'
import { filterMatches } from './topic.ts'
import { Unclaimed } from './unclaimed.ts'

/** What the inbox needs of the connection. */
export interface InboxWire {
  /** Number of the present connection, or of the last one. */
  readonly number: number
  /** Acks on the connection with this number. @returns false when it is gone. */
  ack(number: number, packetId: number): boolean
  /** Asks for a new connection of the same session: the server then sends again what is not acked. */
  cycle(): void
  /** Reports what went wrong. */
  report(error: ClientError): void
}

/** How the inbox behaves. */
export interface InboxOptions {
  /** The session outlives the connection: what is not acked comes again. */
  readonly isDurable: boolean
  readonly retry: BackOffLimits
  readonly prefetch: number
}

/** Messages in hand, at least, before reading stops; only a server without a window of its own gets there. */
const LEAST_ROOM = 1_000

/**
 * All messages in hand. It brings each to the lanes of the subscriptions that match, acks it when they are
 * done, and holds it, unacked, when one has failed or none is there. A message that comes again after a
 * reconnect is known by its packet id: a handler that is still at it goes on and its ack goes out on the new
 * connection; it is not run twice.
 */
export class Inbox {
  readonly #wire: InboxWire
  readonly #options: InboxOptions
  readonly #lanes = new Set<Lane>()
  /** Those that the server is to be told about. */
  readonly #byId = new Map<number, Delivery>()
  readonly #all = new Set<Delivery>()
  /** Received, and no lane matches. */
  readonly #unclaimed: Unclaimed
  #sequence = 0
  #dropped = 0
  #heldReads: (() => void)[] = []
  /** Rejected, and to be handled again. */
  readonly #rejected = new Set<Delivery>()
  /** Lanes of subscriptions that are being stopped: they hand nothing over to a later attempt. */
  readonly #ending = new Set<Lane>()
  #retryTimer: Timer | undefined
  #isClosed = false

  constructor(wire: InboxWire, options: InboxOptions) {
    this.#wire = wire
    this.#options = options
    this.#unclaimed = new Unclaimed(error => wire.report(error))
  }

  /** Messages in hand. */
  get size(): number {
    return this.#all.size
  }

  /** A subscription begins: what waited for it goes to it. */
  addLane(lane: Lane): void {
    this.#lanes.add(lane)
    for (const delivery of this.#unclaimed.take(lane.filter)) {
      delivery.openLanes.add(lane)
      lane.add(delivery)
    }
    this.#start()
  }

  /**
   * A subscription has ended at the server. Resolves when its lane has handled what had come; rejected messages
   * are given up.
   */
  async endLane(lane: Lane): Promise<void> {
    this.#ending.add(lane)
    for (const delivery of lane.waiting()) if (delivery.failures > 0) this.#leave(lane, delivery)
    this.#start()
    await lane.idle()
    this.#lanes.delete(lane)
    this.#ending.delete(lane)
  }

  /** Acks all that waits for a handler and matches: nobody wants it. @returns how many. */
  forget(filter: string): number {
    const matching = this.#unclaimed.take(filter)
    for (const delivery of matching) this.#settle(delivery)
    return matching.length
  }

  /** A message has come. @param readOn lets the connection read on. */
  receive(packet: IPublishPacket, readOn: (error?: Error) => void): void {
    if (this.#isClosed) {
      this.#receiveLate(packet, readOn)
      return
    }
    const isFull = this.#all.size >= Math.max(LEAST_ROOM, this.#options.prefetch)
    if (packet.qos === 0 && isFull) this.#drop()
    else this.#take(packet, readOn)
    if (packet.qos === 2) return // read on when it is handled: MQTT.js has answered PUBREC and keeps it until then
    if (packet.qos === 1 && isFull) this.#heldReads.push(readOn)
    else readOn()
  }

  /** A connection was accepted. Without the old session the server knows none of the old packet ids. */
  accepted(isSessionResumed: boolean): void {
    if (!isSessionResumed) this.#byId.clear()
    for (const delivery of this.#all) {
      if (delivery.isDone && (!isSessionResumed || delivery.connection < this.#wire.number - 1))
        this.#let(delivery)
    }
    this.#start()
  }

  /** The connection takes packets. */
  ready(): void {
    this.#start()
  }

  /** Starts no more handlers; what waits is left to the server. */
  close(): void {
    this.#isClosed = true
    this.#retryTimer?.cancel()
    this.#unclaimed.close()
    for (const lane of this.#lanes) lane.pause()
  }

  /** Handlers that run. */
  get runningCount(): number {
    return [...this.#lanes].reduce((count, lane) => count + lane.runningCount, 0)
  }

  /** Resolves when no handler runs; after `close`. */
  async idle(): Promise<void> {
    await Promise.all([...this.#lanes].map(lane => lane.idle()))
  }

  /** What became of a run: called by the lanes. */
  finished(lane: Lane, delivery: Delivery, error?: unknown): void {
    const isGivenUp = error !== undefined && (delivery.packet.qos === 0 || this.#ending.has(lane))
    if (error !== undefined) this.#failed(lane, delivery, error, isGivenUp)
    if (error === undefined || isGivenUp) this.#leave(lane, delivery)
    this.#start()
  }

  // ---- inside

  /** After `close` nothing new is taken, but what runs or is done can still be acked. */
  #receiveLate(packet: IPublishPacket, readOn: (error?: Error) => void): void {
    const known = packet.qos === 1 ? this.#byId.get(packet.messageId ?? 0) : undefined
    if (known?.isSentAgainAs(packet)) this.#again(known, packet, readOn)
    readOn(new Error('left to the session'))
  }

  /** A lane is done with a message. */
  #leave(lane: Lane, delivery: Delivery): void {
    lane.remove(delivery)
    delivery.openLanes.delete(lane)
    if (delivery.openLanes.size === 0) this.#settle(delivery)
  }

  #take(packet: IPublishPacket, readOn: (error?: Error) => void): void {
    const id = packet.qos === 0 ? 0 : (packet.messageId ?? 0)
    const known = id === 0 ? undefined : this.#byId.get(id)
    if (known?.isSentAgainAs(packet)) {
      this.#again(known, packet, readOn)
      return
    }
    if (known) this.#supersede(known)
    this.#sequence += 1
    const delivery = new Delivery(
      this.#sequence,
      packet,
      this.#wire.number,
      packet.qos === 2 ? readOn : undefined
    )
    this.#all.add(delivery)
    if (id !== 0) this.#byId.set(id, delivery)
    for (const lane of this.#lanes) {
      if (!filterMatches(lane.filter, packet.topic)) continue
      delivery.openLanes.add(lane)
      lane.add(delivery)
    }
    if (delivery.openLanes.size === 0) {
      if (packet.qos === 0) this.#settle(delivery)
      else this.#unclaimed.add(delivery)
    }
    this.#start()
  }

  #again(delivery: Delivery, packet: IPublishPacket, readOn: (error?: Error) => void): void {
    delivery.packet = packet
    delivery.connection = this.#wire.number
    if (packet.qos === 2) delivery.complete = readOn
    if (delivery.isDone) this.#settle(delivery)
    this.#start()
  }

  /** The id belongs to another message now: what has not begun comes in its new shape. */
  #supersede(delivery: Delivery): void {
    this.#byId.delete(delivery.packetId)
    this.#unclaimed.remove(delivery)
    for (const lane of delivery.openLanes) {
      if (lane.isRunning(delivery)) continue
      lane.remove(delivery)
      delivery.openLanes.delete(lane)
    }
    if (delivery.openLanes.size === 0) this.#let(delivery)
  }

  #settle(delivery: Delivery): void {
    const { packet, packetId, connection } = delivery
    delivery.isDone = true
    this.#rejected.delete(delivery)
    this.#unclaimed.remove(delivery)
    const isKnown = packetId !== 0 && this.#byId.get(packetId) === delivery
    if (isKnown && packet.qos === 1 && !this.#wire.ack(connection, packetId)) return // it comes again: acked then
    if (packet.qos === 2) delivery.complete()
    this.#let(delivery)
  }

  /** Nothing is left to do for this message. */
  #let(delivery: Delivery): void {
    if (this.#byId.get(delivery.packetId) === delivery) this.#byId.delete(delivery.packetId)
    this.#all.delete(delivery)
    this.#rejected.delete(delivery)
    for (const readOn of this.#heldReads.splice(0)) readOn()
  }

  #failed(lane: Lane, delivery: Delivery, cause: unknown, isGivenUp: boolean): void {
    const { isDurable, retry } = this.#options
    delivery.failures += 1
    this.#rejected.add(delivery)
    const retryInMs = isGivenUp ? null : backOffMs(delivery.failures, retry)
    delivery.dueAt = nowMs() + (retryInMs ?? 0)
    // a session that ends with its connection would lose the message with a reconnect: it is tried again from
    // memory
    if (isDurable) delivery.dueConnection = delivery.connection + 1
    if (!isGivenUp && delivery.packet.qos === 2) delivery.complete(new Error('comes again'))
    const { filter } = lane
    const detail = {
      filter,
      topic: delivery.topic,
      attempt: delivery.failures,
      problem: problemText(cause),
      retryInMs
    }
    this.#wire.report(new ClientError('CLIENT_HANDLER_REJECTED', { cause, detail }))
  }

  #drop(): void {
    if (this.#dropped++ > 0) return
    after(1000, () => {
      this.#wire.report(new ClientError('CLIENT_OVERFLOW', { detail: { count: this.#dropped } }))
      this.#dropped = 0
    })
  }

  /** Starts all that may start, and sees to it that the rest starts when it is due. */
  #start(): void {
    if (this.#isClosed) return
    const now = nowMs() // read once: what is not due for a lane must get its timer here
    for (const lane of this.#lanes) lane.start(now, this.#wire.number)
    this.#retryTimer?.cancel()
    this.#retryTimer = undefined
    if (this.#rejected.size === 0) return
    const rejected = [...this.#rejected]
    const times = rejected.map(({ dueAt }) => dueAt).filter(dueAt => dueAt > now)
    if (times.length > 0) this.#retryTimer = after(Math.min(...times) - now, () => this.#start())
    // one new connection serves all: those that are not due yet come along and wait here
    const isOwed = rejected.some(
      ({ dueAt, dueConnection }) => dueAt <= now && dueConnection > this.#wire.number
    )
    if (isOwed) this.#wire.cycle()
  }
}
