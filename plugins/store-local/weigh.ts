import type { Owed } from '../../src/plugin.ts'
import { lastAtMost } from './marks.ts'
import type { Segment } from './segment.ts'
import type { SegmentIndex } from './segment-index.ts'

/** For each record of a segment: 1 when it is owed to somebody. A record of no stream is owed to nobody. */
export function owedPlaces(index: SegmentIndex, owed: Owed): Uint8Array {
  const { sequences } = index
  const isOwed = new Uint8Array(sequences.length)
  for (const [streamId, places] of index.streams) {
    const above = owed.above(streamId)
    for (let i = places.length - 1; i >= 0 && sequences[places[i]!]! > above; i--) isOwed[places[i]!] = 1
  }
  if (sequences.length === 0) return isOwed
  const last = lastAtMost(owed.pending, sequences[sequences.length - 1]!)
  for (let i = last; i >= 0 && owed.pending[i]! >= sequences[0]!; i--) {
    const place = lastAtMost(sequences, owed.pending[i]!)
    if (sequences[place] === owed.pending[i]) isOwed[place] = 1
  }
  return isOwed
}

/** Bytes of the owed records. */
export function owedBytes(index: SegmentIndex, isOwed: Uint8Array): number {
  let bytes = 0
  for (let i = 0; i < isOwed.length; i++) if (isOwed[i]) bytes += recordBytes(index, i)
  return bytes
}

/**
 * A stream and a sequence, as late as possible, so that what the stream has from there on is at least `bytes`.
 * @returns null when no single stream has so much.
 */
export function findWitness(index: SegmentIndex, owed: Owed, bytes: number): Segment['witness'] {
  for (const [streamId, places] of index.streams) {
    const above = owed.above(streamId)
    let sum = 0
    for (let i = places.length - 1; i >= 0; i--) {
      const sequence = index.sequences[places[i]!]!
      if (sequence <= above) break
      sum += recordBytes(index, places[i]!)
      if (sum >= bytes) return { streamId, sequence }
    }
  }
  return null
}

/** Bytes up to the next record; a batch header in between counts. */
function recordBytes(index: SegmentIndex, place: number): number {
  return (index.offsets[place + 1] ?? index.end) - index.offsets[place]!
}
