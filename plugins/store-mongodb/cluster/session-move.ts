import { double } from '../database.ts'
import { COLLECTIONS, type CursorDocument, type SessionDocument, type WillDocument } from '../documents.ts'
import type { BrokerRecord } from './broker-record.ts'
import type { Ground } from './ground.ts'
import { incarnationOfOwner, laneOfOwner, ownerOf } from './owner.ts'
import type { StatementDocument } from './statement.ts'

/** Documents that one write or read is about at most. */
const SLICE = 1_000

/** What is not on its way from a dead owner. */
export const UNMARKED = { estate: { $exists: false } }

/** A session as the cluster keeps it. */
export interface OwnedSession extends SessionDocument {
  /** The dead owner that it was taken from, as long as it is not in the memory and in the cursors of the new one. */
  readonly estate?: number
  /** The statement (see `statement.ts`) that says what it is owed, until that of its new owner does. */
  readonly owedIn?: string
}

/** A will as the cluster keeps it. */
export interface OwnedWill extends WillDocument {
  readonly estate?: number
}

/** The sessions, with the fields of the cluster. */
export function sessionsOf({ database }: Pick<Ground, 'database'>) {
  return database.collection<OwnedSession>(COLLECTIONS.sessions)
}

/** The wills, with the fields of the cluster. */
export function willsOf({ database }: Pick<Ground, 'database'>) {
  return database.collection<OwnedWill>(COLLECTIONS.wills)
}

/** Whom sessions go from, and to. */
export interface Move {
  readonly from: number
  readonly to: number
  /** Put on all that is moved; left out: nothing is. */
  readonly estate?: number
}

/**
 * Gives all sessions and wills of an owner that writes nothing more to another one. Each moves on its own, and with a new
 * epoch; what was moved already, by an earlier attempt or by somebody else, stays where it is. So does what has a mark:
 * it goes with the estate that it came from.
 */
export async function moveAll(ground: Ground, { from, to, estate }: Move): Promise<void> {
  const { patience } = ground
  const sessions = sessionsOf(ground)
  const mark = { owner: double(to), ...(estate === undefined ? {} : { estate: double(estate) }) }
  const left = { ...UNMARKED, owner: double(from) }
  await patience.until(() => sessions.deleteMany({ ...left, sessionId: 0 })) // their clients are gone with him
  const owedIn = await lastStatementOf(ground, from)
  const isBare = { ...left, owedIn: { $exists: false } }
  await patience.until(() => sessions.updateMany(isBare, { $set: { owedIn } }))
  await patience.until(() => sessions.updateMany(left, { $set: mark, $inc: { epoch: 1 } }))
  await patience.until(() => willsOf(ground).updateMany(left, { $set: mark }))
}

/**
 * The owners of sessions and wills that were incarnations of a name up to this one, but for those that have left an estate
 * of their own: an incarnation that dies early has not yet taken over from the one before.
 */
export async function ownersUpTo(
  ground: Ground,
  { lane, estates }: BrokerRecord,
  incarnation: number
): Promise<number[]> {
  const isRead = { isRead: true }
  const found = await Promise.all([
    ground.patience.until(() => sessionsOf(ground).distinct('owner', UNMARKED), isRead),
    ground.patience.until(() => willsOf(ground).distinct('owner', UNMARKED), isRead)
  ])
  const others = estates.filter(estate => estate.incarnation !== incarnation)
  const excluded = new Set(others.map(estate => ownerOf(lane, estate.incarnation)))
  const isTheirs = (owner: number) =>
    laneOfOwner(owner) === lane && incarnationOfOwner(owner) <= incarnation && !excluded.has(owner)
  return [...new Set(found.flat().filter(isTheirs))]
}

/** The newest statement of what an owner is owed; one that does not exist, when there is none, says: everything. */
async function lastStatementOf({ database, patience }: Ground, owner: number): Promise<string> {
  const statements = database.collection<StatementDocument>(COLLECTIONS.owed)
  const projection = { owner: 1, count: 1 }
  const found = await patience.until(() => statements.find({ owner }, { projection }).toArray(), {
    isRead: true
  })
  return `${owner}/${Math.max(0, ...found.map(({ count }) => count))}`
}

/** Makes the cursors of sessions those of their new owner, so that writes of the old one come too late. */
export async function raiseCursors(ground: Ground, sessions: readonly OwnedSession[]): Promise<void> {
  const { database, patience } = ground
  const groups = new Map<string, OwnedSession[]>()
  for (const session of sessions) {
    if (session.sessionId === 0) continue
    const key = `${session.epoch} ${session.owner}`
    const group = groups.get(key) ?? []
    groups.set(key, group)
    group.push(session)
  }
  for (const group of groups.values()) {
    const { epoch, owner } = group[0]!
    const update = { $set: { epoch, owner: double(owner) } satisfies Partial<CursorDocument> }
    for (const part of slices(group)) {
      const ids = part.map(({ sessionId }) => double(sessionId))
      const filter = { _id: { $in: ids }, epoch: { $lte: epoch } }
      await patience.until(() => database.cursors.updateMany(filter, update))
    }
  }
}

/** A list in slices that fit into one request. */
export function* slices<Item>(items: readonly Item[], size = SLICE): Iterable<readonly Item[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size)
}
