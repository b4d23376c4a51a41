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
