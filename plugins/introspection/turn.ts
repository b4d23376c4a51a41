import { setImmediate } from 'node:timers/promises'

/** So many looks at an entry fit into one turn of the event loop without holding up messages. */
const UNITS_PER_TURN = 1_000

/** The share of one turn of the event loop that a long read may take. */
export class Turn {
  #left = UNITS_PER_TURN

  /**
   * Notes work that was done.
   * @param units 1 for looking at one entry of a list.
   * @returns whether the share is used up: then await {@link next}.
   */
  spend(units: number): boolean {
    this.#left -= units
    return this.#left <= 0
  }

  /** Lets everything else that waits run first. */
  async next(): Promise<void> {
    this.#left = UNITS_PER_TURN
    await setImmediate()
  }
}
