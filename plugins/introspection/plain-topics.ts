import { type Clock, RATE_SECONDS, type TopicView } from '../../src/plugin.ts'

/** So many topics are remembered: those that were used last. */
const MAX_TOPICS = 10_000

/** The last {@link RATE_SECONDS} seconds are counted in slots of so many. */
const SLOT_SECONDS = 5
const SLOTS = RATE_SECONDS / SLOT_SECONDS

class TopicCount {
  messages = 0
  lastAt = 0
  readonly #slots = new Uint32Array(SLOTS)
  #slot = 0

  add(nowMs: number): void {
    this.#moveTo(slotOf(nowMs))
    this.messages++
    this.lastAt = nowMs
    this.#slots[this.#slot % SLOTS]!++
  }

  recent(nowMs: number): number {
    this.#moveTo(slotOf(nowMs))
    return this.#slots.reduce((sum, count) => sum + count, 0)
  }

  #moveTo(slot: number): void {
    if (slot - this.#slot >= SLOTS) this.#slots.fill(0)
    else for (let passed = this.#slot + 1; passed <= slot; passed++) this.#slots[passed % SLOTS] = 0
    this.#slot = Math.max(this.#slot, slot)
  }
}

/** Counts messages by topic, for the topics that were used lately. */
export class PlainTopics {
  readonly #clock: Clock
  readonly #topics = new Map<string, TopicCount>()
  readonly #all = new TopicCount()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Messages since the start, and of the last {@link RATE_SECONDS} seconds. */
  get all(): { readonly messages: number; readonly recent: number } {
    return { messages: this.#all.messages, recent: this.#all.recent(this.#clock.now()) }
  }

  /** Notes a message. */
  add(topic: string): void {
    const now = this.#clock.now()
    const count = this.#topics.get(topic) ?? new TopicCount()
    this.#topics.delete(topic) // the last used one stands at the end
    this.#topics.set(topic, count)
    count.add(now)
    this.#all.add(now)
    if (this.#topics.size <= MAX_TOPICS) return
    const { value: oldest } = this.#topics.keys().next()
    if (oldest !== undefined) this.#topics.delete(oldest)
  }

  /** What was counted. */
  *views(): Generator<TopicView> {
    const now = this.#clock.now()
    for (const [topic, count] of this.#topics) {
      const { messages: acceptedMessages, lastAt: lastAcceptedAt } = count
      yield { topic, acceptedMessages, recentMessages: count.recent(now), lastAcceptedAt }
    }
  }
}

function slotOf(atMs: number): number {
  return Math.floor(atMs / (SLOT_SECONDS * 1_000))
}
