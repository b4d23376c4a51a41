import { type Collection, isDuplicate, isOnlyDuplicates } from './database.ts'
import type { AnyDocument, RowOperation } from './row-operations.ts'

/** From this many rows on it is worth while to look which of them are new: many inserts are cheaper than many upserts. */
const MANY_ROWS = 64

/**
 * Writes rows of a collection, in any order; one that belongs to another is left alone. One attempt, which may be made
 * again.
 * @param mostUpdates with one command.
 */
export async function writeRows(
  collection: Collection<AnyDocument>,
  operations: readonly RowOperation[],
  mostUpdates: number
): Promise<void> {
  let left = operations
  if (operations.length >= MANY_ROWS) {
    const known = await knownIds(collection, operations)
    const isNew = ({ fresh }: RowOperation) => fresh !== undefined && !known.has(`${fresh._id}`)
    const fresh = operations.filter(isNew).map(each => each.fresh!)
    if (fresh.length > 0 && (await insertAll(collection, fresh)))
      left = operations.filter(each => !isNew(each))
  }
  for (let at = 0; at < left.length; at += mostUpdates)
    await writeSlice(collection, left.slice(at, at + mostUpdates))
}

/** Writes one row. @returns false when it is left alone: what is there belongs to another, or is later. */
export async function writeRow(
  collection: Collection<AnyDocument>,
  { operation }: RowOperation
): Promise<boolean> {
  // the first refusal may come from another who has put the row there at this moment: now its filter decides
  for (let attempt = 1; attempt <= 2; attempt++) {
    try {
      await collection.bulkWrite([operation])
      return true
    } catch (error) {
      if (!isDuplicate(error)) throw error
    }
  }
  return false
}

async function writeSlice(
  collection: Collection<AnyDocument>,
  operations: readonly RowOperation[]
): Promise<void> {
  try {
    await collection.bulkWrite(
      operations.map(({ operation }) => operation),
      { ordered: false }
    )
  } catch (error) {
    if (!isOnlyDuplicates(error)) throw error
    // FerretDB does none of those behind the first that it refuses, and does not say which one that is
    for (const operation of operations) await writeRow(collection, operation)
  }
}

async function knownIds(
  collection: Collection<AnyDocument>,
  operations: readonly RowOperation[]
): Promise<ReadonlySet<string>> {
  const ids = operations.flatMap(({ fresh }) => (fresh ? [fresh._id] : []))
  const found = await collection.find({ _id: { $in: ids } }, { projection: { _id: 1 } }).toArray()
  return new Set(found.map(({ _id }) => `${_id}`))
}

/** @returns false when some were there after all: then each is written as one that may be there. */
async function insertAll(
  collection: Collection<AnyDocument>,
  documents: readonly AnyDocument[]
): Promise<boolean> {
  try {
    await collection.insertMany(documents, { ordered: false })
    return true
  } catch (error) {
    if (isOnlyDuplicates(error)) return false
    throw error
  }
}
