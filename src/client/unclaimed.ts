import { after, type Timer } from './clock.ts'
import type { Delivery } from './delivery.ts'
import { ClientError } from './errors.ts'
import { filterMatches } from './topic.ts'

/** How long a message may wait for its handler before that is reported. */
const NO_HANDLER_MS = 2_000

/** Messages that came before a handler for them was there. They are held, not acked. */
export class Unclaimed {
  readonly #deliveries = new Set<Delivery>()
  /** Topics that were reported: once is enough. */
  readonly #reported = new Set<string>()
  readonly #report: (error: ClientError) => void
  #timer: Timer | undefined

  constructor(report: (error: ClientError) => void) {
    this.#report = report
  }

  add(delivery: Delivery): void {
    this.#deliveries.add(delivery)
    this.#timer ??= after(NO_HANDLER_MS, () => this.#reportAll())
  }

  remove(delivery: Delivery): void {
    this.#deliveries.delete(delivery)
  }

  /** Takes those out that match a filter, in the order in which they came. */
  take(filter: string): Delivery[] {
    const taken = [...this.#deliveries].filter(({ topic }) => filterMatches(filter, topic))
    for (const delivery of taken) this.#deliveries.delete(delivery)
    return taken
  }

  /** Reports nothing more. */
  close(): void {
    this.#timer?.cancel()
  }

  #reportAll(): void {
    this.#timer = undefined
    const topics = new Set([...this.#deliveries].map(({ topic }) => topic))
    for (const topic of topics) {
      if (this.#reported.has(topic)) continue
      this.#reported.add(topic)
      this.#report(new ClientError('CLIENT_NO_HANDLER', { detail: { topic } }))
    }
  }
}
