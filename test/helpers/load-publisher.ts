import type { Ledger } from './load.ts'
import { LoadSocket } from './load-socket.ts'
import { connectPacket, DISCONNECT, FIRST, publishPacket, text } from './load-wire.ts'

/** How a publisher works. */
export interface PublisherOptions {
  readonly port: number
  /** Its number: half of what its messages say. */
  readonly publisher: number
  readonly topic: string
  /** Publishes in flight; default 100. */
  readonly window?: number
  readonly payloadBytes?: number
  readonly isV5?: boolean
}

/**
 * Publishes `<publisher>:<number>` at QoS 1, numbers from 1, as fast as the window lets it. After a lost connection it
 * sends what was not acked again with DUP and the same packet ids, before anything new, as MQTT asks.
 */
export class LoadPublisher {
  readonly name: string
  /** Number of the last message that was sent. */
  sent = 0
  /** Messages acked so far. */
  acked = 0
  readonly #options: PublisherOptions
  readonly #ledger: Ledger
  readonly #topic: Buffer
  readonly #window: number
  /** Numbers in flight, oldest first. */
  readonly #inflight = new Set<number>()
  #socket: LoadSocket | undefined
  #target = 0

  constructor(ledger: Ledger, options: PublisherOptions) {
    this.name = `publisher-${options.publisher}`
    this.#options = options
    this.#ledger = ledger
    this.#topic = text(options.topic)
    this.#window = options.window ?? 100
  }

  /** Connects (again), at another port when one is given, and sends what was in flight again. */
  async connect(port = this.#options.port): Promise<void> {
    const socket = new LoadSocket(port, (first, body) => this.#take(first, body))
    this.#socket = socket
    socket.send(connectPacket({ clientId: this.name, isV5: this.#isV5, isClean: false }))
    await socket.login(this.name)
    for (const number of this.#inflight) this.#send(number, true)
  }

  /** Publishes up to this number; resolves when all is acked or the connection is closed: true when all is acked. */
  async publishUpTo(number: number): Promise<boolean> {
    this.#target = Math.max(this.#target, number)
    this.#fill()
    return await this.settled()
  }

  /** Waits until all is acked (true) or the connection is closed (false). */
  async settled(): Promise<boolean> {
    const socket = this.#socket!
    const isDone = () => socket.isClosed || this.#isSettled()
    await socket.signal.until(isDone, {
      deadlineMs: 120_000,
      describe: () => `${this.name}: ${this.acked} of ${this.sent} acked, ${this.#inflight.size} in flight`
    })
    return this.#isSettled()
  }

  /** Publishes without an end; {@link stop} ends it. */
  runFreely(): void {
    this.#target = Number.MAX_SAFE_INTEGER
    this.#fill()
  }

  /** Publishes nothing new; what is in flight stays so. */
  stop(): void {
    this.#target = this.sent
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    await this.#socket?.closed(this.name)
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#socket?.destroy()
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

  #isSettled(): boolean {
    return this.#inflight.size === 0 && this.sent >= this.#target
  }

  #fill(): void {
    while (this.#inflight.size < this.#window && this.sent < this.#target && !this.#socket!.isClosed) {
      this.#inflight.add(++this.sent)
      this.#send(this.sent, false)
    }
  }

  #send(number: number, isDup: boolean): void {
    const payload = `${this.#options.publisher}:${number}`
    this.#ledger.sent(payload)
    const packetId = packetIdOf(number)
    const payloadBytes = this.#options.payloadBytes ?? 0
    this.#socket!.send(
      publishPacket({ topic: this.#topic, payload, payloadBytes, packetId, isDup, isV5: this.#isV5 })
    )
  }

  #take(first: number, body: Buffer): void {
    if (first !== FIRST.puback) return
    const reason = body.length > 2 ? body[2]! : 0
    const [oldest] = this.#inflight
    const packetId = body.readUInt16BE(0)
    if (oldest === undefined || packetIdOf(oldest) !== packetId) {
      // [MQTT-4.6.0-2] PUBACKs come in the order of the PUBLISH packets
      this.#ledger.violation(
        `${this.name}: PUBACK ${packetId} where ${oldest && packetIdOf(oldest)} is the oldest`
      )
      return
    }
    this.#inflight.delete(oldest)
    if (reason < 0x80) {
      this.acked++
      this.#ledger.acked(`${this.#options.publisher}:${oldest}`)
    } else this.#ledger.refused(`${this.#options.publisher}:${oldest}`, reason)
    this.#fill()
  }
}

function packetIdOf(number: number): number {
  return ((number - 1) % 65_535) + 1
}
