import { double, isDuplicate } from '../database.ts'
import { COLLECTIONS, type MetaDocument } from '../documents.ts'
import type { Ground } from './ground.ts'

/**
 * Takes ids that nobody else gets. An attempt that was heard though it seemed lost only leaves ids unused.
 * @returns the first of `count`; 1 at first.
 * @throws QueueError QUEUE_STORE_AWAY
 */
export async function reserveIds(
  { database, patience, storeTimeoutMs }: Ground,
  kind: string,
  count: number
): Promise<number> {
  const meta = database.collection<MetaDocument>(COLLECTIONS.meta)
  const take = () =>
    meta.findOneAndUpdate(
      { _id: `ids/${kind}` },
      { $inc: { next: double(count) } },
      { upsert: true, returnDocument: 'after' }
    )
  for (;;) {
    try {
      const taken = await patience.until(take, { timeoutMs: storeTimeoutMs, isRead: true })
      return 1 + (taken?.next ?? count) - count
    } catch (error) {
      if (!isDuplicate(error)) throw error // two have made the counter at once: it is there now
    }
  }
}
