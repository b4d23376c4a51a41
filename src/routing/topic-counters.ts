import type { StateChange } from '../store/store.ts'
import { TopicCounter } from './topic-counter.ts'

const MAX_TOPICS = 10_000
/** Longer topics are not counted one by one: 10,000 of them would be 650 MB. */
export const MAX_COUNTED_LENGTH = 1_024

/** What was published to which topic: the 10,000 topics that came up last, kept over restarts by checkpoints. */
export class TopicCounters {
  readonly #counters = new Map<string, TopicCounter>()
  #dirty = new Set<string>()

  /** Those with messages, in the order in which their topics came up. */
  all(): Iterable<TopicCounter> {
    return this.#counters.values()
  }

  /** The counter of a topic, made when there is none. One of a very long topic counts for nobody. */
  counter(topic: string): TopicCounter {
    const known = this.#counters.get(topic)
    if (known) return known
    if (topic.length > MAX_COUNTED_LENGTH) return new TopicCounter(topic)
    const counter = new TopicCounter(topic, () => this.#dirty.add(topic))
    if (this.#counters.size >= MAX_TOPICS) this.#forgetOldest()
    this.#counters.set(topic, counter)
    return counter
  }

  /** Puts back a row found in the store. */
  restore(topic: string, row: Buffer): void {
    this.counter(topic).restore(row)
  }

  /** Whether rows are behind. */
  get hasChanged(): boolean {
    return this.#dirty.size > 0
  }

  /** Topics whose rows are behind; they count as written from now on. */
  takeDirty(): readonly string[] {
    const topics = [...this.#dirty]
    this.#dirty = new Set()
    for (const topic of topics) {
      const counter = this.#counters.get(topic)
      if (counter) counter.isDirty = false
    }
    return topics
  }

  /** Rows of these topics could not be written. */
  taint(topics: readonly string[]): void {
    for (const topic of topics) {
      this.#dirty.add(topic)
      const counter = this.#counters.get(topic)
      if (counter) counter.isDirty = true
    }
  }

  /** The rows of these topics as they are to be. */
  changes(topics: readonly string[]): StateChange[] {
    return topics.map(key => ({ table: 'topic', key, row: this.#counters.get(key)?.encode() ?? null }))
  }

  #forgetOldest(): void {
    for (const oldest of this.#counters.keys()) {
      this.#counters.delete(oldest)
      this.#dirty.add(oldest)
      return
    }
  }
}
