import { join } from 'node:path'
import { errorText, type Logger, type NoteStore, type StateChange } from '../../src/plugin.ts'
import { type Files, type OpenFile, readWhole, writeAll } from './files.ts'
import { encodeFrame, type NotesName, type NotesRead, parseNotesName, readFrames } from './notes-file.ts'
import type { LocalState } from './state.ts'
import { keyChange, ownChange } from './state-rows.ts'
import { storeError } from './store-error.ts'

/** The row that tells where the notes since the last checkpoint begin. */
export interface CheckpointRow {
  /** Files of lower generations are done with. */
  readonly generation: number
  /** Number of the first note since then. */
  readonly number: number
}

/** What the notes work with. */
export interface NotesOptions {
  readonly files: Files
  readonly directory: string
  readonly log: Logger
  readonly state: LocalState
  /** Whether notes are synced when that is asked for. */
  readonly isSynced: boolean
  /** Called when a note is missing and the files cannot tell so. */
  onLost(): void
}

/** What was found at open. */
export interface FoundNotes {
  readonly notes: readonly Buffer[]
  /** Whether notes are missing behind these, other than one that was being written when the process was killed. */
  readonly isLost: boolean
}

interface NotesFile {
  readonly generation: number
  path: string
  readonly file: OpenFile
  bytes: number
  /** A note that belonged into it could not be written; nothing more goes into it. */
  isCut: boolean
  /** It has what is not synced. */
  isDirty: boolean
}

/** Notes in files; a new one begins at every open and every checkpoint. */
export class LocalNotes implements NoteStore {
  readonly #options: NotesOptions
  #current: NotesFile | null = null
  /** Files of before the current one, until a checkpoint has done with them. */
  #older: NotesFile[] = []
  #generation = 0
  #nextNumber = 1
  /** Set while a new file begins: notes wait for it. */
  #switching: Promise<void> | null = null
  #appending: Promise<void> = Promise.resolve()
  /** Whether the name of the current file would outlive a power cut. */
  #isNamed = false
  #cutBy: unknown = null

  constructor(options: NotesOptions) {
    this.#options = options
  }

  /** The generation of the file that takes the notes now. */
  get generation(): number {
    return this.#generation
  }

  /** Reads the notes since the checkpoint, removes what does not belong to them, begins a new file. */
  async open(checkpoint: CheckpointRow): Promise<FoundNotes> {
    const { files, directory } = this.#options
    const names = await this.#names()
    this.#nextNumber = checkpoint.number
    this.#generation = Math.max(checkpoint.generation, names.at(-1)?.generation ?? 0)
    const notes: Buffer[] = []
    let isBroken = false
    let isLost = false
    for (const name of names) {
      if (name.generation < checkpoint.generation || isBroken) {
        await files.remove(name.path)
        continue
      }
      const tail = await this.#read(name, notes)
      // the beginning of a frame is what a kill may leave; were a note missing behind it, the next file would not go on
      isBroken = tail === 'bad'
      isLost ||= isBroken || name.isCut
    }
    await this.#begin()
    await files.syncDirectory(directory)
    return { notes, isLost }
  }

