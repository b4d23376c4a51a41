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
}

/**
 * A store in memory that can be stopped like a machine: `crash` makes the store that would be found afterwards. Rows
 * and messages are durable when their promise resolves; of the notes a power cut takes a tail of any length.
 */
export class ModelStore implements Store {
  readonly supports = { isDurable: true }
  readonly faults: Faults = {}
  readonly calls: StoreCalls = { commits: 0, writes: 0, changes: 0, notes: 0, reads: 0, recordBytes: 0 }
  readonly #kept: Kept
  readonly #lastStop: LastStop
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
   * those that were synced).
   * This one takes nothing any more.
   */
  crash(lastStop: 'process' | 'machine', keptNotes = Number.POSITIVE_INFINITY): ModelStore {
    this.#isDead = true
    const { messages, rows, notes, ...numbers } = this.#kept
    const left = {
      messages: new Map(messages),
      rows: new Map(rows),
      notes: notes.filter(({ number }, i) => i < keptNotes || number <= numbers.syncedNote),
      ...numbers
    }
    return new ModelStore(left, lastStop)
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
      meta: new Map(keyed('meta')),
      streams: table('stream'),
      sessions: table('session'),
      subscriptions: table('subscription'),
      cursors: new Map(keyed<Buffer>('cursor').map(([key, row]) => [Number(key), row])),
      retained: new Map(keyed<Buffer>('retained')),
      wills: new Map(keyed<Buffer>('will').map(([key, row]) => [Number(key), row])),
      notes: notes.filter(({ number }) => number >= firstNote).map(({ note }) => note)
    }
  }

  readonly lane: Store['lane'] = {
    commit: async batch => {
      await this.#work('commit')
      this.calls.commits++
      this.calls.recordBytes += batch.bytes
      for (const { message, streamIds } of batch.messages) {
        this.#kept.messages.set(message.sequence, { message, streamIds })
        this.#kept.nextSequence = message.sequence + 1
      }
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
    write: async changes => {
      await this.#work('write')
      this.calls.writes++
      this.#apply(changes)
    }
  }

  readonly notes: Store['notes'] = {
    append: async (note, { sync }) => {
      await this.#work('append')
      this.calls.notes++
      if (sync) this.#kept.syncedNote = this.#kept.nextNote
      this.#kept.notes.push({ number: this.#kept.nextNote++, note })
    },
    checkpoint: async changes => {
      const firstNote = this.#kept.nextNote
      await this.#work('write')
      this.#apply(changes())
      this.#kept.firstNote = firstNote
      this.#kept.notes.splice(0, this.#kept.notes.findIndex(({ number }) => number >= firstNote) >>> 0)
    },
    sizeBytes: () => this.#kept.notes.reduce((sum, { note }) => sum + note.length, 0)
  }

  async close(): Promise<void> {
    this.#isDead = true
  }

  #apply(changes: readonly StateChange[]): void {
    for (const { table, key, row } of changes) {
      this.calls.changes++
      const name = `${table}|${typeof key === 'object' ? `${key.sessionId}|${key.filter}` : key}`
      if (row === null) this.#kept.rows.delete(name)
      else this.#kept.rows.set(name, row)
    }
  }

  /** A turn of the event loop, as storage takes one; then the fault, if there is one. */
  async #work(fault?: keyof Faults): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
    if (this.#isDead) throw new Error('this store has crashed')
    const error = fault && this.faults[fault]
    if (error) throw error
  }
}

function emptyKept(): Kept {
  return {
    messages: new Map(),
    rows: new Map(),
    notes: [],
    syncedNote: -1,
    nextNote: 0,
    firstNote: 0,
    nextSequence: 1
  }
}
