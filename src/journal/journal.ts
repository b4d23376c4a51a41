import { type Clock, monotonicMs, type Timer } from '../clock.ts'
import { errorText, QueueError, systemCode } from '../errors.ts'
import { LaneMarks, laneOf } from '../lane.ts'
import type { Logger } from '../log.ts'
import type { LaneStore } from '../store/store.ts'
import type { Message } from '../wire/message.ts'
import { type AppendFields, BatchBuilder, type Pending, type Receipt, type SealedBatch } from './batch.ts'
import { BlockCache } from './block-cache.ts'
import { Tail } from './tail.ts'

/** A batch is closed at this size, so that one commit does not hold all others up for long. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024

/** After a read that the system failed. */
const RETRY_MS = 500

/** What the journal works with. */
export interface JournalOptions {
  readonly lane: LaneStore
  readonly clock: Clock
  readonly log: Logger
  readonly nextSequence: number
  /** For the newest messages and for blocks read back, half each. */
  readonly cacheBytes: number
  /** Above this many bytes waiting for the store, publishers are held back. */
  readonly maxPendingBytes: number
  /** A commit that takes longer lets publishers wait no more: they are refused until it is over. Left out: no limit. */
  readonly commitTimeoutMs?: number
  /** Asked for each batch right before its commit: what other servers have changed meanwhile may change its records. */
  readonly prepare?: (batch: SealedBatch) => Promise<SealedBatch>
}

/** What the journal tells the core. */
export interface JournalListener {
  /**
   * Called for each message in sequence, once it is durable, before its receipt.
   */
  committed(pending: Pending): void
  /** There is room again after {@link Journal.isFull}. */
  hasRoom(): void
  /** A batch is on stable storage; called before its messages are committed. */
  stored?(batch: SealedBatch, durationMs: number): void
}

/**
 * The lane of this server: messages are appended, committed in groups, and released strictly in sequence. One commit
 * is under way at a time; what arrives meanwhile is the next one, so that the disk's pace sets the size of the group.
 */
export class Journal {
  readonly #options: JournalOptions
  /** Newest messages, by lane. */
  readonly #tails: Tail[] = []
  readonly #blocks: BlockCache
  readonly #loading = new Map<number, Promise<void>>()
  #listener: JournalListener = { committed() {}, hasRoom() {} }
  #builder = new BatchBuilder()
  /** Messages that are refused as they come. */
  #aside: BatchBuilder | null = null
  /** Closed batches in front of the builder's. */
  #sealed: SealedBatch[] = []
  #pendingBytes = 0
  #wasFull = false
  #isBusy = false
  #isArmed = false
  #isClosed = false
  #failure: QueueError | null = null
  /** While a commit takes too long: why publishers are refused. */
  #away: QueueError | null = null
  /** Sequences of the batch that is being committed whose publishers were refused. */
  readonly #orphans = new Set<number>()
  #overdue: Timer | null = null
  readonly #lane: number
  /** Newest durable message of each lane, as far as they are known here. */
  readonly #heads = new LaneMarks()
  #appended: number
  #committed: number
  #idle: (() => void)[] = []
  #settling: { readonly last: number; readonly resolve: () => void }[] = []
  /** Commits since the start. */
  commits = 0
  /** Messages refused since the start because the store did not take them. */
  refused = 0

  constructor(options: JournalOptions) {
    this.#options = options
    this.#lane = laneOf(options.nextSequence)
    this.#blocks = new BlockCache(options.cacheBytes / 2)
    this.#appended = options.nextSequence - 1
    this.#committed = this.#appended
    this.#heads.set(this.#committed)
  }

  set listener(listener: JournalListener) {
    this.#listener = listener
  }