  async append(note: Buffer, { sync }: { sync: boolean }): Promise<void> {
    while (this.#switching) await this.#switching
    const target = this.#current!
    const number = this.#nextNumber++
    if (!target.isCut) {
      const written = this.#write(target, [encodeFrame(number, note), note], sync)
      this.#appending = written.catch(error => this.#cut(target, error))
      await this.#appending
    }
    if (sync && this.#isMissing)
      throw storeError('notes are not kept before the next checkpoint', this.#cutBy)
  }

  /** Whether there is a note missing since the checkpoint: those behind it would not be read back. */
  get #isMissing(): boolean {
    return this.#current?.isCut === true || this.#older.some(({ isCut }) => isCut)
  }

  async #write(target: NotesFile, parts: readonly Buffer[], sync: boolean): Promise<void> {
    target.isDirty = true
    await writeAll(target.file, parts, target.bytes)
    if (sync && this.#options.isSynced) await this.#sync()
    for (const part of parts) target.bytes += part.length
  }

  /** Notes are read back up to the first that is missing: a synced one needs all before it. */
  async #sync(): Promise<void> {
    if (!this.#isNamed) await this.#options.files.syncDirectory(this.#options.directory)
    this.#isNamed = true
    const files = this.#current ? [...this.#older, this.#current] : this.#older
    for (const each of files.filter(({ isDirty }) => isDirty)) {
      await each.file.sync()
      each.isDirty = false
    }
  }

  async checkpoint(changes: () => readonly StateChange[]): Promise<void> {
    const row = await this.#switch() // holds notes back from this call on
    const keys = [...changes().map(keyChange), ownChange('checkpoint', row)]
    await this.#options.state.writeKeys(keys, { sync: true })
    await this.#appending // it may be into a file that goes now
    const done = this.#older.filter(({ generation }) => generation < row.generation)
    this.#older = this.#older.filter(({ generation }) => generation >= row.generation)
    for (const each of done) await this.#remove(each)
  }

  sizeBytes(): number {
    let bytes = this.#current?.bytes ?? 0
    for (const older of this.#older) bytes += older.bytes
    return bytes
  }

  /** Syncs and closes all files. */
  async close(): Promise<void> {
    await this.#appending
    const all = this.#current ? [...this.#older, this.#current] : this.#older
    this.#older = []
    this.#current = null
    try {
      for (const { file } of all) await file.sync()
    } finally {
      for (const { file } of all) await file.close()
    }
  }

  async #names() {
    const { files, directory } = this.#options
    const names = (await files.list(directory)).flatMap(name => {
      const parsed = parseNotesName(name)
      return parsed ? [{ path: join(directory, name), ...parsed }] : []
    })
    return names.sort((a, b) => a.generation - b.generation)
  }

  /** Takes the good frames of a file, and cuts off what follows them. */
  async #read(name: NotesName & { path: string }, notes: Buffer[]): Promise<NotesRead['tail']> {
    const { files } = this.#options
    const found = readFrames(await readWhole(files, name.path), this.#nextNumber)
    const file = await files.open(name.path, 'write')
    // what comes now goes on where this ends: nothing is missing between
    this.#older.push({ ...name, file, bytes: found.end, isCut: false, isDirty: true })
    if (found.tail !== 'none') await file.truncate(found.end)
    for (const note of found.notes) notes.push(note)
    this.#nextNumber += found.notes.length
    return found.tail
  }

  /** Begins a new file for all notes from this call on. */
  #switch(): Promise<CheckpointRow> {
    const row = (this.#switching ?? Promise.resolve()).then(() => this.#begin())
    const settled: Promise<void> = row.then(
      () => {},
      () => {}
    )
    const switching = settled.then(() => {
      if (this.#switching === switching) this.#switching = null
    })
    this.#switching = switching
    return row
  }

  async #begin(): Promise<CheckpointRow> {
    const { files, directory } = this.#options
    const generation = this.#generation + 1
    const path = join(directory, `${generation}.log`)
    let file: OpenFile
    try {
      file = await files.open(path, 'create')
    } catch (error) {
      throw storeError('a file of notes could not be made', error)
    }
    if (this.#current) this.#older.push(this.#current)
    this.#generation = generation
    this.#current = { generation, path, file, bytes: 0, isCut: false, isDirty: false }
    this.#isNamed = false
    return { generation, number: this.#nextNumber }
  }

  /** From here on notes are missing; the name of the file tells the next open so, which needs no space. */
  async #cut(target: NotesFile, error: unknown): Promise<void> {
    const { files, log, onLost } = this.#options
    target.isCut = true
    this.#cutBy = error
    log.error(
      { file: target.path, error: errorText(error) },
      'a note could not be written: until the next checkpoint, a restart will act as after a power cut'
    )
    const path = target.path.replace(/log$/, 'cut')
    try {
      await files.rename(target.path, path)
      target.path = path
    } catch {
      onLost()
    }
  }

  async #remove({ path, file }: NotesFile): Promise<void> {
    try {
      await file.close()
      await this.#options.files.remove(path)
    } catch (error) {
      this.#options.log.warn({ file: path, error: errorText(error) }, 'old notes could not be removed')
    }
  }
}
