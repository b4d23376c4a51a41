import {
  type Clock,
  type CommitBatch,
  errorText,
  type Logger,
  type QueueError,
  type Timer
} from '../../src/plugin.ts'
import { type Files, HAS_SYNCED_WRITES, type OpenFile, writeAll } from './files.ts'
import type { GrowingSegment } from './recovery.ts'
import type { Reservation } from './reservation.ts'
import { Segment, type SegmentList } from './segment.ts'
import { removeSegment, writeIndex } from './segment-files.ts'
import { BATCH_HEADER_BYTES, createSalt, encodeBatchHeader, encodeHeader } from './segment-format.ts'
import { IndexBuilder } from './segment-index.ts'
import { isFull, storeError, storeFailed } from './store-error.ts'

// They bound the work of writing and reading an index in one go.
const MOST_RECORDS = 2 ** 18
const MOST_POSTINGS = 2 ** 20

/** What the appender works with. */
export interface AppenderOptions {
  readonly files: Files
  readonly directory: string
  readonly log: Logger
  readonly clock: Clock
  readonly lane: string
  readonly fsync: 'always' | 'interval' | 'off'
  readonly fsyncIntervalMs: number
  /** A segment that would grow beyond this is closed and the next one begun. */
  readonly segmentBytes: number
  readonly segments: SegmentList
  /** Null where every commit is synced. */
  readonly reservation: Reservation | null
  /** Called once when a write or a sync has failed for good. */
  onFailed(): void
}

/** Writes commits at the end of the lane. */
export class Appender {
  readonly #options: AppenderOptions
  #growing: GrowingSegment | null = null
  #file: OpenFile | null = null
  /** Segments that are full and are being synced and indexed. */
  #sealing: Promise<void> = Promise.resolve()
  #failure: QueueError | null = null
  #timer: Timer | null = null
  #syncing: Promise<void> | null = null
  /** Whether something was written since the last sync began. */
  #isDirty = false

  constructor(options: AppenderOptions) {
    this.#options = options
  }

