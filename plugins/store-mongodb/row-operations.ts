import type { MetaRow, RetainedOrder, StateChange } from '../../src/plugin.ts'
import {
  type AnyBulkWriteOperation,
  type Collection,
  type Database,
  type Document,
  double,
  type Filter
} from './database.ts'
import { FIRST_EPOCH, partsOfOwner } from './identity.ts'

/** A change as it is logged: with the epoch of the session that it is about, so that it can be applied by others too. */
export type LoggedChange = (StateChange | OwnChange) & { readonly epoch?: number }

/** A row of this store itself, of one lane. */
export interface OwnChange {
  readonly table: 'own'
  readonly key: string
  readonly row: MetaRow | null
}

/** What a part of the log is the BSON of. */
export interface LoggedChanges {
  readonly changes: readonly LoggedChange[]
}

/** A write to one document that may be done again, and does nothing when the document belongs to another. */
export interface RowOperation {
  readonly target: Target
  readonly operation: AnyBulkWriteOperation<AnyDocument>
  /** The document that it makes where there is none. */
  readonly fresh?: AnyDocument
}

/** A document of one of {@link TARGETS}. */
export type AnyDocument = Document & { _id: string | number }

/** The collections with rows, in the order in which a write goes through them. */
export const TARGETS = [
  'streams',
  'sessions',
  'subscriptions',
  'cursors',
  'retained',
  'wills',
  'topics',
  'meta'
] as const satisfies readonly (keyof Database)[]

/** One of {@link TARGETS}. */
export type Target = (typeof TARGETS)[number]

/** The collection of a target, untyped: its documents come from {@link operationOf}. */
export function collectionOf(database: Database, target: Target): Collection<AnyDocument> {
  return database[target] as unknown as Collection<AnyDocument>
}

/** `_id` of a row of the core. */
export function rowKey(lane: number, key: string): string {
  return `${lane}/${key}`
}

/** `_id` of a row of this store. */
export function ownKey(lane: number, key: string): string {
  return `${lane}!${key}`
}

/** What two changes have in common of which the later one counts. */
export function changeKey(change: LoggedChange): string {
  const { table, key } = change
  return typeof key === 'object' ? `${table} ${key.sessionId}/${key.filter}` : `${table} ${key}`
}

/** The write that a change asks for. @param owner the incarnation whose change it is. */
export function operationOf(change: LoggedChange, owner: number): RowOperation {
  const { lane, incarnation } = partsOfOwner(owner)
  const epoch = change.epoch ?? FIRST_EPOCH
  const { row } = change
  switch (change.table) {
    case 'meta':
      return putOwn('meta', rowKey(lane, change.key), incarnation, change.row)
    case 'own':
      return putOwn('meta', ownKey(lane, change.key), incarnation, change.row)
    case 'topic':
      return putOwn('topics', rowKey(lane, change.key), incarnation, change.row)
    case 'will':
      return willOperation(change, owner)
    case 'cursor': {
      const filter = { _id: double(change.key), epoch: { $lte: epoch } }
      return put('cursors', filter, row && { owner, epoch, cursor: row })
    }
    case 'stream':
      return streamOperation(change)
    case 'session':
      return sessionOperation(change, owner, epoch)
    case 'subscription':
      return subscriptionOperation(change, epoch)
    case 'retained':
      return retainedOperation(change.key, change.row, change.order)
  }
}

type Change<Table extends StateChange['table']> = Extract<StateChange, { table: Table }>

/** Replaces the document, or removes it. A filter that does not match ends in a duplicate key, which counts as done. */
function put(target: Target, filter: Filter<AnyDocument> & AnyDocument, row: Document | null): RowOperation {
  if (row === null) return { target, operation: { deleteOne: { filter } } }
  const operation = { replaceOne: { filter, replacement: row as AnyDocument, upsert: true } }
  return { target, operation, fresh: { _id: filter._id, ...row } }
}

