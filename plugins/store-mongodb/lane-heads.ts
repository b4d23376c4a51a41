/**
 * How far each lane is known to be complete: up to its head, a number without a document is a message that was freed.
 * The own lane's is set by its commits, those of others by following them.
 */
export class LaneHeads {
  readonly #heads = new Map<number, number>()

  /** The last sequence of a lane; 0 when the lane is not known. */
  of(lane: number): number {
    return this.#heads.get(lane) ?? 0
  }

  /** Raises it; a lower one changes nothing. */
  raise(lane: number, head: number): void {
    if (head > this.of(lane)) this.#heads.set(lane, head)
  }

  /** Lanes known so far. */
  get lanes(): readonly number[] {
    return [...this.#heads.keys()]
  }
}
