import { recordExpiry, recordSequence, recordStreams } from '../../src/plugin.ts'
import { claimedLength, type Damage, itemLength } from './damage.ts'
import { type OpenFile, readAt } from './files.ts'
import {
  BATCH_HEADER_BYTES,
  batchSequence,
  HEADER_BYTES,
  isBatchHeader,
  type SegmentHeader
} from './segment-format.ts'
import { IndexBuilder } from './segment-index.ts'

const WINDOW_BYTES = 4 * 1024 * 1024

/** What reading through a whole segment found. */
export interface Scan {
  readonly index: IndexBuilder
  readonly damages: readonly Damage[]
  /** Bytes at the end that are an unfinished write; only where `mayBeTorn`. */
  readonly tornBytes: number
}

/**
 * Reads a segment from its first to its last record.
 * @param mayBeTorn whether bytes that cannot be read, with no batch header behind them, are an unfinished write.
 * Otherwise, and wherever a batch follows (all before it was durable when it was written), they are damage.
 */
export function scanSegment(file: OpenFile, header: SegmentHeader, mayBeTorn: boolean): Promise<Scan> {
  return new Scanner(file, header, mayBeTorn).run()
}

class Scanner {
  readonly #file: OpenFile
  readonly #salt: Buffer
  readonly #mayBeTorn: boolean
  readonly #index = new IndexBuilder()
  readonly #damages: Damage[] = []
  #size = 0
  #window: Buffer = Buffer.alloc(0)
  #windowAt = HEADER_BYTES
  #lastSequence: number
  /** Where the damaged place that is being passed begins; -1 when there is none. */
  #damagedAt = -1
  /** Where the next batch behind the damage begins; up to there it is passed record by record. */
  #batchAt = 0

  constructor(file: OpenFile, header: SegmentHeader, mayBeTorn: boolean) {
    this.#file = file
    this.#salt = header.salt
    this.#lastSequence = header.firstSequence - 1
    this.#mayBeTorn = mayBeTorn
  }

  async run(): Promise<Scan> {
    this.#size = await this.#file.size()
    let at = HEADER_BYTES
    while (at < this.#size) {
      at = this.#take(at)
      if (at >= this.#size || (await this.#widen(at))) continue
      if (at >= this.#batchAt) {
        const batchAt = await this.#findBatch(at + 1)
        if (batchAt === this.#size && this.#mayBeTorn) break
        this.#batchAt = batchAt
      }
      if (this.#damagedAt < 0) this.#damagedAt = at
      at = await this.#pass(at)
    }
    const isTailDamaged = this.#damagedAt >= 0
    if (isTailDamaged) this.#endDamage(this.#size, Number.POSITIVE_INFINITY)
    const tornBytes = isTailDamaged ? 0 : this.#size - this.#index.end
    return { index: this.#index, damages: this.#damages, tornBytes }
  }

  /** Takes all good items from `at` on that are whole in the window; returns where it stopped. */
  #take(at: number): number {
    const bytes = this.#window
    const base = this.#windowAt
    for (;;) {
      const offset = at - base
      if (offset < 0) return at
      const length = itemLength(bytes, offset, bytes.length, this.#salt)
      if (length <= 0) return at
      if (!isBatchHeader(bytes, offset)) {
        const sequence = recordSequence(bytes, offset)
        if (sequence <= this.#lastSequence) return at
        if (this.#damagedAt >= 0) this.#endDamage(at, sequence)
        const streamIds = recordStreams(bytes, offset)
        this.#index.add(sequence, at, length, streamIds, recordExpiry(bytes, offset))
        this.#lastSequence = sequence
      }
      at += length
    }
  }

  /** Reads more when the item at `at` may go beyond the window; false when the window shows all of it. */
  async #widen(at: number): Promise<boolean> {
    const offset = at - this.#windowAt
    const known = offset < 0 ? 0 : this.#window.length - offset
    const wanted = known < 8 ? 8 : claimedLength(this.#window, offset)
    if (wanted <= known || at + wanted > this.#size) return false
    await this.#load(at, wanted)
    return true
  }

  async #load(at: number, bytes: number): Promise<void> {
    const length = Math.min(Math.max(bytes, WINDOW_BYTES), this.#size - at)
    this.#window = await readAt(this.#file, at, length)
    this.#windowAt = at
    if (this.#window.length < length) this.#size = at + this.#window.length
  }

  /** Where to go on behind the damaged item at `at`: behind its own length, else at the next batch. */
  async #pass(at: number): Promise<number> {
    if (this.#batchAt - at < 8) return this.#batchAt
    await this.#load(at, 8)
    const own = at + claimedLength(this.#window, 0)
    if (own >= this.#batchAt) return this.#batchAt
    const beginning = await readAt(this.#file, own, Math.min(WINDOW_BYTES, this.#size - own))
    return itemLength(beginning, 0, beginning.length, this.#salt) > 0 ? own : this.#batchAt
  }

  /** The next good batch header from `at` on; the size of the file when there is none. */
  async #findBatch(at: number): Promise<number> {
    while (at < this.#size) {
      await this.#load(at, WINDOW_BYTES)
      const bytes = this.#window
      for (let found = bytes.indexOf(this.#salt); found >= 0; found = bytes.indexOf(this.#salt, found + 1)) {
        if (batchSequence(bytes, found, this.#salt) > this.#lastSequence) return at + found
      }
      if (at + bytes.length >= this.#size) break
      at += bytes.length - BATCH_HEADER_BYTES // the next window begins before what may be cut at the end of this one
    }
    return this.#size
  }

  #endDamage(stop: number, nextSequence: number): void {
    this.#damages.push({
      offset: this.#damagedAt,
      stop,
      from: this.#lastSequence + 1,
      to: nextSequence - 1
    })
    this.#damagedAt = -1
  }
}