  /** Gives out no sequence below this one. For the start only: nothing may be appended yet. */
  skipTo(nextSequence: number): void {
    if (nextSequence <= this.#appended) return
    this.#appended = nextSequence - 1
    this.#committed = this.#appended
    this.#heads.set(this.#committed)
  }

  /** The lane that it appends to. */
  get lane(): number {
    return this.#lane
  }

  /** Newest durable message of each lane, those of other servers as far as they were {@link followed}. */
  get heads(): LaneMarks {
    return this.#heads
  }

  /** A lane of another server is read up to here. @param messages what it had since the last call, ascending. */
  followed(headSequence: number, messages: readonly Message[]): void {
    const lane = laneOf(headSequence)
    for (const message of messages) this.#tail(lane).push(message)
    this.#heads.set(headSequence)
  }

  /** Sequence of the last message on stable storage. */
  get headSequence(): number {
    return this.#committed
  }

  /** Sequence of the last message given a place; it may still be on its way to the store. */
  get appendedSequence(): number {
    return this.#appended
  }

  /** Whether publishers should wait. */
  get isFull(): boolean {
    return this.#pendingBytes > this.#options.maxPendingBytes
  }

  /** Why nothing is accepted at this moment, or any more; null while all is well. */
  get failure(): QueueError | null {
    return this.#failure ?? this.#away
  }

  /**
   * Gives a message its sequence and queues it for the next commit. The receipt is called later, in sequence; never
   * during this call unless the journal has failed or is closed.
   */
  append(fields: AppendFields, receipt: Receipt, token: number): void {
    if (this.#failure || this.#away || this.#isClosed) {
      this.#refuseLate(fields, receipt, token)
      return
    }
    const sequence = this.#appended + 1
    const before = this.#builder.bytes
    this.#builder.add(fields, sequence, this.#options.clock.now(), receipt, token)
    this.#appended = sequence // only now: a message that cannot be encoded must leave no gap
    this.#pendingBytes += this.#builder.bytes - before
    if (this.#builder.bytes >= MAX_BATCH_BYTES) this.#sealed.push(this.#builder.seal())
    if (this.isFull) this.#wasFull = true
    if (!this.#isBusy && !this.#isArmed) {
      this.#isArmed = true
      setImmediate(() => {
        this.#isArmed = false
        // what was appended while room was given has gone with the commit that followed at once
        if (!this.#isBusy) this.#commitNext()
      })
    }
  }

  /** The message; `null` when it is gone for good; `undefined` when it must be loaded first. */
  get(sequence: number): Message | null | undefined {
    return this.#tails[laneOf(sequence)]?.get(sequence) ?? this.#blocks.get(sequence)
  }

  /**
   * Reads the block of a sequence into the cache; callers of the same sequence share one read. What is damaged is
   * logged and counts as gone. When the system failed (too many open files, a disk that does not answer), the promise
   * resolves a while later with nothing loaded: whoever still wants the message asks again.
   */
  load(sequence: number): Promise<void> {
    const running = this.#loading.get(sequence)
    if (running) return running
    const read = this.#read(sequence).finally(() => this.#loading.delete(sequence))
    this.#loading.set(sequence, read)
    return read
  }

  /** A committed message, from memory or storage; null when it is gone. */
  async fetch(sequence: number): Promise<Message | null> {
    const known = this.get(sequence)
    if (known !== undefined) return known
    await this.load(sequence)
    return this.get(sequence) ?? null
  }

  /** Nothing is accepted any more, for a reason that did not come up in a commit. */
  fail(error: QueueError): void {
    this.#failure ??= error
  }

  /** Resolves when everything appended has been committed or refused. */
  drained(): Promise<void> {
    if (!this.#hasWork()) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }

  /** Resolves when everything appended so far has been committed or refused; what comes meanwhile is not waited for. */
  settled(): Promise<void> {
    const last = this.#appended
    if (this.#committed >= last || !this.#hasWork()) return Promise.resolve()
    return new Promise(resolve => this.#settling.push({ last, resolve }))
  }

  /** Refuses whatever is appended from now on; resolves when the rest is stored, or the store has been away for too long. */
  close(): Promise<void> {
    this.#isClosed = true
    return this.#away ? Promise.resolve() : this.drained()
  }

  #hasWork(): boolean {
    return this.#isBusy || this.#isArmed || this.#sealed.length > 0 || !this.#builder.isEmpty
  }

  #commitNext(): void {
    const batch = this.#sealed.shift() ?? (this.#builder.isEmpty ? undefined : this.#builder.seal())
    if (!batch) {
      this.#rest()
      return
    }
    this.#isBusy = true
    this.commits++
    const { prepare, clock, commitTimeoutMs } = this.#options
    if (commitTimeoutMs) this.#overdue = clock.after(commitTimeoutMs, () => this.#orphan(batch))
    if (!prepare) this.#commit(batch, batch)
    else {
      prepare(batch).then(
        prepared => this.#commit(batch, prepared),
        (error: unknown) => this.#refuse(batch, error)
      )
    }
  }

  /** @param asAppended the batch before it was prepared. */
  #commit(asAppended: SealedBatch, batch: SealedBatch): void {
    const startedMs = monotonicMs()
    this.#options.lane.commit(batch).then(
      () => {
        this.#listener.stored?.(batch, monotonicMs() - startedMs)
        this.#release(batch, asAppended.bytes)
      },
      (error: unknown) => this.#refuse(batch, error)
    )
  }

  #release(batch: SealedBatch, pendingBytes: number): void {
    this.#isBusy = false
    this.#pendingBytes -= pendingBytes
    const orphans = new Set(this.#orphans)
    this.#finish()
    const tail = this.#tail(this.#lane)
    for (const pending of batch.messages) {
      this.#committed = pending.message.sequence
      this.#heads.set(this.#committed)
      tail.push(pending.message)
      this.#listener.committed(pending)
      if (!orphans.has(this.#committed)) pending.receipt.accepted(pending)
    }
    this.#giveRoom()
    this.#commitNext()
    this.#settle()
  }

  /** The store has answered. */
  #finish(): void {
    this.#overdue?.cancel()
    this.#overdue = null
    this.#orphans.clear()
    if (this.#away) this.#options.log.warn({}, 'the store answers again: publishes are accepted')
    this.#away = null
  }

  /**
   * The commit of a batch takes too long. Whether it will be stored is not known, so its sequences stay taken; its publishers
   * are refused unless they wait on, and those behind as well.
   */
  #orphan(batch: SealedBatch): void {
    const detail = { problem: `no answer for ${this.#options.commitTimeoutMs} ms` }
    const away = new QueueError('QUEUE_STORE_AWAY', { detail })
    this.#away = away
    this.#options.log.error({ err: away, code: away.code }, `publishes are refused: ${away.message}`)
    const last = batch.messages.at(-1)?.message.sequence ?? this.#committed
    const refused = batch.messages.filter(pending => !pending.receipt.waitsOn?.(pending))
    for (const { message } of refused) this.#orphans.add(message.sequence)
    this.#refuseAll(refused, away, last)
    this.#pendingBytes = batch.bytes
    this.#giveRoom()
    if (this.#isClosed) this.#rest()
  }

  /** Those who wait for the end of all work are told that there is none, or that the rest cannot be waited for. */
  #rest(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /**
   * The store did not take a batch. Everything behind it is refused as well: were a later message of a publisher
   * taken and an earlier one not, his resend would put them out of order. The sequences are given out again.
   */
  #refuse(batch: SealedBatch, cause: unknown): void {
    this.#isBusy = false
    const waiting = batch.messages.filter(({ message }) => !this.#orphans.has(message.sequence))
    this.#finish()
    const error =
      cause instanceof QueueError
        ? cause
        : new QueueError('QUEUE_STORE_FAILED', { cause, detail: { problem: errorText(cause) } })
    if (error.code !== 'QUEUE_STORE_FULL') this.#failure = error
    this.#options.log.error({ err: error, code: error.code }, `publishes are refused: ${error.message}`)
    this.#refuseAll(waiting, error, this.#committed)
    this.#giveRoom()
    this.#commitNext()
    this.#settle()
  }

  /** Refuses one message; those before it may still be on their way. */
  #refuseLate(fields: AppendFields, receipt: Receipt, token: number): void {
    this.#aside ??= new BatchBuilder()
    this.#aside.add(fields, 0, this.#options.clock.now(), receipt, token)
    this.refused++
    const error = this.failure ?? new QueueError('QUEUE_SERVER_STOPPING')
    for (const pending of this.#aside.clear()) receipt.refused(pending, error)
  }

  /** @param appended the sequence behind which others are given out again. */
  #refuseAll(first: readonly Pending[], error: Error, appended: number): void {
    const refused = [...first, ...this.#sealed.flatMap(batch => batch.messages), ...this.#builder.clear()]
    this.#sealed = []
    this.#pendingBytes = 0
    this.#appended = appended
    this.refused += refused.length
    for (const pending of refused) pending.receipt.refused(pending, error)
  }

  #tail(lane: number): Tail {
    return (this.#tails[lane] ??= new Tail(this.#options.cacheBytes / 2))
  }

  #settle(): void {
    if (this.#settling.length === 0) return
    const isOver = ({ last }: { last: number }) => this.#committed >= last || !this.#hasWork()
    const over = this.#settling.filter(isOver)
    this.#settling = this.#settling.filter(one => !over.includes(one))
    for (const { resolve } of over) resolve()
  }

  #giveRoom(): void {
    if (!this.#wasFull || this.#pendingBytes > this.#options.maxPendingBytes / 2) return
    this.#wasFull = false
    this.#listener.hasRoom()
  }

  async #read(sequence: number): Promise<void> {
    try {
      this.#blocks.add(await this.#options.lane.read(sequence))
    } catch (cause) {
      const { clock, log } = this.#options
      log.error({ err: cause, sequence }, `message ${sequence} cannot be read: ${errorText(cause)}`)
      if (isOfSystem(cause)) await new Promise<void>(resolve => clock.after(RETRY_MS, resolve))
      else this.#blocks.add({ from: sequence, to: sequence, messages: [], bytes: 0 })
    }
  }
}

/** Whether a read failed for a reason that may pass, and not because of what is written there. */
function isOfSystem(cause: unknown): boolean {
  return systemCode(cause instanceof QueueError ? cause.cause : cause) !== undefined
}
