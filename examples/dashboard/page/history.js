/** Customers of the last hour by the time of their creation, for the plot. */
const KEPT_MS = 3_600_000

/** When customers were created: each number once. */
export class History {
  #byNumber = new Map()

  /** @param {{ number: number, createdAt: string }} customer */
  add({ number, createdAt }) {
    this.#byNumber.set(number, Date.parse(createdAt))
  }

  /**
   * How many were created in each interval, the last of which holds `nowMs`.
   * @returns {number[]} oldest first
   */
  counts(intervalMs, intervals, nowMs) {
    const first = Math.floor(nowMs / intervalMs) - intervals + 1
    const counts = new Array(intervals).fill(0)
    for (const [number, createdMs] of this.#byNumber) {
      if (createdMs < nowMs - KEPT_MS) this.#byNumber.delete(number)
      const index = Math.floor(createdMs / intervalMs) - first
      // one that is a little ahead of this clock belongs to the last interval
      if (index >= 0) counts[Math.min(index, intervals - 1)] += 1
    }
    return counts
  }
}
