import { RATE_SECONDS } from '../directory.ts'

/** How many messages in each of the last seconds. */
export class RecentCount {
  readonly #counts = new Uint32Array(RATE_SECONDS)
  /** The latest second that something was counted in, or asked for. */
  #second = 0

  /** Some more. @param at milliseconds since 1970, in any order. */
  add(at: number, messages = 1): void {
    const second = Math.floor(at / 1_000)
    this.#turn(second)
    if (this.#second - second < RATE_SECONDS) this.#counts[second % RATE_SECONDS]! += messages
  }

  /** How many in the last RATE_SECONDS seconds, the present one included. */
  count(now: number): number {
    this.#turn(Math.floor(now / 1_000))
    let sum = 0
    for (const count of this.#counts) sum += count
    return sum
  }

  /** Those seconds that have messages, and how many. */
  *seconds(): Iterable<readonly [second: number, messages: number]> {
    for (let second = this.#second - RATE_SECONDS + 1; second <= this.#second; second++) {
      const messages = this.#counts[second % RATE_SECONDS] ?? 0
      if (messages > 0) yield [second, messages]
    }
  }

  /** Empties the places of the seconds that have passed. */
  #turn(second: number): void {
    const passed = Math.min(second - this.#second, RATE_SECONDS)
    for (let i = 1; i <= passed; i++) this.#counts[(this.#second + i) % RATE_SECONDS] = 0
    if (second > this.#second) {
      if (passed === RATE_SECONDS) this.#counts.fill(0)
      this.#second = second
    }
  }
}

/** The form of a row; another form gets another number, and rows of unknown forms are left out. */
const ROW_VERSION = 1
const FIXED_BYTES = 17
const SECOND_BYTES = 12

/** What was published to a topic, for as long as it is remembered. */
export class TopicCounter {
  readonly topic: string
  readonly #changed: (counter: TopicCounter) => void
  readonly #recent = new RecentCount()
  acceptedMessages = 0
  /** Milliseconds since 1970; 0: never. */
  lastAcceptedAt = 0
  /** Its row is behind. */
  isDirty = false

  /** @param changed called when its row is behind, once until somebody says that it is not any more. */
  constructor(topic: string, changed: (counter: TopicCounter) => void = () => {}) {
    this.topic = topic
    this.#changed = changed
  }

  /** One more. @param at milliseconds since 1970. */
  accepted(at: number): void {
    this.acceptedMessages++
    if (at > this.lastAcceptedAt) this.lastAcceptedAt = at
    this.#recent.add(at)
    if (this.isDirty) return
    this.isDirty = true
    this.#changed(this)
  }

  /** Messages of the last RATE_SECONDS seconds. */
  recent(now: number): number {
    return this.#recent.count(now)
  }

  /**
   * The row: u8 version, f64 messages, f64 time of the last, then of each second that had some: f64 second since 1970,
   * u32 messages. Little-endian.
   */
  encode(): Buffer {
    const seconds = [...this.#recent.seconds()]
    const row = Buffer.alloc(FIXED_BYTES + SECOND_BYTES * seconds.length)
    row[0] = ROW_VERSION
    row.writeDoubleLE(this.acceptedMessages, 1)
    row.writeDoubleLE(this.lastAcceptedAt, 9)
    for (const [i, [second, messages]] of seconds.entries()) {
      row.writeDoubleLE(second, FIXED_BYTES + SECOND_BYTES * i)
      row.writeUInt32LE(messages, FIXED_BYTES + SECOND_BYTES * i + 8)
    }
    return row
  }

  /** Takes in a row of {@link encode}; one of another form is passed over. */
  restore(row: Buffer): void {
    if (row[0] !== ROW_VERSION) return
    this.acceptedMessages += row.readDoubleLE(1)
    this.lastAcceptedAt = Math.max(this.lastAcceptedAt, row.readDoubleLE(9))
    for (let at = FIXED_BYTES; at < row.length; at += SECOND_BYTES) {
      this.#recent.add(row.readDoubleLE(at) * 1_000, row.readUInt32LE(at + 8))
    }
  }
}
