import { COLLECTIONS } from '../documents.ts'
import { type BrokerRecord, ownerOfEstate, ownerOfRecord } from './broker-record.ts'
import type { Ground } from './ground.ts'
import { isNamed } from './handovers.ts'
import { sessionsOf } from './session-move.ts'
import type { Statement, StatementDocument } from './statement.ts'

/**
 * Removes statements of owners that are gone. A session of such an owner names its last statement when it moves, so the
 * order matters: first it is certain that the owner has no session left, then that no session names the statement.
 * @param records as read after the statements: whoever has made one and lives is among them.
 */
export async function clearStatements(
  ground: Ground,
  records: readonly BrokerRecord[],
  statements: ReadonlyMap<string, Statement>
): Promise<void> {
  const { database } = ground
  const present = new Set(records.flatMap(ownersOf))
  for (const { id, owner, count } of statements.values()) {
    if (present.has(owner)) continue
    const own = await sessionsOf(ground).findOne({ owner }, { projection: { _id: 1 } })
    if (own || (await isNamed(ground, id))) continue
    await database.collection<StatementDocument>(COLLECTIONS.owed).deleteMany({ owner, count })
  }
}

/** Owners that live, or that have left something. */
function ownersOf(record: BrokerRecord): number[] {
  const left = record.estates.map(estate => ownerOfEstate(record, estate))
  return record.isEmptied && record.state !== 'live' ? left : [ownerOfRecord(record), ...left]
}
