import {
  type CommitBatch,
  type LaneBlock,
  type LaneStore,
  type Owed,
  QueueError,
  type ReleaseReport
} from '../../src/plugin.ts'
import { Appender, type AppenderOptions } from './appender.ts'
import { readBlock } from './block-reader.ts'
import { Compactor, type CompactorOptions } from './compaction.ts'
import type { Journal } from './recovery.ts'
import type { Reservation } from './reservation.ts'
import { type Segment, SegmentList } from './segment.ts'

/** What the lane works with, known before the store is open. */
export type LaneOptions = Omit<AppenderOptions & CompactorOptions, keyof LaneState>

/** What is known when the store has been opened. */
interface LaneState {
  readonly lane: string
  readonly segments: SegmentList
  readonly reservation: Reservation | null
}

/** The lane as it was found. */
export interface FoundLane {
  readonly lane: string
  readonly journal: Journal
  /** All below it was used, or is never going to be. */
  readonly nextSequence: number
  /** Null where every commit is synced. */
  readonly reservation: Reservation | null
}

/** The lane of a folder: segments that are written, read and released side by side. */
export class LocalLane implements LaneStore {
  readonly #options: LaneOptions
  #segments = new SegmentList([])
  #appender: Appender | null = null
  #compactor: Compactor | null = null
  #headSequence = 0
  #releasing: Promise<unknown> = Promise.resolve()

  constructor(options: LaneOptions) {
    this.#options = options
  }

  /** Begins to take commits, in the segment that was found or in a new one. */
  async open({ lane, journal, nextSequence, reservation }: FoundLane): Promise<void> {
    this.#segments = new SegmentList(journal.segments)
    this.#headSequence = nextSequence - 1
    const options = { ...this.#options, lane, segments: this.#segments, reservation }
    this.#compactor = new Compactor(options)
    const appender = new Appender(options)
    await appender.open(journal.growing, nextSequence)
    this.#appender = appender
  }

  /** The sequence behind the last one in use. */
  get nextSequence(): number {
    return this.#headSequence + 1
  }

  async commit(batch: CommitBatch): Promise<void> {
    if (!this.#appender) throw new QueueError('QUEUE_SERVER_STOPPING')
    await this.#appender.commit(batch)
    this.#headSequence = batch.messages.at(-1)?.message.sequence ?? this.#headSequence
  }

  async read(sequence: number): Promise<LaneBlock> {
    for (;;) {
      const segment = this.#segments.find(sequence)
      if (!segment) return this.#nothingAt(sequence)
      const block = await readBlock(this.#options.files, this.#options.log, segment, sequence)
      if (block) return block
      // released or rewritten meanwhile: it is somewhere else now, or gone
      if (this.#segments.has(segment)) throw missing(segment)
    }
  }

  async release(owed: Owed): Promise<ReleaseReport> {
    const compactor = this.#compactor
    const appender = this.#appender
    if (!compactor || !appender) throw new QueueError('QUEUE_SERVER_STOPPING')
    const sealed = this.#segments.all().slice(0, -1) // the last one grows
    const report = appender.settle().then(() => compactor.release(sealed, owed))
    this.#releasing = report
    return report
  }

  sizeBytes(): number {
    return this.#segments.sizeBytes()
  }

  /** Ends what is under way and syncs everything. Rejects when not everything is on stable storage. */
  async close(): Promise<void> {
    const appender = this.#appender
    this.#appender = null
    this.#compactor?.stop()
    await this.#releasing
    await appender?.close()
  }

  #nothingAt(sequence: number): LaneBlock {
    const { from, to } = this.#segments.gap(sequence)
    return { from, to: Math.min(to, Math.max(this.#headSequence, sequence)), messages: [], bytes: 0 }
  }
}

function missing(segment: Segment): QueueError {
  return new QueueError('QUEUE_DATA_CORRUPT', { detail: { file: segment.path, problem: 'is missing' } })
}
