import { ClassicLevel } from 'classic-level'
import {
  errorText,
  type Logger,
  QueueError,
  type StateChange,
  type StateStore,
  systemCode
} from '../../src/plugin.ts'
import type { Files } from './files.ts'
import { addRow, emptyRows, type KeyChange, keyChange, type StateRows } from './state-rows.ts'
import { isFull, storeError, storeFailed } from './store-error.ts'

/** What is used of a LevelDB database; tests put one in its place that fails where they want. */
export interface Database {
  open(): Promise<void>
  close(): Promise<void>
  batch(operations: BatchOperation[], options: { sync: boolean }): Promise<void>
  iterator(): AsyncIterable<[string, Buffer]>
}

type BatchOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: string }

/** A LevelDB database in a folder. */
export function createDatabase(directory: string): Database {
  return new ClassicLevel<string, Buffer>(directory, { keyEncoding: 'utf8', valueEncoding: 'buffer' })
}

/**
 * Opens a database.
 * @param directory the data folder, for people.
 * @throws QueueError QUEUE_DATA_IN_USE when another process has it, QUEUE_DATA_CORRUPT when it cannot be read.
 */
export async function openDatabase(database: Database, directory: string, file: string): Promise<void> {
  try {
    await database.open()
  } catch (error) {
    const cause = (error as { cause?: unknown }).cause ?? error
    if (systemCode(cause) === 'LEVEL_LOCKED')
      throw new QueueError('QUEUE_DATA_IN_USE', { cause, detail: { directory } })
    if (isFull(cause)) throw storeError('the state could not be opened', cause)
    throw new QueueError('QUEUE_DATA_CORRUPT', { cause, detail: { file, problem: errorText(cause) } })
  }
}

interface PendingWrite {
  readonly changes: readonly KeyChange[]
  readonly isSync: boolean
  resolve(): void
  reject(error: QueueError): void
}

/** What the state works with. */
export interface StateOptions {
  readonly database: Database
  readonly files: Files
  readonly directory: string
  readonly dataDirectory: string
  readonly log: Logger
}

/** Rows in LevelDB. One write is under way at a time; what arrives meanwhile is the next one. */
export class LocalState implements StateStore {
  readonly #options: StateOptions
  #waiting: PendingWrite[] = []
  #writing: Promise<void> | null = null
  #failure: QueueError | null = null
  /** LevelDB cannot be trusted with more after a write of its log was cut short: it is opened again first. */
  #mustReopen = false

  constructor(options: StateOptions) {
    this.#options = options
  }

  /** Opens the database and reads all rows. @throws QueueError as {@link openDatabase} */
  async open(): Promise<StateRows> {
    const { database, dataDirectory, directory } = this.#options
    await openDatabase(database, dataDirectory, directory)
    const rows = emptyRows()
    try {
      for await (const [key, value] of database.iterator()) addRow(rows, key, value)
    } catch (cause) {
      await database.close()
      const detail = { file: directory, problem: errorText(cause) }
      throw new QueueError('QUEUE_DATA_CORRUPT', { cause, detail })
    }
    return rows
  }

  /** @see StateStore.write */
  async write(changes: readonly StateChange[], options: { sync: boolean }): Promise<void> {
    return this.writeKeys(changes.map(keyChange), options)
  }

  /** As {@link write}, with rows of this store among them. */
  writeKeys(changes: readonly KeyChange[], { sync }: { sync: boolean }): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, isSync: sync, resolve, reject })
      this.#writing ??= this.#writeAll()
    })
  }

  /** Waits for what is under way and closes the database. */
  async close(): Promise<void> {
    await this.#writing
    await this.#options.database.close()
  }

  async #writeAll(): Promise<void> {
    await null // what is written in the same turn goes into the same group
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#writeGroup(group)
        for (const each of group) each.resolve()
      } catch (error) {
        const failure = this.#failed(error)
        for (const each of group) each.reject(failure)
      }
    }
    this.#writing = null
  }

  async #writeGroup(group: readonly PendingWrite[]): Promise<void> {
    if (this.#failure) throw this.#failure
    await this.#reopen()
    const operations: BatchOperation[] = []
    for (const { changes } of group) {
      for (const { key, value } of changes)
        operations.push(value ? { type: 'put', key, value } : { type: 'del', key })
    }
    const sync = group.some(each => each.isSync)
    await this.#options.database.batch(operations, { sync })
    // LevelDB does not sync the name of a log it has just begun
    if (sync) await this.#options.files.syncDirectory(this.#options.directory)
  }

  async #reopen(): Promise<void> {
    if (!this.#mustReopen) return
    await this.#options.database.close()
    await openDatabase(this.#options.database, this.#options.dataDirectory, this.#options.directory)
    this.#mustReopen = false
  }

  #failed(error: unknown): QueueError {
    if (this.#failure) return this.#failure
    this.#options.log.error({ error: errorText(error) }, 'the state could not be written')
    if (isFull(error)) {
      this.#mustReopen = true
      return storeError('the state could not be written', error)
    }
    this.#failure = storeFailed('the state could not be written', error)
    return this.#failure
  }
}
