import { type Clock, errorText, type Logger, type Timer } from '../../src/plugin.ts'
import type { RedisConnection, RedisEmitter } from './emitter.ts'

/** From one proof that the way there and back works to the next. */
const PROOF_MS = 1_000

/** After so many proofs that did not come back the connections are made anew. */
const MOST_MISSED = 4

/** What a link needs. */
export interface LinkParts {
  readonly emitter: RedisEmitter
  /** Channel of Redis. */
  readonly topic: string
  /** Sends something that is to come back. */
  readonly prove: () => void
  readonly log: Logger
  readonly clock: Clock
  /** Host and port, for the log. */
  readonly place: string
}

/**
 * Watches over the two connections to a Redis: whether what is sent on the one comes back on the other. One that is cut
 * off without an end, or a Redis that is stopped, is found out so.
 */
export class Link {
  readonly #parts: LinkParts
  readonly #timer: Timer
  /** Null: not known yet. */
  #isUp: boolean | null = null
  #missed = 0
  /** Connections that are being ended: what still comes back over them proves nothing. */
  readonly #ending = new Set<RedisConnection>()
  #lastError: string | undefined

  constructor(parts: LinkParts) {
    this.#parts = parts
    const { emitter, topic, prove, clock } = parts
    emitter.state.on('error', error => {
      this.#lastError = errorText(error)
    })
    emitter.subConn.on('ready', () => emitter.subConn.subscribe(topic).then(prove, () => this.#lost()))
    emitter.pubConn.on('ready', prove)
    for (const connection of [emitter.subConn, emitter.pubConn]) {
      connection.on('close', () => {
        this.#ending.delete(connection)
        this.#lost()
      })
    }
    this.#timer = clock.every(PROOF_MS, () => this.#look())
  }

  /** Whether both connections work. */
  get isUp(): boolean {
    return this.#isUp === true
  }

  /** What was sent has come back. */
  proved(): void {
    if (this.#ending.size > 0) return
    this.#missed = 0
    const { emitter, log, place } = this.#parts
    if (this.#isUp || emitter.pubConn.status !== 'ready') return
    this.#isUp = true
    this.#lastError = undefined
    log.info({ place }, `brokers are joined through the Redis at ${place}`)
  }

  /** Ends both connections. Resolves when they have ended. */
  async close(): Promise<void> {
    this.#timer.cancel()
    this.#isUp = false // this end is no loss
    const { subConn, pubConn } = this.#parts.emitter
    await Promise.all([ended(subConn), ended(pubConn)])
  }

  #look(): void {
    if (++this.#missed > MOST_MISSED) {
      this.#missed = 0
      this.#lost('no answer')
      this.#startAnew()
    }
    this.#parts.prove()
  }

  #lost(problem = this.#lastError ?? 'the connection has ended'): void {
    if (this.#isUp === false) return
    this.#isUp = false
    const { log, place } = this.#parts
    // what Redis says of a login it refuses carries the password in its fields: the text only
    log.warn(
      { place, problem },
      `the Redis at ${place} cannot be reached (${problem}): brokers hear of each other through the database, QoS 0 stays on its broker`
    )
  }

  #startAnew(): void {
    const { subConn, pubConn } = this.#parts.emitter
    for (const connection of [subConn, pubConn]) {
      // one that is away comes back by itself
      if (!['connect', 'ready'].includes(connection.status)) continue
      this.#ending.add(connection) // its end may take a while
      connection.disconnect(true)
    }
  }
}

async function ended(connection: RedisConnection): Promise<void> {
  if (connection.status === 'end') return
  // between two tries there is nothing that could tell of its end
  const isBetween = connection.status === 'reconnecting'
  const end = new Promise<void>(resolve => connection.on('end', resolve))
  connection.disconnect()
  if (!isBetween) await end
}
