import type { Clock, Timer } from '../clock.ts'
import { Merge } from './merge.ts'

const SWEEP_MS = 500

interface Deadline<Item> {
  /** When it is due, milliseconds since 1970. */
  readonly next: number
  readonly item: Item
}

/**
 * Things that are due at some time: one timer for all of them, whatever their number. An item that is put in again is
 * called at its old time as well: whoever is called checks whether it is still due.
 */
export class Deadlines<Item> {
  readonly #clock: Clock
  readonly #due: (item: Item) => void
  readonly #heap = new Merge<Deadline<Item>>()
  readonly #timer: Timer

  constructor(clock: Clock, due: (item: Item) => void) {
    this.#clock = clock
    this.#due = due
    this.#timer = clock.every(SWEEP_MS, () => this.#sweep())
  }

  /** Calls `due` with the item within half a second behind this time. */
  add(at: number, item: Item): void {
    this.#heap.push({ next: at, item })
  }

  /** Calls back no more. */
  stop(): void {
    this.#timer.cancel()
    this.#heap.clear()
  }

  #sweep(): void {
    const now = this.#clock.now()
    for (let top = this.#heap.top; top && top.next <= now; top = this.#heap.top) {
      this.#heap.pop()
      this.#due(top.item)
    }
  }
}
