import type { Clock } from '../clock.ts'
import type { SequenceList } from '../routing/sequence-list.ts'
import { Merge } from './merge.ts'

/** So many marks fit into one step of {@link Expiry.settle}. */
const MARKS_PER_STEP = 500

interface Due {
  /** When it expires, milliseconds since 1970. */
  readonly next: number
  readonly sequence: number
  readonly lists: readonly SequenceList[]
}

/**
 * Knows which kept messages have expired, so that what waits for a session can be counted without reading it. Costs one
 * entry for each message that has an expiry, whatever the number of sessions.
 */
export class Expiry {
  readonly #clock: Clock
  readonly #heap = new Merge<Due>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Messages that have not expired yet. */
  get size(): number {
    return this.#heap.size
  }

  /** A message that expires stands in these lists. @param at milliseconds since 1970. */
  add(at: number, sequence: number, lists: readonly SequenceList[]): void {
    if (lists.length > 0) this.#heap.push({ next: at, sequence, lists })
  }

  /** Marks what has expired by now. Yields after each share of the work. */
  *settle(): Generator<void, void> {
    let marks = 0
    for (let top = this.#heap.top; top && top.next <= this.#clock.now(); top = this.#heap.top) {
      this.#heap.pop()
      for (const list of top.lists) list.expire(top.sequence)
      if (++marks % MARKS_PER_STEP === 0) yield
    }
  }
}
