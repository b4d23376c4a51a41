import type { Delivery, Ledger, SessionHistory } from './load.ts'
import { type Before, Flight } from './load-flight.ts'
import { LoadSocket } from './load-socket.ts'
import { connectPacket, DISCONNECT, FIRST, pubackPacket, readPublish, subscribePacket } from './load-wire.ts'
import type { Random } from './tools-random.ts'

/** How a subscriber works. */
export interface SubscriberOptions {
  readonly port: number
  readonly name: string
  readonly filter: string
  /** Most messages the server may send unacked: Receive Maximum for MQTT 5, else the setting of the server. */
  readonly window: number
  readonly isV5?: boolean
  /** Given: acks are held back now and then, and sent out of order. */
  readonly holding?: Random
}

/** A persistent session of QoS 1 that writes down all it gets, and checks at once what {@link Flight} can. */
export class LoadSubscriber implements SessionHistory {
  readonly deliveries: Delivery[] = []
  readonly seen = new Set<string>()
  readonly name: string
  readonly #options: SubscriberOptions
  readonly #flight: Flight
  #socket: LoadSocket | undefined
  #connection = 0
  #held: number[] = []
  #isSubscribed = false

  constructor(ledger: Ledger, options: SubscriberOptions) {
    this.name = options.name
    this.#options = options
    this.#flight = new Flight(ledger, options.name, options.window, this.seen)
  }

  /** Opens the session for the first time and subscribes. */
  async subscribe(): Promise<void> {
    await this.connect('running')
    this.#socket!.send(subscribePacket(this.#options.filter, 1, this.#isV5))
    await this.#socket!.signal.until(() => this.#isSubscribed, {
      describe: () => `${this.name} waited for SUBACK`
    })
  }

  /** Connects (again), at another port when one is given. */
  async connect(before: Before, port = this.#options.port): Promise<void> {
    this.#socket?.destroy()
    this.#connection++
    this.#held = []
    this.#flight.reconnect(before)
    const socket = new LoadSocket(port, (first, body) => {
      if (this.#socket === socket) this.#take(first, body)
    })
    this.#socket = socket
    const { name: clientId, window: receiveMaximum } = this.#options
    socket.send(connectPacket({ clientId, isV5: this.#isV5, isClean: false, receiveMaximum }))
    await socket.login(this.name)
    const isExpected = this.#connection > 1
    if (socket.isSessionPresent !== isExpected)
      throw new Error(`${this.name}: session present is not ${isExpected}`)
  }

  /** Waits until every one of these messages has come at least once. */
  async until(messages: () => Iterable<string>, deadlineMs = 30_000): Promise<void> {
    let wanted: string[] = []
    let found = 0
    // what was looked up once is not looked up again: this is asked at every message
    const isComplete = () => {
      if (found === wanted.length) wanted = [...messages()]
      while (found < wanted.length && this.seen.has(wanted[found]!)) found++
      return found === wanted.length
    }
    const describe = () => {
      const left = [...messages()].filter(message => !this.seen.has(message))
      return `${this.name} waited for ${left.length} messages (${left.slice(0, 5)}), has ${this.seen.size}`
    }
    const isDone = () => this.#socket!.isClosed || isComplete()
    await this.#socket!.signal.until(isDone, { deadlineMs, describe })
    if (!isComplete()) throw new Error(`connection closed: ${describe()}`)
  }

  /** Waits for a number of deliveries in all. */
  async untilDeliveries(count: number): Promise<void> {
    await this.#socket!.signal.until(() => this.deliveries.length >= count, {
      describe: () => `${this.name} waited for ${count} deliveries, has ${this.deliveries.length}`
    })
  }

  /** Checks at the end that all that was in flight has come again. */
  finish(): void {
    this.#flight.finish()
  }

  /** Packet ids in flight at this moment, with their messages. */
  inflight(): ReadonlyMap<number, string> {
    return this.#flight.unacked
  }

  /** Stops and resumes reading. */
  pause(isPaused: boolean): void {
    this.#socket?.pause(isPaused)
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#socket?.destroy()
  }

  /** Resolves when the connection is closed. */
  async closed(): Promise<void> {
    await this.#socket?.closed(this.name)
  }

  /** Says goodbye and waits for the close. */
  async disconnect(): Promise<void> {
    this.#socket?.send(DISCONNECT)
    this.#socket?.end()
    await this.closed()
  }

  get #isV5(): boolean {
    return this.#options.isV5 ?? false
  }

  #take(first: number, body: Buffer): void {
    if (first === FIRST.suback) this.#isSubscribed = true
    if ((first & 0xf0) !== FIRST.publish) return
    const { payload, packetId, isDup } = readPublish(first, body, this.#isV5)
    this.deliveries.push({ message: payload, packetId, isDup, connection: this.#connection })
    this.#flight.take(payload, packetId, isDup)
    this.seen.add(payload)
    this.#answer(packetId)
  }

  #answer(packetId: number): void {
    const { holding, window } = this.#options
    if (!holding) {
      this.#ack(packetId)
      return
    }
    this.#held.push(packetId)
    // with a full window something must be acked, or nothing comes any more
    const keep = this.#held.length >= window ? window >> 1 : holding.below(window)
    while (this.#held.length > keep) this.#ack(this.#held.splice(holding.below(this.#held.length), 1)[0]!)
  }

  #ack(packetId: number): void {
    this.#flight.ack(packetId)
    this.#socket!.send(pubackPacket(packetId))
  }
}
