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

/** What is used of an open LevelDB database; tests put one in its place that fails where they want. */
export interface Database {
  close(): Promise<void>
  batch(operations: BatchOperation[], options: { sync: boolean }): Promise<void>
  iterator(): AsyncIterable<[string, Buffer]>
}

type BatchOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: string }

/** Opens the database of a folder. Rejects with an error whose cause has the code LEVEL_LOCKED when it is in use. */
export type OpenDatabase = (directory: string) => Promise<Database>

/** Opens a LevelDB database. */
export const openLevel: OpenDatabase = async directory => {
  const options = { keyEncoding: 'utf8', valueEncoding: 'buffer' }
  const database = new ClassicLevel<string, Buffer>(directory, options) // opens by itself, so it is made only now
  await database.open()
  return database
}

/**
 * Opens a database and names what went wrong.
 * @param dataDirectory the folder that people know.
 * @throws QueueError QUEUE_DATA_IN_USE when another process has it, QUEUE_DATA_CORRUPT when it cannot be read.
 */
export async function openDatabase(
  open: OpenDatabase,
  directory: string,
  dataDirectory: string
): Promise<Database> {
  try {
    return await open(directory)
  } catch (error) {
    const cause = (error as { cause?: unknown }).cause ?? error
    if (systemCode(cause) === 'LEVEL_LOCKED')
      throw new QueueError('QUEUE_DATA_IN_USE', { cause, detail: { directory: dataDirectory } })
    if (isFull(cause)) throw storeError('the state could not be opened', cause)
    const detail = { file: directory, problem: errorText(cause) }
    throw new QueueError('QUEUE_DATA_CORRUPT', { cause, detail })
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
  readonly openDatabase: OpenDatabase
  readonly files: Files
  readonly directory: string
  readonly dataDirectory: string
  readonly log: Logger
}

/** Rows in LevelDB. One write is under way at a time; what arrives meanwhile is the next one. */
export class LocalState implements StateStore {
  readonly #options: StateOptions
  #database: Database | null = null
  #waiting: PendingWrite[] = []
  #writing: Promise<void> | null = null
  #failure: QueueError | null = null
  /** LevelDB cannot be trusted with more after a write of its log was cut short: it is opened again first. */
  #mustReopen = false
  /** Whether the log tells of the present failure already. */
  #isTold = false

  constructor(options: StateOptions) {
    this.#options = options
  }

  /** Opens the database and reads all rows. @throws QueueError as {@link openDatabase} */
  async open(): Promise<StateRows> {
    const { directory } = this.#options
    const database = await this.#openDatabase()
    const rows = emptyRows()
    try {
      for await (const [key, value] of database.iterator()) addRow(rows, key, value)
    } catch (cause) {
      await this.close()
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
    const database = this.#database
    this.#database = null
    await database?.close()
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
    const database = await this.#writable()
    const operations: BatchOperation[] = []
    for (const { changes } of group) {
      for (const { key, value } of changes)
        operations.push(value ? { type: 'put', key, value } : { type: 'del', key })
    }
    const sync = group.some(each => each.isSync)
    await database.batch(operations, { sync })
    this.#isTold = false
    // LevelDB does not sync the name of a log it has just begun
    if (sync) await this.#options.files.syncDirectory(this.#options.directory)
  }

  async #writable(): Promise<Database> {
    if (this.#database && !this.#mustReopen) return this.#database
    await this.#database?.close()
    const database = await this.#openDatabase()
    this.#mustReopen = false
    return database
  }

  async #openDatabase(): Promise<Database> {
    const { openDatabase: open, directory, dataDirectory } = this.#options
    this.#database = await openDatabase(open, directory, dataDirectory)
    return this.#database
  }

  #failed(error: unknown): QueueError {
    if (this.#failure) return this.#failure
    if (!this.#isTold) this.#options.log.error({ error: errorText(error) }, 'the state could not be written')
    this.#isTold = true
    if (isFull(error)) {
      this.#mustReopen = true
      return storeError('the state could not be written', error)
    }
    this.#failure = storeFailed('the state could not be written', error)
    return this.#failure
  }
}
