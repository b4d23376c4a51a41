import type { DropReason, Events } from '../events.ts'
import type { Message } from '../wire/message.ts'
import type { Counters } from './counters.ts'

/** Counts what is not delivered, and tells whoever listens: nothing is lost in silence. */
export class Drops {
  readonly #counters: Counters
  readonly #events: Events

  constructor(counters: Counters, events: Events) {
    this.#counters = counters
    this.#events = events
  }

  /**
   * A delivery was not made. Drops of the server's own messages (`$SYS`, `$events`) are counted only: were they told,
   * a listener that is too slow for what it is told would be told of it.
   * @param message null when it is not known any more.
   */
  one(clientId: string, message: Message | null, reason: DropReason): void {
    this.#counters.dropped[reason]++
    if (!this.#events.has('dropped')) return
    const topic = message?.topic() ?? null
    if (!topic?.startsWith('$')) this.#events.tell('dropped', { clientId, topic, reason, messages: 1 })
  }

  /** Several deliveries at once. */
  several(clientId: string, messages: number, reason: DropReason): void {
    if (messages === 0) return
    this.#counters.dropped[reason] += messages
    this.#events.tell('dropped', { clientId, topic: null, reason, messages })
  }
}
