import { CLEARED_KEPT_MS, type RetainedOrder } from '../store/store.ts'

/**
 * Which message of each topic is the newest, where several servers share the store: messages of one topic may come from
 * two of them, in any order, and all servers agree which is the later one. What was cleared is remembered for a while, so
 * that an older message does not bring it back.
 */
export class RetainedOrders {
  readonly #byTopic = new Map<string, RetainedOrder>()
  /** Topics without a message, with when that was found out here: a message may be old when it is heard of. */
  readonly #clearedAt = new Map<string, number>()

  /** The order of the newest message of a topic; undefined: there was none, or it was cleared long ago. */
  of(topic: string): RetainedOrder | undefined {
    return this.#byTopic.get(topic)
  }

  /** @returns whether the message is the newest of its topic; then it counts as that from now on. */
  take(topic: string, { acceptedAt, sequence }: RetainedOrder): boolean {
    const known = this.#byTopic.get(topic)
    const isOlder =
      known &&
      (known.acceptedAt > acceptedAt || (known.acceptedAt === acceptedAt && known.sequence > sequence))
    if (isOlder) return false
    this.#byTopic.set(topic, { acceptedAt, sequence })
    this.#clearedAt.delete(topic)
    return true
  }

  /**
   * The newest message of a topic has cleared it, or has expired.
   * @param isBusy whether the row of a topic is still to be written: its order is needed for that.
   */
  cleared(topic: string, now: number, isBusy: (topic: string) => boolean): void {
    if (this.#byTopic.has(topic) && !this.#clearedAt.has(topic)) this.#clearedAt.set(topic, now)
    for (const [old, clearedAt] of this.#clearedAt) {
      if (clearedAt > now - CLEARED_KEPT_MS || isBusy(old)) break
      this.#clearedAt.delete(old)
      this.#byTopic.delete(old)
    }
  }
}