/** A row of one lane. What an earlier incarnation writes late comes too late. */
function putOwn(
  target: Target,
  _id: string,
  incarnation: number,
  row: MetaRow | Buffer | null
): RowOperation {
  return put(target, { _id, incarnation: { $lte: incarnation } }, row && { incarnation, row })
}

/** The same with fields that others have put there left as they are. The filter names fields with one value each. */
function merge(target: Target, filter: AnyDocument, set: Document, unset: Document = {}): RowOperation {
  const hasUnset = Object.keys(unset).length > 0
  const update = hasUnset ? { $set: set, $unset: unset } : { $set: set }
  return { target, operation: { updateOne: { filter, update, upsert: true } }, fresh: { ...filter, ...set } }
}

function streamOperation({ key, row }: Change<'stream'>): RowOperation {
  const _id = double(key)
  if (row === null) {
    const update = { $set: { isGone: true }, $unset: { filter: '' } }
    return { target: 'streams', operation: { updateOne: { filter: { _id }, update } } }
  }
  const update = { $set: { filter: row.filter }, $unset: { isGone: '', goneAt: '' } }
  const operation = { updateOne: { filter: { _id }, update, upsert: true } }
  return { target: 'streams', operation, fresh: { _id, filter: row.filter } }
}

/** When a session ends, its document goes on as the claim of the client id. */
function sessionOperation({ key, row }: Change<'session'>, owner: number, epoch: number): RowOperation {
  if (row === null) {
    const filter = { owner, sessionId: double(key) }
    const $unset = { createdAt: '', expirySeconds: '', disconnectedAt: '' }
    const update = { $set: { sessionId: double(0) }, $unset }
    return { target: 'sessions', operation: { updateOne: { filter, update } } }
  }
  const { clientId, expirySeconds, disconnectedAt } = row
  const fields = { sessionId: double(row.sessionId), createdAt: double(row.createdAt), expirySeconds }
  const isSaid = disconnectedAt !== undefined
  const set = isSaid ? { ...fields, disconnectedAt } : fields
  return merge('sessions', { _id: clientId, owner, epoch }, set, isSaid ? {} : { disconnectedAt: '' })
}

function willOperation({ key, row, clientId }: Change<'will'>, owner: number): RowOperation {
  const filter = { _id: double(key), owner }
  return row === null
    ? put('wills', filter, null)
    : merge('wills', filter, { row, ...(clientId === undefined ? {} : { clientId }) })
}

function subscriptionOperation({ key, row }: Change<'subscription'>, epoch: number): RowOperation {
  const filter = { _id: `${key.sessionId}/${key.filter}`, epoch: { $lte: epoch } }
  if (row === null) return put('subscriptions', filter, null)
  return put('subscriptions', filter, {
    epoch,
    ...row,
    sessionId: double(row.sessionId),
    streamId: double(row.streamId),
    fromSequence: double(row.fromSequence),
    ...(row.fromElsewhere ? { fromElsewhere: row.fromElsewhere.map(double) } : {}),
    createdAt: double(row.createdAt)
  })
}

function retainedOperation(
  topic: string,
  row: Buffer | null,
  order: RetainedOrder | undefined
): RowOperation {
  if (!order) {
    const document = row && { row, acceptedAt: double(0), sequence: double(0) }
    return put('retained', { _id: topic }, document)
  }
  const acceptedAt = double(order.acceptedAt)
  const sequence = double(order.sequence)
  // a message that has expired goes under its own order
  const isBefore = row === null ? { $lte: sequence } : { $lt: sequence }
  const isLower = [{ acceptedAt: { $lt: acceptedAt } }, { acceptedAt, sequence: isBefore }]
  // one that is cleared leaves its order for a while
  const tombstone = row === null ? { clearedAt: acceptedAt } : {}
  return put('retained', { _id: topic, $or: isLower }, { row, acceptedAt, sequence, ...tombstone })
}
