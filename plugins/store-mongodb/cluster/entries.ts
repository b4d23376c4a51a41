import type { EntryRange, KeptEntry } from '../../../src/plugin.ts'
import { double } from '../database.ts'
import type { Ground } from './ground.ts'
import { slices } from './session-move.ts'

/** Entries read with one request. */
const PART_ENTRIES = 2_000
/** The server merges as many sorted runs of an index in each range of a request. */
const STREAMS_AT_ONCE = 100
const RANGES_AT_ONCE = 20

/**
 * Kept messages of streams, in ascending order in each lane as far as they come from one request; one that is in several
 * ranges may come again. A part that cannot be read is asked for again.
 */
export async function* entriesOf(
  { database, patience, storeTimeoutMs }: Ground,
  ranges: readonly EntryRange[]
): AsyncIterable<readonly KeptEntry[]> {
  const projection = { streams: 1, expiresAt: 1 }
  for (const together of requestsOf(ranges)) {
    const $or = together.map(({ streamIds, after, through }) => ({
      streams: { $in: streamIds.map(double) },
      _id: { $gt: double(after), $lte: double(through) }
    }))
    for (let from = Math.min(...together.map(({ after }) => after)); ; ) {
      const filter = { _id: { $gt: double(from) }, $or }
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

/** Puts ranges with the same bounds together, and as many of them into a request as it may have. */
function requestsOf(ranges: readonly EntryRange[]): Iterable<readonly EntryRange[]> {
  const byBounds = new Map<string, { readonly range: EntryRange; readonly streamIds: number[] }>()
  for (const range of ranges) {
    const key = `${range.after}/${range.through}`
    const known = byBounds.get(key)
    if (known) known.streamIds.push(...range.streamIds)
    else byBounds.set(key, { range, streamIds: [...range.streamIds] })
  }
  const parts = [...byBounds.values()].flatMap(({ range, streamIds }) =>
    [...slices(streamIds, STREAMS_AT_ONCE)].map(part => ({ ...range, streamIds: part }))
  )
  return slices(parts, RANGES_AT_ONCE)
}
