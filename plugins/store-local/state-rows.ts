import type { MetaRow, SessionRow, StateChange, StreamRow, SubscriptionRow } from '../../src/plugin.ts'

/**
 * Keys and values of the state database. Ids are 8 hexadecimal digits, so that keys sort as ids do; values are
 * JSON; cursors, retained messages, wills and topics are raw bytes.
 *
 * ```
 * m!<key>                  meta row of the core         su!<session id>!<filter>  subscription
 * st!<stream id>           stream                       cu!<session id>           cursor
 * se!<session id>          session                      re!<topic>                retained message
 * wi!<will id>             will                         to!<topic>                what was accepted on it
 * own!<key>                row of this store
 * ```
 *
 * Rule for changing it: rows are JSON and may get more fields; another form of a key needs a new FORMAT_VERSION.
 */
export interface StateRows {
  readonly meta: Map<string, MetaRow>
  readonly own: Map<string, unknown>
  readonly streams: StreamRow[]
  readonly sessions: SessionRow[]
  readonly subscriptions: SubscriptionRow[]
  readonly cursors: Map<number, Buffer>
  readonly retained: Map<string, Buffer>
  readonly wills: Map<number, Buffer>
  readonly topics: Map<string, Buffer>
}

/** One write to the database; without a value the key is deleted. */
export interface KeyChange {
  readonly key: string
  readonly value: Buffer | null
}

/** No rows. */
export function emptyRows(): StateRows {
  return {
    meta: new Map(),
    own: new Map(),
    streams: [],
    sessions: [],
    subscriptions: [],
    cursors: new Map(),
    retained: new Map(),
    wills: new Map(),
    topics: new Map()
  }
}

/** Takes in one entry of the database. @throws SyntaxError when its value is no JSON */
export function addRow(rows: StateRows, key: string, value: Buffer): void {
  const end = key.indexOf('!')
  const id = key.slice(end + 1)
  const table = key.slice(0, end)
  if (table === 'cu') rows.cursors.set(Number.parseInt(id, 16), Buffer.from(value))
  else if (table === 're') rows.retained.set(id, Buffer.from(value))
  else if (table === 'wi') rows.wills.set(Number.parseInt(id, 16), Buffer.from(value))
  else if (table === 'to') rows.topics.set(id, Buffer.from(value))
  else if (table === 'm') rows.meta.set(id, JSON.parse(value.toString()))
  else if (table === 'st') rows.streams.push(JSON.parse(value.toString()))
  else if (table === 'se') rows.sessions.push(JSON.parse(value.toString()))
  else if (table === 'su') rows.subscriptions.push(JSON.parse(value.toString()))
  else if (table === 'own') rows.own.set(id, JSON.parse(value.toString()))
}

/** The write that makes a change. */
export function keyChange(change: StateChange): KeyChange {
  const value = rowBytes(change)
  switch (change.table) {
    case 'meta':
      return { key: `m!${change.key}`, value }
    case 'stream':
      return { key: `st!${idKey(change.key)}`, value }
    case 'session':
      return { key: `se!${idKey(change.key)}`, value }
    case 'cursor':
      return { key: `cu!${idKey(change.key)}`, value }
    case 'retained':
      return { key: `re!${change.key}`, value }
    case 'will':
      return { key: `wi!${idKey(change.key)}`, value }
    case 'topic':
      return { key: `to!${change.key}`, value }
    case 'subscription':
      return { key: `su!${idKey(change.key.sessionId)}!${change.key.filter}`, value }
  }
}

/** The write of a row of this store. */
export function ownChange(key: string, row: unknown): KeyChange {
  return { key: `own!${key}`, value: json(row) }
}

function rowBytes(change: StateChange): Buffer | null {
  if (change.row === null) return null
  // copied: the core may go on with its own bytes before they are written
  return Buffer.isBuffer(change.row) ? Buffer.from(change.row) : json(change.row)
}

function json(row: unknown): Buffer {
  return Buffer.from(JSON.stringify(row))
}

function idKey(id: number): string {
  return id.toString(16).padStart(8, '0')
}
