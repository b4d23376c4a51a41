import type { Clock, DropReason, EventMap, Timer } from '../../src/plugin.ts'

/** At most one event in so many milliseconds for each client and reason. */
const WINDOW_MS = 1_000

/** So many clients and reasons are told apart; what is dropped for others meanwhile is told without a client. */
const MAX_PAIRS = 1_000

/** Messages that were dropped for one reason. */
export interface DropSum {
  /** Null: for several. */
  readonly clientId: string | null
  readonly reason: DropReason
  readonly messages: number
  /** Null: of several. */
  readonly topic: string | null
}

interface Waiting {
  readonly clientId: string | null
  readonly reason: DropReason
  messages: number
  topic: string | null
}

/**
 * Adds drops up, so that a flood of them becomes a trickle of events: of each client and reason the first is told at
 * once, then one sum each second as long as there are more.
 */
export class DropSums {
  readonly #clock: Clock
  readonly #tell: (sum: DropSum) => void
  readonly #waiting = new Map<string, Waiting>()
  #timer: Timer | undefined

  constructor(clock: Clock, tell: (sum: DropSum) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** Takes a drop in; it is told now or with others. */
  add({ clientId, reason, messages, topic }: EventMap['dropped']): void {
    const own = `${reason} ${clientId}`
    const isFull = this.#waiting.size >= MAX_PAIRS && !this.#waiting.has(own)
    const key = isFull ? reason : own
    const waiting = this.#waiting.get(key)
    if (waiting) {
      waiting.topic = waiting.messages === 0 || waiting.topic === topic ? topic : null
      waiting.messages += messages
      return
    }
    const client = isFull ? null : clientId
    this.#waiting.set(key, { clientId: client, reason, messages: 0, topic: null })
    this.#tell({ clientId: client, reason, messages, topic })
    this.#timer ??= this.#clock.after(WINDOW_MS, () => this.#windowOver())
  }

  /** Tells what is left, and nothing more. */
  close(): void {
    this.#timer?.cancel()
    for (const waiting of this.#waiting.values()) if (waiting.messages > 0) this.#tell(waiting)
    this.#waiting.clear()
  }

  #windowOver(): void {
    this.#timer = undefined
    for (const [key, waiting] of this.#waiting) {
      if (waiting.messages === 0) this.#waiting.delete(key)
      else this.#tell({ ...waiting })
      waiting.messages = 0
      waiting.topic = null
    }
    if (this.#waiting.size > 0) this.#timer = this.#clock.after(WINDOW_MS, () => this.#windowOver())
  }
}
