import type { Clock } from '../clock.ts'
import { readRecord, recordLength, writeRecord } from '../journal/record.ts'
import { TopicTree } from '../routing/topic-tree.ts'
import type { RetainedOrder, StateChange, StateStore } from '../store/store.ts'
import type { Message } from '../wire/message.ts'
import { RetainedOrders } from './retained-orders.ts'

/** Rows in one write outside of a checkpoint. */
const SLICE_ROWS = 500
/** So many rows may be left to the write of a checkpoint. */
const LEFT_ROWS = 1_000

/** What the table of retained messages works with. */
export interface RetainedOptions {
  readonly state: StateStore
  readonly clock: Clock
  /** Whether several servers share the store. */
  readonly isShared: boolean
}

/**
 * The retained message of each topic. Those that clients publish come through the journal, in its order, so that
 * after a crash the journal tells what the rows do not have yet (see replay.ts). Those under `$SYS` live in memory.
 * @see MQTT 5.0 section 3.3.1.3
 */
export class Retained {
  readonly #options: RetainedOptions
  readonly #tree = new TopicTree<Message>()
  readonly #bySequence = new Map<number, Message>()
  readonly #dirty = new Set<string>()
  /** Topics of the last write: as long as it is under way, they may become dirty again. */
  #written: ReadonlySet<string> = new Set()
  /** Null for a server that is alone. */
  readonly #orders: RetainedOrders | null

  constructor(options: RetainedOptions) {
    this.#options = options
    this.#orders = options.isShared ? new RetainedOrders() : null
  }

  /** Topics with a retained message, those under `$SYS` included. */
  get size(): number {
    return this.#tree.size
  }

  /** The retained message with this sequence; undefined when it was replaced or cleared. */
  bySequence(sequence: number): Message | undefined {
    return this.#bySequence.get(sequence)
  }

  /** A retained message was accepted: it replaces the one before, or clears it when it is empty. [MQTT-3.3.1-6] */
  apply(message: Message, topic: string): void {
    if (!this.#isNewest(message, topic)) return
    this.#put(message, topic)
    if (message.sequence > 0) this.#dirty.add(topic)
  }

  /** The same, accepted by another server that shares the store: its row is the matter of that one. */
  applyElsewhere(message: Message, topic: string): void {
    if (this.#isNewest(message, topic)) this.#put(message, topic)
  }

  /**
   * The messages of all topics that a filter matches, found one by one as they are asked for; a null says that nothing
   * was found for a while. Expired ones are left out, and forgotten.
   */
  *match(filter: string): Generator<Message | null, void> {
    for (const message of this.#tree.match(filter)) {
      if (message && this.#isExpired(message)) this.#forget(message)
      else yield message
    }
  }

  /** Puts back a row found in the store. */
  restore(topic: string, row: Buffer): void {
    const { message } = readRecord(row, 0)
    if (!this.#isNewest(message, topic)) return
    this.#put(message, topic)
    if (this.#isExpired(message)) this.#dirty.add(topic)
  }

  /** What was cleared on a store that several servers share: an older message does not bring it back. */
  restoreCleared(topic: string, order: RetainedOrder): void {
    if (this.#orders?.take(topic, order)) this.#cleared(topic)
  }

  /** Whether a checkpoint should not write all that has changed at once. */
  get isFarBehind(): boolean {
    return this.#dirty.size > LEFT_ROWS
  }

  /** Writes most of what has changed, in slices: a checkpoint is then left with little. Not synced: that is its part. */
  async flush(): Promise<void> {
    while (this.isFarBehind) {
      const slice: string[] = []
      for (const topic of this.#dirty) if (slice.push(topic) === SLICE_ROWS) break
      const changes = this.#changesOf(slice)
      for (const topic of slice) this.#dirty.delete(topic)
      this.#written = new Set(slice)
      try {
        await this.#options.state.write(changes, { sync: false })
      } catch (cause) {
        this.taint(slice)
        throw cause
      }
    }
  }

  /** Topics whose rows are behind; they count as written from now on. */
  takeDirty(): string[] {
    const topics = [...this.#dirty]
    this.#dirty.clear()
    this.#written = new Set(topics)
    return topics
  }

  /** Rows of these topics could not be written. */
  taint(topics: readonly string[]): void {
    for (const topic of topics) this.#dirty.add(topic)
  }

  /** The rows of these topics as they are to be. */
  changes(topics: readonly string[]): StateChange[] {
    return this.#changesOf(topics)
  }

  #changesOf(topics: readonly string[]): StateChange[] {
    return topics.map(key => {
      const message = this.#tree.get(key)
      const order = this.#orders?.of(key)
      const row = message ? encodeRow(message) : null
      return order ? { table: 'retained', key, row, order } : { table: 'retained', key, row }
    })
  }

  #isNewest(message: Message, topic: string): boolean {
    return !this.#orders || message.sequence === 0 || this.#orders.take(topic, message)
  }

  #put(message: Message, topic: string): void {
    const old = this.#tree.get(topic)
    if (old) this.#bySequence.delete(old.sequence)
    if (message.payload().length === 0 || this.#isExpired(message)) {
      this.#tree.delete(topic)
      this.#cleared(topic)
      return
    }
    const kept = message.copy() // its bytes are a view of a much larger buffer
    this.#tree.set(topic, kept)
    if (kept.sequence > 0) this.#bySequence.set(kept.sequence, kept)
  }

  #forget(message: Message): void {
    const topic = message.topic()
    if (this.#tree.get(topic) !== message) return
    this.#tree.delete(topic)
    this.#bySequence.delete(message.sequence)
    if (message.sequence > 0) this.#dirty.add(topic)
    this.#cleared(topic)
  }

  #cleared(topic: string): void {
    const isBusy = (old: string) => this.#dirty.has(old) || this.#written.has(old)
    this.#orders?.cleared(topic, this.#options.clock.now(), isBusy)
  }

  #isExpired({ expiresAt }: Message): boolean {
    return expiresAt !== 0 && expiresAt <= this.#options.clock.now()
  }
}

/** The row is a journal record without streams. */
function encodeRow(message: Message): Buffer {
  const { bytes, offset, length, isV5, expiresAt, sequence, acceptedAt } = message
  const publisher = Buffer.from(message.publisher)
  const place = { packet: bytes, from: offset, to: offset + length }
  const fields = { expiresAt, publisher, header: bytes[offset]!, isV5, origin: 0, originId: 0, ...place }
  const row = Buffer.allocUnsafeSlow(recordLength(fields, 0))
  writeRecord(row, 0, fields, [], sequence, acceptedAt)
  return row
}
