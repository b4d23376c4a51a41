import type { LastStop, StateChange, Store, StoreContents } from '../../src/store/store.ts'
import type { Message } from '../../src/wire/message.ts'

type Rows = Map<string, NonNullable<StateChange['row']>>

/** What a model store does on demand instead of its work. */
export interface Faults {
  /** Thrown by the next commits. */
  commit?: Error
  /** Thrown by the next state writes. */
  write?: Error
  /** Thrown by the next notes. */
  append?: Error
  /** Thrown by the next note: it is missing, and so is all that comes until a checkpoint. Synced notes fail until then. */
  cut?: Error
}

/** What a crash leaves besides what is certain. */
export interface CrashOptions {
  /** Writes of the state that a power cut leaves of those that were not synced; default all. */
  readonly keptWrites?: number
  /** Calls under way that get through, a commit message by message; default none. */
  readonly arrived?: number
}

/** Counts what the core asks of a store. */
export interface StoreCalls {
  commits: number
  writes: number
  changes: number
  notes: number
  reads: number
  recordBytes: number
}

interface Kept {
  readonly messages: Map<number, { message: Message; streamIds: readonly number[] }>
  readonly rows: Rows
  readonly notes: { number: number; note: Buffer }[]
  /** The last note that a power cut cannot take. */
  syncedNote: number
  nextNote: number
  firstNote: number
  nextSequence: number
  /** How to take back each write of the state that is not synced, oldest first. */
  readonly unsynced: (readonly [name: string, before: NonNullable<StateChange['row']> | undefined][])[]
  /** Numbers of notes that could not be written; those behind one are not read back. */
  readonly missing: number[]
}

/**
 * A store in memory that can be stopped like a machine: `crash` makes the store that would be found afterwards.
 * Messages and synced rows are durable when their promise resolves; of the notes and of rows that were not synced a
 * power cut takes a tail of any length.
 */
export class ModelStore implements Store {
  readonly supports = { isDurable: true }
  readonly faults: Faults = {}
  /** Turns of the event loop that a note takes besides the usual one. */
  slowNoteTurns = 0
  readonly calls: StoreCalls = { commits: 0, writes: 0, changes: 0, notes: 0, reads: 0, recordBytes: 0 }
  readonly #kept: Kept
  readonly #lastStop: LastStop
  /** What the calls under way will do, in their order. */
  readonly #underWay = new Set<() => void>()
  #isDead = false

  constructor(kept?: Kept, lastStop: LastStop = 'new') {
    this.#kept = kept ?? emptyKept()
    this.#lastStop = lastStop
  }

  /** Messages that are kept. */
  get size(): number {
    return this.#kept.messages.size
  }

