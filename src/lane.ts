/**
 * Messages are numbered lane by lane, and a lane belongs to one server. Both numbers stand in one: the sequences of lane i
 * are those from i x LANE_SPAN + 1 on. So a sequence tells which lane it is of, and those of lane 0, the only one
 * of a server that is alone, are 1, 2, 3 and so on.
 */
export const LANE_SPAN = 2 ** 40

/** Most lanes that a store may ever have: the largest sequence fits into 48 bits. */
export const MAX_LANES = 256

/** The lane of a sequence. */
export function laneOf(sequence: number): number {
  return sequence < LANE_SPAN ? 0 : Math.floor(sequence / LANE_SPAN)
}

/** The number of a sequence within its lane. */
export function inLane(sequence: number): number {
  return sequence < LANE_SPAN ? sequence : sequence % LANE_SPAN
}

/** The place in front of the first sequence of a lane. */
export function laneStart(lane: number): number {
  return lane * LANE_SPAN
}

/** One sequence for each lane: how far something is in it. */
export class LaneMarks {
  readonly #marks: number[] = []

  /** @param sequences at most one of each lane. */
  constructor(sequences: Iterable<number> = []) {
    for (const sequence of sequences) this.set(sequence)
  }

  /** The sequence in a lane; when none was set, the place in front of the lane's first. */
  at(lane: number): number {
    return this.#marks[lane] ?? laneStart(lane)
  }

  /** Puts the sequence of its lane in place of the one before. */
  set(sequence: number): void {
    const lane = laneOf(sequence)
    while (this.#marks.length < lane) this.#marks.push(laneStart(this.#marks.length))
    this.#marks[lane] = sequence
  }

  /** The same, if it is higher than the one before. */
  raise(sequence: number): void {
    if (sequence > this.at(laneOf(sequence))) this.set(sequence)
  }

  /** Whether a sequence is no higher than that of its lane. */
  covers(sequence: number): boolean {
    return sequence <= this.at(laneOf(sequence))
  }

  /** All that are not at the start of their lanes, in the order of lanes. */
  *all(): Iterable<number> {
    for (const [lane, mark] of this.#marks.entries()) if (mark !== laneStart(lane)) yield mark
  }
}
