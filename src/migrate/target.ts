import { laneOf } from '../lane.ts'
import {
  FILLING_KEY,
  type MetaRow,
  type StateChange,
  type Store,
  type StoreContents
} from '../store/store.ts'
import { refusal } from './place.ts'
import { highest, rowBytes, rowKey, rowsOf, rowText } from './rows.ts'

const SLICE_ROWS = 500
const SLICE_BYTES = 4 * 1024 * 1024
/** Client ids claimed at a time. */
const CLAIMS = 32

/** The row that says that a target is not complete: what is put into it, and from where. */
export interface Mark extends MetaRow {
  readonly from: string
  /** Of the source as it was when it began. */
  readonly fingerprint: string
}

/** What was begun in a target; null when nothing was. */
export function markOf({ meta }: StoreContents): Mark | null {
  return (meta.get(FILLING_KEY) as Mark | undefined) ?? null
}

/** The change that writes the mark; null takes it out. */
export function markChange(mark: Mark | null): StateChange {
  return { table: 'meta', key: FILLING_KEY, row: mark }
}

/**
 * A target is empty, or what was begun there came from the same source, which has not changed since.
 * @throws QueueError QUEUE_REQUEST_INVALID
 */
export function assertTarget(contents: StoreContents, name: string, mark: Mark): void {
  const { laneIndex = 0, lanes = [] } = contents
  if (laneIndex !== 0) {
    const others = lanes.filter(({ lane }) => lane !== laneIndex).map(row => row.name)
    throw refusal(
      `${name} was used before by ${others.join(', ')}: name an empty database, or the broker that used it first with --broker-name`
    )
  }
  const begun = markOf(contents)
  if (!begun) {
    if (isEmpty(contents)) return
    throw refusal(`${name} holds messages or sessions already: name a place with nothing in it`)
  }
  if (begun.from !== mark.from) {
    throw refusal(`${name} holds a part of ${begun.from}: go on with that one, or name an empty place`)
  }
  if (begun.fingerprint === mark.fingerprint) return
  throw refusal(
    `${mark.from} has changed since a part of it was put into ${name}: empty ${name} and begin anew`
  )
}

function isEmpty({ notes, nextSequence, ...contents }: StoreContents): boolean {
  const { sessions, subscriptions, streams, cursors, retained, wills, topics } = contents
  const tables = [sessions, subscriptions, streams, notes]
  const maps = [cursors, retained, wills, topics]
  const isWithoutRows = tables.every(({ length }) => length === 0) && maps.every(({ size }) => size === 0)
  return isWithoutRows && laneOf(nextSequence) === 0 && nextSequence === 1
}

/** Writes rows into a target; those that are there already are left alone. */
export class RowWriter {
  readonly #store: Store
  readonly #there: ReadonlyMap<string, string>

  /** @param contents of the target, as they were at open. */
  constructor(store: Store, contents: StoreContents) {
    this.#store = store
    this.#there = new Map(rowsOf(contents).map(row => [rowKey(row), rowText(row)]))
  }

  /** Rows that are not there, in their order. */
  missing(rows: readonly StateChange[]): StateChange[] {
    return rows.filter(row => this.#there.get(rowKey(row)) !== rowText(row))
  }

  /** @param step is told how many rows are written. @throws QueueError of the store */
  async write(rows: readonly StateChange[], step: (rows: number) => void): Promise<void> {
    await this.#claim(rows)
    let written = 0
    for (const slice of slices(rows)) {
      await this.#store.state.write(slice, { sync: true })
      written += slice.length
      step(written)
    }
  }

  /** In a store that several servers share, a session belongs to one of them, and ids come from a common counter. */
  async #claim(rows: readonly StateChange[]): Promise<void> {
    const { cluster } = this.#store
    if (!cluster) return
    const sessions = rows.flatMap(change => (change.table === 'session' && change.row ? [change.row] : []))
    for (let i = 0; i < sessions.length; i += CLAIMS) {
      await Promise.all(sessions.slice(i, i + CLAIMS).map(({ clientId }) => cluster.claim(clientId)))
    }
    const ids = (table: StateChange['table']) =>
      highest(rows.flatMap(({ table: own, key }) => (own === table && typeof key === 'number' ? [key] : [])))
    for (const kind of ['session', 'will'] as const) await reserveThrough(cluster, kind, ids(kind))
  }
}

/** No id up to this one is given out again. */
async function reserveThrough(
  cluster: NonNullable<Store['cluster']>,
  kind: 'session' | 'will',
  through: number
): Promise<void> {
  if (through === 0) return
  const next = await cluster.reserveIds(kind, 1)
  if (next < through) await cluster.reserveIds(kind, through - next)
}

function* slices(rows: readonly StateChange[]): Generator<StateChange[]> {
  let slice: StateChange[] = []
  let bytes = 0
  for (const row of rows) {
    slice.push(row)
    bytes += rowBytes(row)
    if (slice.length < SLICE_ROWS && bytes < SLICE_BYTES) continue
    yield slice
    slice = []
    bytes = 0
  }
  if (slice.length > 0) yield slice
}
