/** Over so many minutes load is averaged. */
export const LOAD_MINUTES = [1, 5, 15] as const

/** How often something that is counted happens in a minute: moving averages over 1, 5 and 15 minutes. */
export class Load {
  readonly #averages: number[] = LOAD_MINUTES.map(() => 0)
  #count = 0

  /**
   * Takes a count in. @param count of all times, never falling. @param elapsedMs since the last call.
   * @returns the averages, in the order of {@link LOAD_MINUTES}.
   */
  update(count: number, elapsedMs: number): readonly number[] {
    const minutes = elapsedMs / 60_000
    if (minutes <= 0) return this.#averages
    const perMinute = (count - this.#count) / minutes
    this.#count = count
    for (const [index, span] of LOAD_MINUTES.entries()) {
      const before = this.#averages[index]!
      this.#averages[index] = perMinute + Math.exp(-minutes / span) * (before - perMinute)
    }
    return this.#averages
  }
}
