import { inLane, type NoteStore, type StateChange } from '../../src/plugin.ts'
import { type Collection, type Database, double } from './database.ts'
import type { MetaDocument, NoteDocument } from './documents.ts'
import { type Identity, laneRange } from './identity.ts'
import { LogWriter } from './log-writer.ts'
import type { Patience } from './patience.ts'
import { ownKey } from './row-operations.ts'
import type { MongoState } from './state.ts'

/** Key of the row that says up to which number the notes of a lane are done with. */
const DONE_KEY = 'notes'

/** What the notes work with. */
export interface MongoNotesOptions {
  readonly database: Database
  readonly identity: Identity
  readonly patience: Patience
  /** Called before an insert, see `ClusterPart`. */
  readonly renew: () => Promise<void>
  readonly state: MongoState
}

/** Notes of a lane that a checkpoint has not ended. */
export interface LaneNotes {
  readonly notes: readonly Buffer[]
  /** The last number that was used, also by a note that is gone. */
  readonly head: number
}

interface NoteSize {
  readonly number: number
  readonly bytes: number
}

/** Notes, each a document with the next number. */
export class MongoNotes implements NoteStore {
  readonly #options: MongoNotesOptions
  readonly #writer: LogWriter<NoteDocument>
  #head = 0
  /** Sizes of the notes since the last checkpoint. */
  #sizes: NoteSize[] = []
  #bytes = 0

  constructor(options: MongoNotesOptions) {
    this.#options = options
    this.#writer = new LogWriter({ ...options, collection: options.database.notes })
  }

  /** The last number that was used. */
  get head(): number {
    return this.#head
  }

  /** Reads the notes since the checkpoint. @param head the last number that was used, as the broker document says. */
  async open(head: number): Promise<readonly Buffer[]> {
    const { database, identity, patience } = this.#options
    const found = await patience.until(() => readNotes(database, identity.lane, identity.notesAfter), {
      isRead: true
    })
    this.#head = Math.max(found.head, head)
    this.#keep(found.notes.map(note => ({ number: this.#head, bytes: note.length })))
    return found.notes
  }

  async append(note: Buffer, _options: { sync: boolean }): Promise<void> {
    const number = this.#head + 1
    this.#head = number // at once: a checkpoint from now on ends it
    const size = { number, bytes: note.length }
    this.#sizes.push(size)
    this.#bytes += size.bytes
    try {
      await this.#writer.insert([{ _id: double(number), note: Buffer.from(note) }])
    } catch (error) {
      this.#keep(this.#sizes.filter(each => each !== size))
      if (this.#head === number) this.#head = number - 1
      throw error
    }
  }

  async checkpoint(changes: () => readonly StateChange[]): Promise<void> {
    const { database, identity, patience, state } = this.#options
    const through = this.#head
    const done = { table: 'own', key: DONE_KEY, row: { through: inLane(through) } } as const
    await state.writeLogged([...changes(), done])
    this.#keep(this.#sizes.filter(({ number }) => number > through))
    const after = Math.max(identity.range.after, identity.notesAfter)
    const filter = { _id: { $gt: double(after), $lte: double(through) }, seal: { $exists: false } }
    await patience.until(() => database.notes.deleteMany(filter))
  }

  sizeBytes(): number {
    return this.#bytes
  }

  #keep(sizes: NoteSize[]): void {
    this.#sizes = sizes
    this.#bytes = sizes.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}

/** The notes of a lane behind a number that no checkpoint has ended, oldest first. One attempt. */
export async function readNotes(
  { notes, meta }: { notes: Collection<NoteDocument>; meta: Collection<MetaDocument> },
  lane: number,
  notesAfter: number
): Promise<LaneNotes> {
  const { after, before } = laneRange(lane)
  const done = await meta.findOne({ _id: ownKey(lane, DONE_KEY) })
  const through = Math.max(after + Number(done?.row?.through ?? 0), notesAfter)
  const filter = { _id: { $gt: double(through), $lt: double(before) } }
  const found = await notes.find(filter).sort({ _id: 1 }).toArray()
  return {
    notes: found.flatMap(({ note }) => (note ? [Buffer.from(note)] : [])),
    head: found.at(-1)?._id ?? through
  }
}
