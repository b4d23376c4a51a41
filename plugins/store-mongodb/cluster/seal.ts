import { type Collection, double, isDuplicate } from '../database.ts'
import type { LogDocument } from '../documents.ts'
import { laneRange } from '../identity.ts'
import { lastOf } from '../log-writer.ts'
import type { Patience } from '../patience.ts'
import { incarnationOf } from './owner.ts'

/** What is to be sealed. */
export interface SealOptions {
  readonly lane: number
  /** The incarnation that writes nothing more there. */
  readonly incarnation: number
  /** The log goes on above it, also when no document is left. Asked after the last document was looked up. */
  readonly floor: () => Promise<number>
  /** Name of the broker that does it. */
  readonly by: string
}

/**
 * Closes one of the three logs of a lane behind an incarnation: a seal at its next number, where that incarnation would
 * have to insert. A late owner that still inserts only moves the place on; from the seal on it is refused. Several may do
 * it at once and again. A seal is never removed, because nobody knows how late an insert may come.
 * @returns the number of the seal, or of a later document when the log goes on already.
 */
export async function seal<Shape extends LogDocument>(
  collection: Collection<Shape>,
  { lane, incarnation, floor, by }: SealOptions,
  patience: Patience
): Promise<number> {
  const range = laneRange(lane)
  for (;;) {
    const last = await patience.until(() => lastOf(collection, range), { isRead: true })
    if (last && isBehind(last, incarnation)) return last._id
    const number = Math.max(last?._id ?? range.after, await floor()) + 1
    const document = { _id: double(number), seal: { by, incarnation } }
    try {
      await patience.until(() => collection.insertOne(document as never))
      return number
    } catch (error) {
      if (!isDuplicate(error)) throw error // it was a late insert, or another who seals, or our own after all
    }
  }
}

/** Whether a document can only stand where it does when an incarnation has been closed. */
function isBehind({ seal: found, batch }: LogDocument, incarnation: number): boolean {
  return found ? found.incarnation >= incarnation : incarnationOf(batch) > incarnation
}
