import { randomUUID } from 'node:crypto'
import { type Bus, type Clock, errorText, type Logger } from '../../src/plugin.ts'
import type { RedisAddress } from './address.ts'
import { connectRedis, type Envelope, type RedisEmitter } from './emitter.ts'
import { Link } from './link.ts'

/** So much may be on its way to Redis; what is told beyond is dropped. */
const MOST_WAITING_BYTES = 8 * 1_024 * 1_024

/** What an envelope takes beside its bytes, about. */
const ENVELOPE_BYTES = 200

/** Of the bus itself: what proves that the way there and back works. */
const PROOF = ''
const NOTHING = Buffer.alloc(0)

/** What a bus needs. */
export interface RedisBusOptions {
  readonly address: RedisAddress
  /** Those who use the same prefix hear each other. */
  readonly prefix: string
  readonly log: Logger
  readonly clock: Clock
  readonly counts: BusCounts
}

/** What is counted of a bus. */
export interface BusCounts {
  told(messages: number): void
  heard(messages: number): void
  dropped(messages: number): void
}

type Heard = (bytes: Buffer) => void

/**
 * Brokers tell each other through one channel of a Redis. While that is away, what is told is dropped; the bus comes
 * back by itself. It connects at the first use.
 */
export class RedisBus implements Bus {
  readonly #options: RedisBusOptions
  readonly #topic: string
  /** Tells what this process has told from what others tell. */
  readonly #id = randomUUID()
  readonly #listeners = new Map<string, Heard[]>()
  #emitter: RedisEmitter | undefined
  #link: Link | undefined
  #waitingBytes = 0
  #isClosed = false

  constructor(options: RedisBusOptions) {
    this.#options = options
    // in a topic of the emitter + and # are wildcards, and * in a channel of Redis
    this.#topic = `restante/${encodeURIComponent(options.prefix).replaceAll('*', '%2A')}`
  }

  get isConnected(): boolean {
    return this.#link?.isUp === true
  }

  tell(channel: string, bytes: Buffer): void {
    if (this.#isClosed) return
    this.#open()
    this.#options.counts[this.#send(channel, bytes) ? 'told' : 'dropped'](1)
  }

  listen(channel: string, heard: Heard): void {
    this.#listeners.set(channel, [...(this.#listeners.get(channel) ?? []), heard])
    if (!this.#isClosed) this.#open()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#link?.close()
  }

  #open(): void {
    if (this.#emitter) return
    const { address, log, clock } = this.#options
    const emitter = connectRedis(address, error => this.#foreign(error))
    this.#emitter = emitter
    emitter.on(this.#topic, (message, done) => {
      this.#receive(message as Partial<Envelope>)
      done()
    })
    const prove = () => void this.#send(PROOF, NOTHING)
    const place = `${address.host}:${address.port}`
    this.#link = new Link({ emitter, topic: this.#topic, prove, log, clock, place })
  }

  /** @returns whether it is on its way. */
  #send(channel: string, bytes: Buffer): boolean {
    const emitter = this.#emitter
    if (this.#isClosed || emitter?.pubConn.status !== 'ready') return false
    const size = bytes.length + ENVELOPE_BYTES
    if (this.#waitingBytes > 0 && this.#waitingBytes + size > MOST_WAITING_BYTES) return false
    this.#waitingBytes += size
    // one that is refused is lost: nobody is told, the next proof shows how things are
    emitter.emit({ topic: this.#topic, from: this.#id, channel, bytes }, () => {
      this.#waitingBytes -= size
    })
    return true
  }

  #receive({ from, channel, bytes }: Partial<Envelope>): void {
    if (this.#isClosed) return
    if (from === this.#id) {
      this.#link?.proved()
      return
    }
    if (channel === PROOF) return
    if (typeof channel !== 'string' || !Buffer.isBuffer(bytes)) throw new Error('not a message of a broker')
    this.#options.counts.heard(1)
    for (const heard of this.#listeners.get(channel) ?? []) {
      try {
        heard(bytes)
      } catch (error) {
        this.#options.log.error(
          { err: error },
          `what the bus brought was not understood: ${errorText(error)}`
        )
      }
    }
  }

  #foreign(error: unknown): void {
    const problem = errorText(error)
    this.#options.log.debug(
      { problem, topic: this.#topic },
      'something foreign was on the channel of the brokers'
    )
  }
}
