import type { Delivery } from './delivery.ts'

/**
 * What may be handled side by side: nothing (`all`: one after another, in the order of arrival), messages of
 * different topics (`event`: in order for each topic), or everything (`none`).
 */
export type Order = 'all' | 'event' | 'none'

/** How a lane works, and whom it tells. */
export interface LaneOptions {
  readonly filter: string
  readonly order: Order
  /** Most handlers at a time. */
  readonly concurrency: number
  /** Handles a message; never called for two messages that must keep their order. */
  readonly run: (delivery: Delivery) => Promise<void>
  /** A run is over; `error` when it was rejected. Decides what becomes of the message. */
  readonly finished: (lane: Lane, delivery: Delivery, error?: unknown) => void
}

/** The messages of one subscription: those that wait, in order, and those whose handler runs. */
export class Lane {
  readonly filter: string
  readonly #options: LaneOptions
  /** By arrival. A message stays here until its lane is done with it, so that it can hold back those behind it. */
  #queue: Delivery[] = []
  readonly #running = new Set<Delivery>()
  #isPaused = false
  #whenIdle: (() => void)[] = []

  constructor(options: LaneOptions) {
    this.filter = options.filter
    this.#options = options
  }

  /** Messages that wait or run. */
  get size(): number {
    return this.#queue.length
  }

  get runningCount(): number {
    return this.#running.size
  }

  isRunning(delivery: Delivery): boolean {
    return this.#running.has(delivery)
  }

  /** Takes a message up. */
  add(delivery: Delivery): void {
    const at = this.#queue.findLastIndex(other => other.sequence < delivery.sequence) + 1
    this.#queue.splice(at, 0, delivery)
  }

  /** Lets go of a message that is not running. */
  remove(delivery: Delivery): void {
    this.#queue = this.#queue.filter(other => other !== delivery)
    this.#tellIdle()
  }

  /** Starts no more handlers. */
  pause(): void {
    this.#isPaused = true
    this.#tellIdle()
  }

  /** Messages that wait, without those that run. */
  waiting(): Delivery[] {
    return this.#queue.filter(delivery => !this.#running.has(delivery))
  }

  /** Resolves when no handler runs and, unless the lane is paused, nothing waits. */
  idle(): Promise<void> {
    return new Promise(resolve => {
      this.#whenIdle.push(resolve)
      this.#tellIdle()
    })
  }

  /** Starts what may start. @param connection the number of the present connection, or of the last one. */
  start(now: number, connection: number): void {
    if (this.#isPaused) return
    const { order, concurrency } = this.#options
    const held = new Set<string>() // topics, or '' for all, in which an earlier message is not done
    for (const delivery of [...this.#queue]) {
      if (this.#running.size >= concurrency) return
      const key = order === 'all' ? '' : delivery.topic
      const isDue = delivery.dueAt <= now && delivery.dueConnection <= connection
      const isFree = isDue && !this.#running.has(delivery) && (order === 'none' || !held.has(key))
      held.add(key)
      if (isFree) void this.#run(delivery)
    }
  }

  async #run(delivery: Delivery): Promise<void> {
    this.#running.add(delivery)
    let error: { readonly cause: unknown } | undefined
    try {
      await this.#options.run(delivery)
    } catch (cause) {
      error = { cause }
    }
    this.#running.delete(delivery)
    if (error) this.#options.finished(this, delivery, error.cause ?? new Error('rejected without a reason'))
    else this.#options.finished(this, delivery)
    this.#tellIdle()
  }

  #tellIdle(): void {
    if (this.#running.size > 0 || (!this.#isPaused && this.#queue.length > 0)) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }
}
