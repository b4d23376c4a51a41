import {
  type Clock,
  errorText,
  type Logger,
  QueueError,
  type StateChange,
  type StateStore
} from '../../src/plugin.ts'
import type { ChangesLog } from './changes-log.ts'
import { type Database, failureOf } from './database.ts'
import { FIRST_EPOCH, type Identity } from './identity.ts'
import type { Patience } from './patience.ts'
import { collectionOf, type LoggedChange, operationOf } from './row-operations.ts'
import { writeRow } from './row-writes.ts'

/** What the state works with. */
export interface MongoStateOptions {
  readonly database: Database
  readonly identity: Identity
  readonly patience: Patience
  readonly changesLog: ChangesLog
  readonly clock: Clock
  readonly log: Logger
  readonly storeTimeoutMs: number
}

interface PendingWrite {
  /** Asked for in the turn in which the write takes its place. */
  readonly changes: readonly LoggedChange[]
  resolve(): void
  reject(error: unknown): void
}

/** Rows in collections. One write is under way at a time; what arrives meanwhile is the next one. */
export class MongoState implements StateStore {
  readonly #options: MongoStateOptions
  #waiting: PendingWrite[] = []
  #writing: Promise<void> | null = null
  #failure: QueueError | null = null

  constructor(options: MongoStateOptions) {
    this.#options = options
  }

  /** @see StateStore.write Always with sync. */
  write(changes: readonly StateChange[], _options: { sync: boolean }): Promise<void> {
    return this.writeLogged(changes)
  }

  /** As {@link write}, with rows of this store among them. */
  writeLogged(changes: readonly LoggedChange[]): Promise<void> {
    const failure = this.#options.identity.fence ?? this.#failure
    if (failure) return Promise.reject(failure)
    if (changes.length === 0 && !this.#writing) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#enqueue({ changes: changes.map(change => this.#stamp(change)), resolve, reject })
      this.#writing ??= this.#writeAll()
    })
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#writing
  }

  /** A write that never got its turn is given up. */
  #enqueue(write: PendingWrite): void {
    const { clock, storeTimeoutMs, patience } = this.#options
    const timer = clock.after(storeTimeoutMs, () => {
      if (!patience.problem || !this.#waiting.includes(timed)) return
      this.#waiting = this.#waiting.filter(each => each !== timed)
      write.reject(patience.problem)
    })
    const timed: PendingWrite = {
      changes: write.changes,
      resolve() {
        timer.cancel()
        write.resolve()
      },
      reject(error) {
        timer.cancel()
        write.reject(error)
      }
    }
    this.#waiting.push(timed)
  }

  /** The change as it is now, with the epoch under which it counts. */
  #stamp(change: LoggedChange): LoggedChange {
    const row = Buffer.isBuffer(change.row) ? Buffer.from(change.row) : change.row
    return { ...change, row, epoch: this.#epochOf(change) } as LoggedChange
  }

  #epochOf(change: LoggedChange): number {
    const { epochs } = this.#options.identity
    if (change.table === 'cursor') return epochs.ofSession(change.key)
    if (change.table === 'subscription') return epochs.ofSession(change.key.sessionId)
    if (change.table !== 'session' || change.row === null) return FIRST_EPOCH
    const { clientId, sessionId } = change.row
    const epoch = epochs.ofClient(clientId)
    epochs.set(clientId, sessionId, epoch)
    return epoch
  }

  async #writeAll(): Promise<void> {
    await null // what is written in the same turn goes into the same group
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#writeGroup(group.flatMap(({ changes }) => changes))
        for (const each of group) each.resolve()
      } catch (error) {
        this.#failed(error)
        for (const each of group) each.reject(error)
      }
    }
    this.#writing = null
  }

  async #writeGroup(changes: readonly LoggedChange[]): Promise<void> {
    const failure = this.#options.identity.fence ?? this.#failure
    if (failure) throw failure
    const [only] = changes
    if (changes.length === 0 || !only) return
    const { changesLog, identity, storeTimeoutMs } = this.#options
    if (changes.length === 1 && isFencedAlone(only)) await this.#writeOne(only)
    else await changesLog.write(changes, storeTimeoutMs)
    for (const { table, key, row } of changes)
      if (table === 'session' && row === null) identity.epochs.forgetSession(key)
  }

  /** A change of one document is all or nothing by itself. */
  async #writeOne(change: LoggedChange): Promise<void> {
    const { database, identity, patience, storeTimeoutMs } = this.#options
    const operation = operationOf(change, identity.owner)
    const write = () => writeRow(collectionOf(database, operation.target), operation)
    try {
      const isDone = await patience.until(write, { timeoutMs: storeTimeoutMs })
      if (!isDone && change.table === 'session') throw new QueueError('QUEUE_SESSION_TAKEN_OVER')
    } catch (error) {
      throw storeError(error)
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof QueueError) || error.code !== 'QUEUE_STORE_FAILED' || this.#failure) return
    this.#failure = error
    this.#options.log.error({ err: error, code: error.code }, error.message)
  }
}

/**
 * Whether the write of a single row is refused by itself when it is of a broker taken for dead, or does no harm then.
 * Others go through the log, which is sealed. Retained messages know by their order which is the later one.
 */
function isFencedAlone(change: LoggedChange): boolean {
  switch (change.table) {
    case 'session':
    case 'cursor':
    case 'meta':
    case 'topic':
      return true
    case 'retained':
      return change.order !== undefined
    default:
      return change.row === null && change.table !== 'stream'
  }
}

/** The error to throw for a write that was refused. */
export function storeError(cause: unknown): QueueError {
  if (cause instanceof QueueError) return cause
  const detail = { problem: `MongoDB: ${errorText(cause)}` }
  const code = failureOf(cause).kind === 'full' ? 'QUEUE_STORE_FULL' : 'QUEUE_STORE_FAILED'
  return new QueueError(code, { cause, detail })
}
