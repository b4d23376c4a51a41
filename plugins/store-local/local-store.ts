import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import {
  type Clock,
  errorText,
  type LastStop,
  type Logger,
  type Store,
  type StoreContents
} from '../../src/plugin.ts'
import type { Files } from './files.ts'
import { checkFormat } from './format.ts'
import { LocalLane } from './lane.ts'
import { type FoundNotes, LocalNotes } from './notes.ts'
import { type Journal, openJournal } from './recovery.ts'
import { RESERVED_SEQUENCES, Reservation } from './reservation.ts'
import { continueAt, type History, historyOf, judgeStop, mayHaveHoles, type RunRow } from './run.ts'
import { type Database, LocalState, type OpenDatabase, openDatabase, openLevel } from './state.ts'
import { ownChange, type StateRows } from './state-rows.ts'

/** What the store works with. */
export interface LocalStoreOptions {
  readonly dataDirectory: string
  readonly fsync: 'always' | 'interval' | 'off'
  readonly fsyncIntervalMs: number
  readonly segmentBytes: number
  readonly compactBelowPercent: number
  readonly files: Files
  readonly clock: Clock
  readonly log: Logger
  /** Names the present run of the machine. */
  bootId(): Promise<string>
  /** Opens the database of a folder; LevelDB when missing. */
  readonly openDatabase?: OpenDatabase
}

/**
 * A store in a folder of this machine:
 *
 * ```
 * format.json  version of the folder                journal/  segments of the lane, each with an index
 * lock/        held for as long as it is open       state/    LevelDB with the rows
 *                                                   notes/    files of notes
 * ```
 */
export class LocalStore implements Store {
  readonly supports = { isDurable: true }
  readonly lane: LocalLane
  readonly state: LocalState
  readonly notes: LocalNotes
  readonly #options: LocalStoreOptions
  #lock: Database | null = null
  #run: RunRow | null = null

  constructor(options: LocalStoreOptions) {
    this.#options = options
    const { files, log, dataDirectory } = options
    this.state = new LocalState({
      openDatabase: options.openDatabase ?? openLevel,
      ...{ files, log, dataDirectory, directory: join(dataDirectory, 'state') }
    })
    this.notes = new LocalNotes({
      files,
      log,
      directory: join(dataDirectory, 'notes'),
      isSynced: options.fsync === 'always',
      state: this.state,
      onLost: () => this.#unsettle()
    })
    this.lane = new LocalLane({
      ...options,
      directory: join(dataDirectory, 'journal'),
      // with fsync always nothing that was acked can be gone
      onFailed: () => (options.fsync === 'always' ? undefined : this.#unsettle())
    })
  }

  async open(): Promise<StoreContents> {
    try {
      return await this.#open()
    } catch (error) {
      await this.#release()
      throw error
    }
  }

  async close(): Promise<void> {
    if (!this.#run) return
    try {
      await this.lane.close()
      await this.notes.close()
      await this.#writeRun({ ...this.#run, isClean: true, nextSequence: this.lane.nextSequence })
    } catch (error) {
      // the next open acts as after a kill
      this.#options.log.error({ error: errorText(error) }, 'the store could not be closed cleanly')
    } finally {
      await this.#release()
    }
  }

  async #open(): Promise<StoreContents> {
    const { files, dataDirectory } = this.#options
    const lock = join(dataDirectory, 'lock')
    await files.makeDirectory(lock)
    this.#lock = await openDatabase(this.#options.openDatabase ?? openLevel, lock, dataDirectory)
    await checkFormat(files, dataDirectory)
    for (const name of ['state', 'journal', 'notes']) await files.makeDirectory(join(dataDirectory, name))
    await files.syncDirectory(dataDirectory)
    const rows = await this.state.open()
    const history = historyOf(rows)
    const bootId = await this.#options.bootId()
    const rowStop = judgeStop(history, bootId)
    const journal = await this.#openJournal(history, rowStop)
    const found = await this.notes.open(history.checkpoint)
    const isLost = found.isLost || (rowStop === 'new' && journal.segments.length > 0)
    const lastStop = isLost ? 'machine' : rowStop
    const nextSequence = continueAt(history, lastStop, journal.nextSequence)
    this.#tellMissing(history, journal)
    const lane = journal.lane ?? randomBytes(5).toString('hex')
    await this.#begin({ history, journal, lane, lastStop, nextSequence, bootId })
    const { postings, expiries } = journal
    return contentsOf(rows, found, { lastStop, lane, nextSequence, postings, expiries })
  }

  #openJournal(history: History, lastStop: LastStop): Promise<Journal> {
    const { files, log, dataDirectory } = this.#options
    return openJournal(
      { files, log, directory: join(dataDirectory, 'journal') },
      {
        lane: history.lane,
        wasClean: history.lastRun?.isClean ?? false,
        mayHaveHoles: mayHaveHoles(history, lastStop)
      }
    )
  }

  /** Writes down that this run is under way, then begins to take commits. */
  async #begin(opened: Opened): Promise<void> {
    const { history, lane, lastStop, nextSequence, bootId } = opened
    const { fsync } = this.#options
    const unsettledGeneration = lastStop === 'machine' ? this.notes.generation : -1
    this.#run = { isClean: false, bootId, fsync, nextSequence, unsettledGeneration }
    const isWeak = fsync !== 'always'
    const reservedThrough = isWeak ? nextSequence + RESERVED_SEQUENCES : history.reservedThrough
    const rows = [
      ownChange('run', this.#run),
      ownChange('lane', lane),
      ownChange('reserved', reservedThrough)
    ]
    await this.state.writeKeys(rows, { sync: true })
    const reservation = isWeak ? new Reservation(reservedThrough, through => this.#reserve(through)) : null
    await this.lane.open({ ...opened, reservation })
  }

  #reserve(through: number): Promise<void> {
    return this.state.writeKeys([ownChange('reserved', through)], { sync: true })
  }

  /** The next open is to act as after a power cut. */
  #unsettle(): void {
    if (!this.#run) return
    this.#run = { ...this.#run, unsettledGeneration: this.notes.generation }
    this.#writeRun(this.#run).catch(error => {
      this.#options.log.error({ error: errorText(error) }, 'a loss could not be written down')
    })
  }

  #writeRun(run: RunRow): Promise<void> {
    return this.state.writeKeys([ownChange('run', run)], { sync: true })
  }

  #tellMissing({ lastRun }: History, journal: Journal): void {
    if (!lastRun?.isClean || lastRun.nextSequence <= journal.nextSequence) return
    this.#options.log.error(
      { fromSequence: journal.nextSequence, toSequence: lastRun.nextSequence - 1 },
      'the end of the journal is missing'
    )
  }

  async #release(): Promise<void> {
    this.#run = null
    await this.state.close()
    const lock = this.#lock
    this.#lock = null
    await lock?.close()
  }
}

interface Opened {
  readonly history: History
  readonly journal: Journal
  readonly lane: string
  readonly lastStop: LastStop
  readonly nextSequence: number
  readonly bootId: string
}

function contentsOf(
  rows: StateRows,
  { notes }: FoundNotes,
  rest: Pick<StoreContents, 'lastStop' | 'lane' | 'nextSequence' | 'postings' | 'expiries'>
): StoreContents {
  const { own: _own, ...tables } = rows
  return { ...rest, ...tables, notes }
}
