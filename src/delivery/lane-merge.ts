import { Merge } from './merge.ts'
import type { Place } from './place.ts'

/** So many messages of one lane are taken before it is the turn of the next. */
const TURN_MESSAGES = 64

/**
 * The places of a session in its streams: within a lane in ascending order of the sequences, and the lanes by turns, so that
 * a busy server does not hold up what comes from another one.
 */
export class LaneMerge {
  readonly #lanes: (Merge<Place> | undefined)[] = []
  #lane = 0
  #taken = 0

  /** The place whose message comes next. It stays the same until {@link turn} or a push or removal. */
  get top(): Place | undefined {
    const top = this.#lanes[this.#lane]?.top
    if (top || this.#lanes.length < 2) return top
    return this.#nextLane()
  }

  /** The merge of the lane whose turn it is. */
  get current(): Merge<Place> | undefined {
    return this.#lanes[this.#lane]
  }

  push(place: Place): void {
    const { lane } = place.feed
    while (this.#lanes.length <= lane) this.#lanes.push(undefined)
    const merge = (this.#lanes[lane] ??= new Merge<Place>())
    merge.push(place)
  }

  remove(place: Place): void {
    this.#lanes[place.feed.lane]?.remove(place)
  }

  clear(): void {
    this.#lanes.length = 0
    this.#lane = 0
  }

  /** A message was taken: another lane may come next. */
  turn(): void {
    if (++this.#taken < TURN_MESSAGES || this.#lanes.length < 2) return
    this.#taken = 0
    this.#nextLane()
  }

  #nextLane(): Place | undefined {
    for (let step = 1; step <= this.#lanes.length; step++) {
      const lane = (this.#lane + step) % this.#lanes.length
      const top = this.#lanes[lane]?.top
      if (!top) continue
      this.#lane = lane
      return top
    }
    return undefined
  }
}