  /**
   * The store as it is found after a kill of the process, or after a power cut that left so many of the notes (and
   * those that were synced). Missing notes make a kill look like a power cut.
   * This one takes nothing any more.
   */
  crash(
    lastStop: 'process' | 'machine',
    keptNotes = Number.POSITIVE_INFINITY,
    { keptWrites = Number.POSITIVE_INFINITY, arrived = 0 }: CrashOptions = {}
  ): ModelStore {
    this.#isDead = true
    for (const apply of [...this.#underWay].slice(0, arrived)) apply()
    const { messages, rows, notes, unsynced, missing, ...numbers } = this.#kept
    const hole = this.#hole ?? Number.POSITIVE_INFINITY
    const least = lastStop === 'machine' ? keptNotes : Number.POSITIVE_INFINITY
    const left = new Map(rows)
    if (lastStop === 'machine') {
      for (const undo of unsynced.slice(keptWrites).reverse()) {
        for (const [name, before] of undo.toReversed()) put(left, name, before)
      }
    }
    const kept = {
      messages: new Map(messages),
      rows: left,
      notes: notes.filter(({ number }, i) => number < hole && (i < least || number <= numbers.syncedNote)),
      unsynced: lastStop === 'machine' ? [] : [...unsynced],
      missing: [],
      ...numbers
    }
    return new ModelStore(kept, missing.length > 0 ? 'machine' : lastStop)
  }

  async open(): Promise<StoreContents> {
    const { rows, messages, notes, firstNote, nextSequence } = this.#kept
    const table = <Row>(name: string) =>
      [...rows].filter(([key]) => key.startsWith(`${name}|`)).map(([, row]) => row as Row)
    const postings = [...messages].flatMap(([sequence, { streamIds }]) =>
      streamIds.map(streamId => ({ streamId, sequences: [sequence] }))
    )
    const keyed = <Row>(name: string) =>
      [...rows]
        .filter(([key]) => key.startsWith(`${name}|`))
        .map(([key, row]) => [key.slice(name.length + 1), row as Row] as const)
    return {
      lastStop: this.#lastStop,
      lane: 'model',
      nextSequence,
      postings,
      expiries: [...messages].flatMap(([sequence, { message }]) =>
        message.expiresAt === 0 ? [] : [{ sequence, expiresAt: message.expiresAt }]
      ),
      meta: new Map(keyed('meta')),
      streams: table('stream'),
      sessions: table('session'),
      subscriptions: table('subscription'),
      cursors: new Map(keyed<Buffer>('cursor').map(([key, row]) => [Number(key), row])),
      retained: new Map(keyed<Buffer>('retained')),
      topics: new Map(keyed<Buffer>('topic')),
      wills: new Map(keyed<Buffer>('will').map(([key, row]) => [Number(key), row])),
      notes: notes.filter(({ number }) => number >= firstNote).map(({ note }) => note)
    }
  }

  readonly lane: Store['lane'] = {
    commit: async batch => {
      const parts = batch.messages.map(({ message, streamIds }) => () => {
        this.#kept.messages.set(message.sequence, { message, streamIds })
        this.#kept.nextSequence = message.sequence + 1
      })
      await this.#work('commit', ...parts)
      this.calls.commits++
      this.calls.recordBytes += batch.bytes
    },
    read: async sequence => {
      await this.#work()
      this.calls.reads++
      const kept = this.#kept.messages.get(sequence)
      return {
        from: sequence,
        to: sequence,
        messages: kept ? [kept.message] : [],
        bytes: kept?.message.length ?? 0
      }
    },
    release: async owed => {
      await this.#work()
      let freedBytes = 0
      for (const [sequence, { message, streamIds }] of this.#kept.messages) {
        if (owed.pending.includes(sequence) || streamIds.some(id => sequence > owed.above(id))) continue
        this.#kept.messages.delete(sequence)
        freedBytes += message.length
      }
      return { freedBytes, keptBytes: 0 }
    },
    sizeBytes: () => 0
  }

  readonly state: Store['state'] = {
    write: async (changes, { sync }) => {
      await this.#work('write', () => this.#apply(changes, sync))
      this.calls.writes++
    }
  }

  readonly notes: Store['notes'] = {
    append: async (note, { sync }) => {
      const kept = this.#kept
      if (this.faults.cut) kept.missing.push(kept.nextNote)
      const isBehindHole = this.#hole !== undefined
      for (let i = this.slowNoteTurns; i > 0; i--) await new Promise(resolve => setImmediate(resolve))
      await this.#work('append', () => {
        const number = kept.nextNote++
        if (sync && !isBehindHole) kept.syncedNote = number
        if (!kept.missing.includes(number)) kept.notes.push({ number, note })
      })
      this.calls.notes++
      if (sync && isBehindHole) throw this.faults.cut ?? new Error('notes are missing before this one')
    },
    checkpoint: async changes => {
      const firstNote = this.#kept.nextNote
      await this.#work()
      const rows = changes()
      await this.#work('write', () => this.#checkpoint(rows, firstNote))
    },
    sizeBytes: () => this.#kept.notes.reduce((sum, { note }) => sum + note.length, 0)
  }

  async close(): Promise<void> {
    this.#isDead = true
  }

  #checkpoint(rows: readonly StateChange[], firstNote: number): void {
    const kept = this.#kept
    this.#apply(rows, true)
    kept.firstNote = firstNote
    kept.notes.splice(0, kept.notes.findIndex(({ number }) => number >= firstNote) >>> 0)
    while (this.#hole !== undefined && this.#hole < firstNote) kept.missing.shift()
  }

  /** Whether a stop now counts as a power cut. */
  get hasMissingNotes(): boolean {
    return this.#hole !== undefined
  }

  /** The first note that is missing. */
  get #hole(): number | undefined {
    return this.#kept.missing[0]
  }

  #apply(changes: readonly StateChange[], isSynced: boolean): void {
    const { rows, unsynced } = this.#kept
    const undo: (typeof unsynced)[number] = changes.map(({ table, key, row }) => {
      this.calls.changes++
      const name = `${table}|${typeof key === 'object' ? `${key.sessionId}|${key.filter}` : key}`
      const before = rows.get(name)
      put(rows, name, row ?? undefined)
      return [name, before]
    })
    if (isSynced) unsynced.length = 0
    else unsynced.push(undo)
  }

  /** A turn of the event loop, as storage takes one; then the fault, if there is one; then what was to be done. */
  async #work(fault?: keyof Faults, ...parts: (() => void)[]): Promise<void> {
    for (const part of parts) this.#underWay.add(part)
    await new Promise(resolve => setImmediate(resolve))
    for (const part of parts) this.#underWay.delete(part)
    if (this.#isDead) throw new Error('this store has crashed')
    const error = fault && this.faults[fault]
    if (error) throw error
    for (const part of parts) part()
  }
}

function put(rows: Rows, name: string, row: NonNullable<StateChange['row']> | undefined): void {
  if (row === undefined) rows.delete(name)
  else rows.set(name, row)
}

function emptyKept(): Kept {
  return {
    messages: new Map(),
    rows: new Map(),
    notes: [],
    syncedNote: -1,
    nextNote: 0,
    firstNote: 0,
    nextSequence: 1,
    unsynced: [],
    missing: []
  }
}
