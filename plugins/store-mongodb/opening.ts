import {
  FILLING_KEY,
  laneOf,
  type MessageExpiry,
  type Posting,
  QueueError,
  type RetainedOrder,
  type SessionRow,
  type StreamRow,
  type SubscriptionRow
} from '../../src/plugin.ts'
import { type Database, double, isDuplicate } from './database.ts'
import {
  COLLECTIONS,
  type CursorDocument,
  FORMAT_VERSION,
  type MessageDocument,
  type MetaDocument,
  type RetainedDocument,
  type SessionDocument,
  type SubscriptionDocument
} from './documents.ts'
import type { Identity } from './identity.ts'
import { LaneIndex } from './lane-index.ts'
import { rowKey } from './row-operations.ts'

/** What is on its way from a dead broker to another is handed over by that one: see `cluster/adoption.ts`. */
const SETTLED = { estate: { $exists: false } }

/** What is moved here from another store goes into it, and the mark that it is not complete concerns all. */
const FIRST_LANE = 0

/** Sessions whose rows are asked for at once. */
const SESSIONS_AT_ONCE = 1_000

/** What is kept of all lanes. */
export interface FoundMessages {
  readonly postings: Iterable<Posting>
  readonly expiries: readonly MessageExpiry[]
  /** The highest number of each lane, seals included. */
  readonly heads: ReadonlyMap<number, number>
  /** Of the own lane. */
  readonly index: LaneIndex
}

/** Checks the format of the database, or writes it down. @throws QueueError QUEUE_DATA_VERSION */
export async function checkFormat({ meta }: Database): Promise<void> {
  const found = (await markFormat(meta))?.row?.version
  if (found === FORMAT_VERSION) return
  const detail = { file: COLLECTIONS.meta, found, expected: FORMAT_VERSION }
  throw new QueueError('QUEUE_DATA_VERSION', { detail })
}

/** Marks an empty database. @returns the mark that counts. */
async function markFormat(meta: Database['meta']): Promise<MetaDocument | null> {
  const mark = { $setOnInsert: { row: { version: FORMAT_VERSION } } }
  for (;;) {
    try {
      return await meta.findOneAndUpdate({ _id: 'format' }, mark, { upsert: true, returnDocument: 'after' })
    } catch (error) {
      if (!isDuplicate(error)) throw error // another has marked it at this moment: it is there now
    }
  }
}

/** Reads where all kept messages stand, without the messages themselves. One attempt. */
export async function readMessages({ messages }: Database, ownLane: number): Promise<FoundMessages> {
  const projection = { _id: 1, streams: 1, expiresAt: 1, bytes: 1 }
  const streams = new Map<number, number[]>()
  const expiries: MessageExpiry[] = []
  const heads = new Map<number, number>()
  const index = new LaneIndex()
  for await (const document of messages.find({}, { projection, batchSize: 10_000 }).sort({ _id: 1 })) {
    const { _id: sequence, streams: streamIds, expiresAt, bytes = 0 }: MessageDocument = document
    const lane = laneOf(sequence)
    heads.set(lane, sequence)
    if (!streamIds) continue
    for (const id of streamIds) {
      const sequences = streams.get(id)
      if (sequences) sequences.push(sequence)
      else streams.set(id, [sequence])
    }
    if (expiresAt !== undefined) expiries.push({ sequence, expiresAt })
    if (lane === ownLane) index.add(sequence, streamIds, bytes)
  }
  const postings = [...streams].map(([streamId, sequences]) => ({ streamId, sequences }))
  return { postings, expiries, heads, index }
}

/** Streams that are in use. One attempt. */
export async function readStreams({ streams }: Database): Promise<StreamRow[]> {
  const found = await streams.find({ filter: { $exists: true } }).toArray()
  return found.map(({ _id, filter = '' }) => ({ streamId: _id, filter }))
}

/** What one broker keeps in rows of its own, and what all have together. One attempt. */
export async function readRows(database: Database, { lane, owner }: Identity) {
  const own = { _id: { $gte: rowKey(lane, ''), $lt: `${lane}0` } } // '0' follows '/'
  const start = rowKey(lane, '').length
  const meta = await database.meta.find(own).toArray()
  const filling = await database.meta.findOne({ _id: rowKey(FIRST_LANE, FILLING_KEY) })
  const topics = await database.topics.find(own).toArray()
  const retained = await database.retained.find({}).toArray()
  const wills = await database.wills.find({ owner, ...SETTLED }).toArray()
  return {
    meta: new Map([
      ...(filling?.row ? [[FILLING_KEY, filling.row] as const] : []),
      ...meta.map(({ _id, row }) => [_id.slice(start), row ?? {}] as const)
    ]),
    topics: new Map(topics.map(({ _id, row }) => [_id.slice(start), Buffer.from(row)])),
    retained: new Map(retained.flatMap(({ _id, row }) => (row ? [[_id, Buffer.from(row)]] : []))),
    cleared: new Map(retained.flatMap(({ row, ...tombstone }) => (row ? [] : [clearing(tombstone)]))),
    wills: new Map(wills.map(({ _id, row }) => [_id, Buffer.from(row)]))
  }
}

/** Of a topic that was cleared. */
function clearing({ _id, acceptedAt, sequence }: Omit<RetainedDocument, 'row'>): [string, RetainedOrder] {
  return [_id, { acceptedAt, sequence }]
}

/** The sessions that a broker owns, with all that belongs to them. One attempt. */
export async function readSessions(database: Database, owner: number) {
  const documents = await database.sessions
    .find({ owner, sessionId: { $ne: double(0) }, ...SETTLED })
    .toArray()
  const cursors: CursorDocument[] = []
  const subscriptions: SubscriptionRow[] = []
  for (let at = 0; at < documents.length; at += SESSIONS_AT_ONCE) {
    const ids = documents.slice(at, at + SESSIONS_AT_ONCE).map(({ sessionId }) => double(sessionId))
    cursors.push(...(await database.cursors.find({ _id: { $in: ids } }).toArray()))
    for await (const document of database.subscriptions.find({ sessionId: { $in: ids } }))
      subscriptions.push(subscriptionRow(document))
  }
  return {
    documents,
    sessions: documents.map(sessionRow),
    subscriptions,
    cursors: new Map(cursors.map(({ _id, cursor }) => [_id, Buffer.from(cursor)]))
  }
}

/** The row of a document. */
export function sessionRow(document: SessionDocument): SessionRow {
  const { _id, sessionId, createdAt = 0, expirySeconds = null, disconnectedAt } = document
  const rest = disconnectedAt === undefined ? {} : { disconnectedAt }
  return { sessionId, clientId: _id, createdAt, expirySeconds, ...rest }
}

/** The row of a document. */
export function subscriptionRow({ _id, epoch, ...row }: SubscriptionDocument): SubscriptionRow {
  return row
}