  /** Goes on with the segment that was found, or begins one. */
  async open(growing: GrowingSegment | null, nextSequence: number): Promise<void> {
    if (growing) {
      const mode = this.#options.fsync === 'always' ? 'write-synced' : 'write'
      this.#file = await this.#options.files.open(growing.segment.path, mode)
      this.#growing = growing
    } else await this.#begin(nextSequence)
    if (this.#options.fsync !== 'interval') return
    this.#timer = this.#options.clock.every(this.#options.fsyncIntervalMs, () => this.#syncSoon())
  }

  /** Whether it takes nothing more. */
  get hasFailed(): boolean {
    return this.#failure !== null
  }

  /** @see LaneStore.commit */
  async commit(batch: CommitBatch): Promise<void> {
    if (this.#failure) throw this.#failure
    const { reservation } = this.#options
    const first = batch.messages[0]?.message.sequence
    if (first === undefined) return
    const last = batch.messages.at(-1)!.message.sequence
    if (reservation && !reservation.covers(last)) await reservation.extend(last)
    if (this.#mustRoll(batch.bytes)) await this.#roll(first)
    const { segment } = this.#growing!
    await this.#write([encodeBatchHeader(segment.header.salt, first), ...batch.buffers], segment)
    if (this.#failure) throw this.#failure
    this.#isDirty = true
    this.#take(batch)
  }

  /** Waits until full segments are indexed. */
  settle(): Promise<void> {
    return this.#sealing
  }

  /** Syncs everything, also with fsync off. Rejects when that fails. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    await this.#syncing
    await this.#sealing
    try {
      if (!this.#failure) await this.#file?.sync()
    } catch (error) {
      this.#fail('the journal could not be synced', error)
    } finally {
      await this.#file?.close()
      this.#file = null
    }
    if (this.#failure) throw this.#failure
  }

  #mustRoll(bytes: number): boolean {
    const { segment, index } = this.#growing!
    if (index.sequences.length === 0) return false
    return (
      segment.end + BATCH_HEADER_BYTES + bytes > this.#options.segmentBytes ||
      index.sequences.length >= MOST_RECORDS ||
      index.postings >= MOST_POSTINGS
    )
  }

  async #write(buffers: readonly Buffer[], segment: Segment): Promise<void> {
    const file = this.#file!
    try {
      await writeAll(file, buffers, segment.end)
    } catch (error) {
      throw await this.#takeBack(error, file, segment.end)
    }
    if (this.#options.fsync !== 'always' || HAS_SYNCED_WRITES) return
    try {
      await file.sync()
    } catch (error) {
      throw this.#fail('the journal could not be synced', error)
    }
  }

  /** After a failed write: the file is cut back to what was committed. */
  async #takeBack(error: unknown, file: OpenFile, end: number): Promise<QueueError> {
    if (!isFull(error)) {
      const failure = this.#fail('the journal could not be written', error)
      await file.truncate(end).catch(() => {}) // what was refused had better not come back; a torn end opens as well
      return failure
    }
    try {
      await file.truncate(end)
      await file.sync()
    } catch (cause) {
      return this.#fail('the journal could not be cut back', cause)
    }
    return storeError('the journal could not be written', error)
  }

  #take(batch: CommitBatch): void {
    const { segment, index } = this.#growing!
    let offset = segment.end + BATCH_HEADER_BYTES
    for (const { message, streamIds, recordBytes } of batch.messages) {
      index.add(message.sequence, offset, recordBytes, streamIds, message.expiresAt)
      segment.addRecord(message.sequence, offset)
      offset += recordBytes
    }
    segment.end = offset
  }

  async #roll(firstSequence: number): Promise<void> {
    const full = this.#growing!
    const file = this.#file!
    await this.#begin(firstSequence)
    this.#sealing = this.#sealing.then(() => this.#seal(full, file))
  }

  /** Begins a segment. It is on stable storage, with its name, before the first record goes into it. */
  async #begin(firstSequence: number): Promise<void> {
    const { files, directory, lane, clock, fsync, segments } = this.#options
    const header = {
      lane,
      salt: createSalt(),
      rewrites: 0,
      firstSequence,
      throughSequence: 0,
      createdAt: clock.now()
    }
    const segment = new Segment(directory, header)
    let file: OpenFile | null = null
    try {
      file = await files.open(segment.path, fsync === 'always' ? 'create-synced' : 'create')
      await writeAll(file, [encodeHeader(header)], 0)
      await file.sync()
      await files.syncDirectory(directory)
    } catch (error) {
      await file?.close().catch(() => {})
      if (file) await removeSegment(this.#options, segment.path).catch(() => {})
      if (isFull(error)) throw storeError('a journal file could not be made', error)
      throw this.#fail('a journal file could not be made', error)
    }
    this.#file = file
    this.#growing = { segment, index: new IndexBuilder() }
    segments.add(segment)
  }

  /** An index is a promise that its segment is on stable storage, so the segment is synced first. */
  async #seal({ segment, index }: GrowingSegment, file: OpenFile): Promise<void> {
    await this.#syncing // it may be this file's
    try {
      if (this.#options.fsync !== 'always') await file.sync()
    } catch (error) {
      this.#fail('the journal could not be synced', error)
      return
    } finally {
      await file.close().catch(() => {})
    }
    await writeIndex(this.#options, segment, index)
  }

  #syncSoon(): void {
    if (!this.#isDirty || this.#syncing || this.#failure) return
    this.#isDirty = false
    this.#syncing = this.#file!.sync()
      .catch(error => {
        this.#fail('the journal could not be synced', error)
      })
      .finally(() => {
        this.#syncing = null
      })
  }

  /** A sync that failed is never tried again: the system may have dropped what it could not write. */
  #fail(problem: string, cause: unknown): QueueError {
    if (this.#failure) return this.#failure
    this.#failure = storeFailed(problem, cause)
    this.#options.log.error(
      { error: errorText(cause) },
      `${problem}: nothing more is accepted until the server is restarted`
    )
    this.#options.onFailed()
    return this.#failure
  }
}
