import type { Collection, Database } from '../database.ts'
import { type BrokerDocument, COLLECTIONS } from '../documents.ts'
import { ownerOf } from './owner.ts'

/**
 * The document of a broker name as the brokers read and write it. `term` grows with every change of who answers for
 * something, and stands in the filter of every such change: of two that want the same, one wins.
 */
export interface BrokerRecord extends BrokerDocument {
  readonly term: number
  /** Tells one start from another, for who does not know whether his write was heard. */
  readonly startId: string
  /** The notes of the present incarnation begin above it: those below are of one that another takes over. */
  readonly notesAfter: number
  /** Since a start under this name, until the sessions of its last incarnation have been moved to the new one. */
  readonly isJoining: boolean
  /** Of a name that does not live: all it has left was taken over. */
  readonly isEmptied: boolean
  /** What dead incarnations have left and nobody has taken over completely. */
  readonly estates: readonly Estate[]
}

/** What a dead or stopped incarnation has left: its sessions, wills and notes. */
export interface Estate {
  readonly incarnation: number
  /** Owner number of the broker that takes it over. */
  readonly by: number
  /** Its notes are those above it, up to its seal. */
  readonly notesAfter: number
  /** What its last checkpoint knew of the replay stream; null: not looked up yet. */
  readonly replayAfter: number | null
  /** It stopped cleanly: all that it had noted is there. */
  readonly isClean: boolean
  /** It is in the memory and in the cursors of `by`; what is left is to clear away. */
  readonly isAdopted: boolean
}

/** The collection of broker names. */
export function brokersOf(database: Database): Collection<BrokerRecord> {
  return database.collection<BrokerRecord>(COLLECTIONS.brokers)
}

/** The owner that a name is at present, or was last. */
export function ownerOfRecord({ lane, incarnation }: BrokerRecord): number {
  return ownerOf(lane, incarnation)
}

/** The owner that has left an estate. */
export function ownerOfEstate({ lane }: BrokerRecord, { incarnation }: Estate): number {
  return ownerOf(lane, incarnation)
}

/** The estate of an incarnation. */
export function estateOf(record: BrokerRecord, incarnation: number): Estate | undefined {
  return record.estates.find(estate => estate.incarnation === incarnation)
}

/** The estates of a record with one put in place of that of its incarnation; without it, when there is none. */
export function withEstate(
  record: BrokerRecord,
  incarnation: number,
  estate: Estate | null
): readonly Estate[] {
  const others = record.estates.filter(each => each.incarnation !== incarnation)
  return estate ? [...others, estate] : others
}

/**
 * Changes a record, unless somebody else has changed it since it was read.
 * @returns whether it is done; after a failure of the network the same call may answer false although it was done.
 */
export async function changeRecord(
  brokers: Collection<BrokerRecord>,
  record: BrokerRecord,
  change: Partial<BrokerRecord>,
  only: Partial<BrokerRecord> = {}
): Promise<boolean> {
  const filter = { ...only, _id: record._id, term: record.term, incarnation: record.incarnation }
  const { matchedCount } = await brokers.updateOne(filter, { $set: { ...change, term: record.term + 1 } })
  return matchedCount === 1
}
