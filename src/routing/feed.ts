import { laneOf } from '../lane.ts'
import { SequenceList } from './sequence-list.ts'

/** A reader's place in a feed, while it is connected. The delivery stage implements it. */
export interface Waiting {
  /** A message of the feed is committed, and the reader was at the end. */
  arrived(): void
}

/** What one lane has brought to one stream. */
export class Feed {
  readonly lane: number
  readonly sequences = new SequenceList()
  /** Places of connected readers that have sent all there is; emptied at the next message. */
  readonly waiting = new Set<Waiting>()
  /** Every kept sequence of the stream above this one stands in the list. */
  coveredFrom: number

  constructor(coveredFrom: number) {
    this.lane = laneOf(coveredFrom)
    this.coveredFrom = coveredFrom
  }

  /** Enters a committed message and wakes those who were waiting for one. */
  add(sequence: number): void {
    this.sequences.push(sequence)
    if (this.waiting.size === 0) return
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const place of waiting) place.arrived()
  }

  /** Forgets sequences up to this one, as far as whole chunks go. */
  trimThrough(sequence: number): void {
    const trimmed = this.sequences.trimThrough(Math.min(sequence, this.sequences.last))
    if (trimmed > this.coveredFrom) this.coveredFrom = trimmed
  }
}
