const STEP_RECORDS = 64
const STEP_BYTES = 256 * 1024

/** A piece of a segment that one read fetches. */
export interface Span {
  /** Bytes [offset, stop) of the file. */
  readonly offset: number
  readonly stop: number
  /** The sequences it answers for, both included. */
  readonly from: number
  readonly to: number
}

/** Where to begin reading: a mark on every 64th record, and wherever 256 KiB have passed since the last one. */
export class Marks {
  readonly #sequences: number[] = []
  readonly #offsets: number[] = []
  #recordsLeft = 0

  /** Takes in the next record. */
  add(sequence: number, offset: number): void {
    if (this.#recordsLeft-- > 0 && offset - this.#offsets.at(-1)! < STEP_BYTES) return
    this.#sequences.push(sequence)
    this.#offsets.push(offset)
    this.#recordsLeft = STEP_RECORDS - 1
  }

  /**
   * The piece around `sequence`: from the mark before it over as many whole steps as fit into `bytes`, at least one.
   * @param segment where the segment ends, and the sequences it answers for.
   * @returns null when the segment has no record.
   */
  span(
    sequence: number,
    bytes: number,
    segment: { readonly end: number; readonly firstSequence: number; readonly lastSequence: number }
  ): Span | null {
    const count = this.#sequences.length
    if (count === 0) return null
    const first = Math.max(lastAtMost(this.#sequences, sequence), 0)
    const offset = this.#offsets[first]!
    const next = Math.max(lastAtMost(this.#offsets, offset + bytes), first + 1)
    const isRest = next >= count || segment.end - offset <= bytes
    return {
      offset,
      stop: isRest ? segment.end : this.#offsets[next]!,
      from: first === 0 ? segment.firstSequence : this.#sequences[first]!,
      to: isRest ? segment.lastSequence : this.#sequences[next]! - 1
    }
  }

  /** The first mark behind `offset`; Infinity when there is none. */
  after(offset: number): number {
    return this.#offsets[lastAtMost(this.#offsets, offset) + 1] ?? Number.POSITIVE_INFINITY
  }
}

/** The index of the last entry that is at most `value` in an ascending list; -1 when all are above. */
export function lastAtMost(list: ArrayLike<number>, value: number): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (list[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low - 1
}
