import type { EntryRange, KeptEntry } from '../../../src/plugin.ts'
import { double } from '../database.ts'
import type { Ground } from './ground.ts'

/** Entries read with one request. */
const PART_ENTRIES = 2_000

/** Kept messages of streams, in ascending order in each range. A part that cannot be read is asked for again. */
export async function* entriesOf(
  { database, patience, storeTimeoutMs }: Ground,
  ranges: readonly EntryRange[]
): AsyncIterable<readonly KeptEntry[]> {
  const projection = { streams: 1, expiresAt: 1 }
  for (const { streamIds, after, through } of ranges) {
    const streams = { $in: streamIds.map(double) }
    for (let from = after; from < through; ) {
      const filter = { streams, _id: { $gt: double(from), $lte: double(through) } }
      const read = () =>
        database.messages.find(filter, { projection }).sort({ _id: 1 }).limit(PART_ENTRIES).toArray()
      const found = await patience.until(read, { timeoutMs: storeTimeoutMs, isRead: true })
      if (found.length > 0)
        yield found.map(({ _id, streams: ids = [], expiresAt = 0 }) => ({
          sequence: _id,
          streamIds: ids,
          expiresAt
        }))
      if (found.length < PART_ENTRIES) break
      from = found.at(-1)!._id
    }
  }
}
