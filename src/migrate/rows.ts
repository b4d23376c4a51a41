import { decodeWill } from '../delivery/will-row.ts'
import { readRecord } from '../journal/record.ts'
import { FILLING_KEY, type MetaRow, type StateChange, type StoreContents } from '../store/store.ts'

/** The rows of a store as changes that put them into another one: streams first, what a session has behind it. */
export function rowsOf(contents: StoreContents): StateChange[] {
  const { streams, meta, retained, wills, topics } = contents
  return [
    ...streams.map(row => ({ table: 'stream', key: row.streamId, row }) as const),
    ...[...metaOf(meta, contents)].map(([key, row]) => ({ table: 'meta', key, row }) as const),
    ...sessionRows(contents),
    ...[...retained].map(([key, row]) => retainedRow(key, row)),
    ...[...wills].map(
      ([key, row]) => ({ table: 'will', key, row, clientId: decodeWill(row).clientId }) as const
    ),
    ...[...topics].map(([key, row]) => ({ table: 'topic', key, row }) as const)
  ]
}

/** What tells a row from all others. */
export function rowKey({ table, key }: StateChange): string {
  return `${table}!${typeof key === 'object' ? `${key.sessionId}!${key.filter}` : key}`
}

/** What a row says, in a form that is equal for equal rows. */
export function rowText({ row }: StateChange): string {
  if (row === null) return ''
  if (Buffer.isBuffer(row)) return row.toString('base64')
  const fields = Object.entries(row).filter(([, value]) => value !== undefined)
  return JSON.stringify(Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1))))
}

/** Bytes of a row, about. */
export function rowBytes({ row }: StateChange): number {
  return Buffer.isBuffer(row) ? row.length : 200
}

/**
 * The numbers that no new session, and no new will, may get: a store that several servers share has counters of its own
 * for them, one that is alone has rows.
 */
function metaOf(meta: StoreContents['meta'], { sessions, wills }: StoreContents): Map<string, MetaRow> {
  const rows = new Map([...meta].filter(([key]) => key !== FILLING_KEY))
  raise(rows, 'sessions', highest(sessions.map(({ sessionId }) => sessionId)))
  raise(rows, 'wills', highest(wills.keys()))
  return rows
}

function raise(rows: Map<string, MetaRow>, key: string, used: number): void {
  const next = Number(rows.get(key)?.next ?? 1)
  if (used >= next) rows.set(key, { next: used + 1 })
}

/** The highest of some ids; 0 when there is none. */
export function highest(ids: Iterable<number>): number {
  let most = 0
  for (const id of ids) most = Math.max(most, id)
  return most
}

function* sessionRows({ sessions, cursors, subscriptions }: StoreContents): Generator<StateChange> {
  for (const row of sessions) yield { table: 'session', key: row.sessionId, row }
  const isThere = new Set(sessions.map(({ sessionId }) => sessionId))
  // what a stop between two writes has left behind of a session stays behind
  for (const [key, row] of cursors) if (isThere.has(key)) yield { table: 'cursor', key, row }
  for (const row of subscriptions) {
    const { sessionId, filter } = row
    if (isThere.has(sessionId)) yield { table: 'subscription', key: { sessionId, filter }, row }
  }
}

function retainedRow(key: string, row: Buffer): StateChange {
  const { acceptedAt, sequence } = readRecord(row, 0).message
  return { table: 'retained', key, row, order: { acceptedAt, sequence } }
}
