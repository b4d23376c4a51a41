import type {
  LastStop,
  MetaRow,
  NoteStore,
  SessionRow,
  StateChange,
  StateStore,
  Store,
  StoreContents,
  StreamRow,
  SubscriptionRow
} from '../../src/plugin.ts'
import { MemoryLane } from './memory-lane.ts'

const LANE = 'memory'

/**
 * The store contract in memory: the reference that other stores are compared with. The object may be opened again
 * after close(), or without it as after a kill, and has then what it had.
 */
export class MemoryStore implements Store {
  readonly supports = { isDurable: false }
  readonly lane = new MemoryLane()
  readonly state = new MemoryState()
  readonly notes = new MemoryNotes(this.state)
  #lastStop: LastStop = 'new'

  async open(): Promise<StoreContents> {
    const lastStop = this.#lastStop
    this.#lastStop = 'process'
    return {
      lastStop,
      lane: LANE,
      nextSequence: this.lane.nextSequence,
      postings: this.lane.postings(),
      expiries: this.lane.expiries(),
      notes: this.notes.all(),
      ...this.state.rows()
    }
  }

  async close(): Promise<void> {
    this.#lastStop = 'clean'
  }
}

/** Rows in maps. */
class MemoryState implements StateStore {
  readonly #meta = new Map<string, MetaRow>()
  readonly #streams = new Map<number, StreamRow>()
  readonly #sessions = new Map<number, SessionRow>()
  readonly #subscriptions = new Map<string, SubscriptionRow>()
  readonly #cursors = new Map<number, Buffer>()
  readonly #retained = new Map<string, Buffer>()
  readonly #wills = new Map<number, Buffer>()
  readonly #topics = new Map<string, Buffer>()

  async write(changes: readonly StateChange[], _options: { sync: boolean }): Promise<void> {
    for (const change of changes) this.#apply(change)
  }

  rows() {
    return {
      meta: new Map(this.#meta),
      streams: [...this.#streams.values()],
      sessions: [...this.#sessions.values()],
      subscriptions: [...this.#subscriptions.values()],
      cursors: new Map(this.#cursors),
      retained: new Map(this.#retained),
      wills: new Map(this.#wills),
      topics: new Map(this.#topics)
    }
  }

  #apply(change: StateChange): void {
    if (change.table === 'meta') put(this.#meta, change.key, change.row)
    else if (change.table === 'stream') put(this.#streams, change.key, change.row)
    else if (change.table === 'session') put(this.#sessions, change.key, change.row)
    else if (change.table === 'cursor') put(this.#cursors, change.key, change.row && Buffer.from(change.row))
    else if (change.table === 'retained')
      put(this.#retained, change.key, change.row && Buffer.from(change.row))
    else if (change.table === 'topic') put(this.#topics, change.key, change.row && Buffer.from(change.row))
    else if (change.table === 'will') put(this.#wills, change.key, change.row && Buffer.from(change.row))
    else put(this.#subscriptions, `${change.key.sessionId}!${change.key.filter}`, change.row)
  }
}

/** Notes in a list. */
class MemoryNotes implements NoteStore {
  readonly #state: MemoryState
  #notes: Buffer[] = []

  constructor(state: MemoryState) {
    this.#state = state
  }

  async append(note: Buffer): Promise<void> {
    this.#notes.push(Buffer.from(note))
  }

  async checkpoint(changes: () => readonly StateChange[]): Promise<void> {
    const done = this.#notes.length
    await this.#state.write(changes(), { sync: true })
    this.#notes = this.#notes.slice(done)
  }

  all(): readonly Buffer[] {
    return [...this.#notes]
  }

  sizeBytes(): number {
    return this.#notes.reduce((bytes, note) => bytes + note.length, 0)
  }
}

function put<Key, Row>(rows: Map<Key, Row>, key: Key, row: Row | null): void {
  if (row === null) rows.delete(key)
  else rows.set(key, row)
}
