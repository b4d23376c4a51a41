import type { Owed } from '../../src/plugin.ts'
import type { OwedByOthers, OwedElsewhere } from './cluster-part.ts'
import { type Database, double } from './database.ts'
import type { LaneIndex, Slice } from './lane-index.ts'
import type { Patience } from './patience.ts'

/** Messages that are removed with one request. */
const SLICE_MESSAGES = 2_000

/** What releasing works with. */
export interface ReleaseParts {
  readonly database: Database
  readonly patience: Patience
  readonly ownLane: number
  readonly elsewhere: OwedElsewhere | undefined
  indexOf(lane: number): Promise<LaneIndex>
  /** Lanes that are not named here live again, or fall to another. */
  named(lanes: ReadonlySet<number>): void
}

/** Removes what is owed to nobody, here or elsewhere, from the lanes that are ours to free. @returns bytes of the records. */
export async function releaseLanes(parts: ReleaseParts, owed: Owed): Promise<number> {
  const { elsewhere, ownLane } = parts
  const alone: OwedByOthers = {
    lanes: [{ lane: ownLane, through: Number.POSITIVE_INFINITY }],
    above: () => Number.POSITIVE_INFINITY,
    pending: []
  }
  const others = elsewhere ? await elsewhere.exchange(owed) : alone
  if (!others) return 0
  parts.named(new Set(others.lanes.map(({ lane }) => lane)))
  const pending = new Set([...owed.pending, ...others.pending])
  let freedBytes = 0
  for (const { lane, through } of others.lanes) {
    const index = await parts.indexOf(lane)
    const above = (streamId: number) => Math.min(owed.above(streamId, lane), others.above(streamId, lane))
    const last = index.last
    const isSaid = elsewhere?.raiseHead !== undefined
    if (isSaid) await elsewhere?.raiseHead?.(lane, last)
    // otherwise the highest document of a lane is the only thing that tells where it goes on
    const limit = Math.min(through, isSaid ? last : last - 1)
    for (const slice of index.freeable(above, limit, pending, SLICE_MESSAGES)) {
      await remove(parts, slice)
      freedBytes += index.remove(slice)
    }
    index.compact()
  }
  return freedBytes
}

/** A seal that lies in between stays: the one whom it stops may come back at any time. */
async function remove({ database, patience }: ReleaseParts, { sequences, isRange }: Slice): Promise<void> {
  const ids = isRange
    ? { $gte: double(sequences[0]!), $lte: double(sequences.at(-1)!) }
    : { $in: sequences.map(double) }
  await patience.until(() => database.messages.deleteMany({ _id: ids, seal: { $exists: false } }))
}
