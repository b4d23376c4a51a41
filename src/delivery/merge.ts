import type { Subscription } from './subscription.ts'

/** Subscriptions of one session that have something to send, the one with the lowest sequence on top: a binary heap. */
export class Merge {
  readonly #heap: Subscription[] = []

  /** The subscription whose message comes next. */
  get top(): Subscription | undefined {
    return this.#heap[0]
  }

  push(subscription: Subscription): void {
    const heap = this.#heap
    let at = heap.push(subscription) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.next <= subscription.next) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = subscription
  }

  /** The top's `next` has grown. */
  sink(): void {
    const heap = this.#heap
    const moving = heap[0]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.next < heap[child]!.next) child++
      if (heap[child]!.next >= moving.next) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = moving
  }

  pop(): void {
    const last = this.#heap.pop()
    if (!last || this.#heap.length === 0) return
    this.#heap[0] = last
    this.sink()
  }

  clear(): void {
    this.#heap.length = 0
  }

  /** Takes one subscription out, wherever it is. */
  remove(subscription: Subscription): void {
    if (!this.#heap.includes(subscription)) return
    const others = this.#heap.filter(other => other !== subscription)
    this.clear()
    for (const other of others) this.push(other)
  }
}
