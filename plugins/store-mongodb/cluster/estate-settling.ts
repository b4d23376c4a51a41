import { laneStart, type MetaRow } from '../../../src/plugin.ts'
import { double } from '../database.ts'
import { ownKey, rowKey } from '../row-operations.ts'
import { type BrokerRecord, changeRecord, type Estate, estateOf, withEstate } from './broker-record.ts'
import type { Ground } from './ground.ts'
import { seal } from './seal.ts'

/** Seals messages, notes and changes of the incarnation that a record is of. @returns the number in the notes. */
export async function sealLane(ground: Ground, record: BrokerRecord): Promise<number> {
  const { database, identity, patience } = ground
  const { lane, incarnation, head } = record
  const options = { lane, incarnation, by: identity.brokerName, floor: async () => laneStart(lane) }
  await seal(database.messages, { ...options, floor: async () => head }, patience)
  await seal(database.changes, options, patience)
  // a checkpoint removes notes after it has written down that it may
  return await seal(database.notes, { ...options, floor: () => notesDone(ground, record) }, patience)
}

/** Up to which number the notes of a lane are done with. */
async function notesDone({ database, patience }: Ground, { lane, notesHead }: BrokerRecord): Promise<number> {
  const _id = ownKey(lane, 'notes')
  const document = await patience.until(() => database.meta.findOne({ _id }), { isRead: true })
  const row: MetaRow = document?.row ?? {}
  return Math.max(laneStart(lane) + Number(row.through ?? 0), notesHead)
}

/**
 * Closes what a dead incarnation may still write, does what it had begun to write, and notes in its estate how far its
 * last checkpoint went: from then on its name may live again while the estate is being taken over.
 * @returns the record from which its next incarnation goes on; null when somebody else has changed it meanwhile.
 */
export async function settleEstates(ground: Ground, record: BrokerRecord): Promise<BrokerRecord | null> {
  const estate = estateOf(record, record.incarnation)
  if (!estate && !record.isEmptied) return record // its next incarnation takes over all there is
  const notesAfter = await sealLane(ground, record)
  if (!estate || estate.replayAfter !== null) return { ...record, notesAfter }
  const settled = await withReplayMark(ground, record, estate)
  return settled && { ...settled, notesAfter }
}

async function withReplayMark(
  ground: Ground,
  record: BrokerRecord,
  estate: Estate
): Promise<BrokerRecord | null> {
  const { brokers, changesLog, patience } = ground
  await changesLog.applyLeft(record.lane)
  const replayAfter = await replayMark(ground, record.lane)
  const notesAfter = Math.max(estate.notesAfter, await notesDone(ground, { ...record, notesHead: 0 }))
  const marks = { replayAfter: double(replayAfter), notesAfter: double(notesAfter) }
  const estates = withEstate(record, estate.incarnation, { ...estate, ...marks })
  const isChanged = await patience.until(() => changeRecord(brokers, record, { estates }))
  return isChanged ? { ...record, estates, term: record.term + 1 } : null
}

/** What the last checkpoint of a lane knew of its replay stream. */
async function replayMark({ database, patience }: Ground, lane: number): Promise<number> {
  const document = await patience.until(() => database.meta.findOne({ _id: rowKey(lane, 'replay') }), {
    isRead: true
  })
  const row: MetaRow = document?.row ?? {}
  return Math.max(Number(row.through ?? 0), laneStart(lane))
}
