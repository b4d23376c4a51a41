import { join } from 'node:path'
import { lastAtMost, Marks } from './marks.ts'
import { HEADER_BYTES, type SegmentHeader, segmentName } from './segment-format.ts'
import type { SegmentIndex } from './segment-index.ts'

/** What is kept in memory of one segment: where it is, what it answers for, where reading can begin. */
export class Segment {
  readonly header: SegmentHeader
  readonly path: string
  readonly indexPath: string
  readonly marks = new Marks()
  /** The last sequence it answers for. */
  lastSequence: number
  /** Bytes that may be read: the header and every committed record. */
  end = HEADER_BYTES
  /** Whether a place in it could not be read. What is left of such a file is not moved. */
  isDamaged = false
  /**
   * Why it need not be weighed: as long as this stream is wanted from below this sequence, too much of it is owed
   * to be moved.
   */
  witness: { readonly streamId: number; readonly sequence: number } | null = null
  /** Offsets of damage that was reported, so that it is reported once. */
  readonly reported = new Set<number>()

  constructor(directory: string, header: SegmentHeader) {
    this.header = header
    const name = segmentName(header)
    this.path = join(directory, `${name}.seg`)
    this.indexPath = join(directory, `${name}.idx`)
    this.lastSequence = header.throughSequence || header.firstSequence - 1
  }

  get firstSequence(): number {
    return this.header.firstSequence
  }

  /** Takes in the next committed record; `end` is not moved. */
  addRecord(sequence: number, offset: number): void {
    this.marks.add(sequence, offset)
    if (sequence > this.lastSequence) this.lastSequence = sequence
  }

  /** Takes in all records of an index. */
  addIndex(index: SegmentIndex): void {
    for (let i = 0; i < index.sequences.length; i++) this.addRecord(index.sequences[i]!, index.offsets[i]!)
    this.end = index.end
  }
}

/** The segments of a lane in the order of their sequences; the last one grows. */
export class SegmentList {
  #segments: readonly Segment[] = []
  #firstSequences: readonly number[] = []

  constructor(segments: readonly Segment[]) {
    this.#set(segments)
  }

  /** All of them at this moment. */
  all(): readonly Segment[] {
    return this.#segments
  }

  sizeBytes(): number {
    let bytes = 0
    for (const segment of this.#segments) bytes += segment.end
    return bytes
  }

  /** Adds a segment behind all others. */
  add(segment: Segment): void {
    this.#set([...this.#segments, segment])
  }

  /** Puts one segment, or none, in the place of some that follow each other. */
  replace(old: readonly Segment[], replacement: Segment | null): void {
    const place = this.#segments.indexOf(old[0]!)
    const kept = this.#segments.filter(segment => !old.includes(segment))
    if (replacement) kept.splice(place, 0, replacement)
    this.#set(kept)
  }

  has(segment: Segment): boolean {
    return this.#segments.includes(segment)
  }

  /** The segment that answers for a sequence; null when it is in none. */
  find(sequence: number): Segment | null {
    const segment = this.#segments[this.#placeOf(sequence)]
    return segment && sequence <= segment.lastSequence ? segment : null
  }

  /** The widest range around a sequence that no segment answers for; `to` is Infinity behind the last one. */
  gap(sequence: number): { from: number; to: number } {
    const place = this.#placeOf(sequence)
    return {
      from: (this.#segments[place]?.lastSequence ?? 0) + 1,
      to: (this.#segments[place + 1]?.firstSequence ?? Number.POSITIVE_INFINITY) - 1
    }
  }

  #placeOf(sequence: number): number {
    return lastAtMost(this.#firstSequences, sequence)
  }

  #set(segments: readonly Segment[]): void {
    this.#segments = segments
    this.#firstSequences = segments.map(segment => segment.firstSequence)
  }
}
