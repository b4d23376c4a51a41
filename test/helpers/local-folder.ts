import { mkdtemp, open, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { LocalStore, type LocalStoreOptions } from '../../plugins/store-local/local-store.ts'
import { type Database, type OpenDatabase, openLevel } from '../../plugins/store-local/state.ts'
import type { Clock } from '../../src/clock.ts'
import type { Logger } from '../../src/log.ts'
import type { CommitBatch, StoreContents } from '../../src/store/store.ts'
import { FaultyFiles } from './faulty-files.ts'
import type { Random } from './tools-random.ts'

/** A line of the log. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly text: string
}

/** What a test may choose; the rest has small sizes. */
export type FolderOptions = Partial<LocalStoreOptions> & { readonly boot?: string }

/** A data folder on which one store after the other is opened, and stopped in every way a store can be. */
export class LocalFolder {
  readonly directory: string
  readonly journal: string
  readonly notes: string
  readonly log: LogLine[] = []
  /** The files of the present store. */
  files = new FaultyFiles()
  store!: LocalStore
  contents!: StoreContents
  #databases: KillableDatabase[] = []
  #ticks: (() => void)[] = []

  private constructor(directory: string) {
    this.directory = directory
    this.journal = join(directory, 'journal')
    this.notes = join(directory, 'notes')
  }

  /** A new folder, removed with all that is open in it when the test ends. */
  static async create(t: Pick<ExecutionContext, 'teardown'>): Promise<LocalFolder> {
    const folder = new LocalFolder(await mkdtemp(join(tmpdir(), 'restante-store-')))
    t.teardown(async () => {
      await folder.kill()
      await rm(folder.directory, { recursive: true })
    })
    return folder
  }

  /** Opens a store; the one before is closed or killed. */
  async open(options: FolderOptions = {}): Promise<StoreContents> {
    this.files = new FaultyFiles(this.files)
    this.#databases = []
    this.#ticks = []
    this.store = this.createStore(options)
    this.contents = await this.store.open()
    return this.contents
  }

  /** A store on the folder, not open. */
  createStore({ boot = 'boot', ...options }: FolderOptions = {}): LocalStore {
    return new LocalStore({
      dataDirectory: this.directory,
      fsync: 'always',
      fsyncIntervalMs: 200,
      segmentBytes: 65_536,
      compactBelowPercent: 25,
      files: this.files,
      clock: this.#clock(),
      log: this.#logger(),
      bootId: async () => boot,
      openDatabase: this.openDatabase,
      ...options
    })
  }

  /** LevelDB that is closed when the store is killed. */
  readonly openDatabase: OpenDatabase = async directory => {
    const database = new KillableDatabase(await openLevel(directory))
    this.#databases.push(database)
    return database
  }

  /** Closes the store and opens it again. */
  async reopen(options: FolderOptions = {}): Promise<StoreContents> {
    await this.store.close()
    return this.open(options)
  }

  /** Stops the store as kill -9 does. */
  async kill(): Promise<void> {
    await this.files.kill()
    for (const database of this.#databases) await database.kill()
  }

  /** Stops the store as a power cut does: of what was not synced a part is left, with flipped bits. */
  async cutPower(random: Random): Promise<void> {
    await this.kill()
    for (const { path, durableBytes, fileBytes } of await this.files.unsynced()) {
      const left = durableBytes + random.below(fileBytes - durableBytes + 1)
      await truncate(path, left)
      if (random.chance(0.5) && left > durableBytes)
        await flipBit(path, durableBytes + random.below(left - durableBytes))
      this.files.setDurable(path, left)
    }
  }

  commit(batch: CommitBatch): Promise<void> {
    return this.store.lane.commit(batch)
  }

  /** Lets the time of all periodic callbacks come. */
  tick(): void {
    for (const callback of this.#ticks) callback()
  }

  /** Paths of the journal files with this ending, in order. */
  async segments(ending = '.seg'): Promise<string[]> {
    const names = await readdir(this.journal)
    return names
      .filter(name => name.endsWith(ending))
      .sort()
      .map(name => join(this.journal, name))
  }

  /** Lines of the log of a level. */
  lines(level: LogLine['level']): LogLine[] {
    return this.log.filter(line => line.level === level)
  }

  #clock(): Clock {
    let now = 1_700_000_000_000
    return {
      now: () => now++,
      after: () => ({ cancel() {} }),
      every: (_, callback) => {
        this.#ticks.push(callback)
        return { cancel: () => void (this.#ticks = this.#ticks.filter(each => each !== callback)) }
      }
    }
  }

  #logger(): Logger {
    const at = (level: LogLine['level']) => (fields: object, text: string) =>
      void this.log.push({ level, fields: fields as Record<string, unknown>, text })
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }
}

/** A database that can be left as kill -9 leaves it. */
class KillableDatabase implements Database {
  readonly #inner: Database
  #isDead = false

  constructor(inner: Database) {
    this.#inner = inner
  }

  close(): Promise<void> {
    return this.#isDead ? Promise.resolve() : this.#inner.close()
  }

  async batch(...given: Parameters<Database['batch']>): Promise<void> {
    if (this.#isDead) throw new Error('the process is dead')
    await this.#inner.batch(...given)
  }

  iterator(): AsyncIterable<[string, Buffer]> {
    return this.#inner.iterator()
  }

  async kill(): Promise<void> {
    this.#isDead = true
    await this.#inner.close()
  }
}

/** Turns one bit of a file around. */
export async function flipBit(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, offset)
    byte[0]! ^= 1 << (offset % 8)
    await file.write(byte, 0, 1, offset)
  } finally {
    await file.close()
  }
}

/** What a database that can be made to fail does and did. */
export interface LevelFaults {
  /** Thrown by writes of the state from now on. */
  failure: Error | null
  /** How often the state was opened. */
  opened: number
  /** Synced writes of the state. */
  syncs: number
}

/** LevelDB whose writes can be made to fail. */
export function faultyLevel(inner: OpenDatabase): { faults: LevelFaults; openDatabase: OpenDatabase } {
  const faults: LevelFaults = { failure: null, opened: 0, syncs: 0 }
  const openDatabase: OpenDatabase = async directory => {
    const database = await inner(directory)
    if (!directory.endsWith('state')) return database
    faults.opened++
    return {
      close: () => database.close(),
      iterator: () => database.iterator(),
      async batch(operations, options) {
        if (faults.failure) throw faults.failure
        if (options.sync) faults.syncs++
        await database.batch(operations, options)
      }
    }
  }
  return { faults, openDatabase }
}
