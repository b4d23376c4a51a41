import { inLane, laneOf, laneStart } from './lane.ts'
import type { LaneRow } from './store/cluster.ts'

/** The names of lanes, and the ids of messages that are made of them: `<lane>:<number in the lane>`. */
export class LaneNames {
  readonly #byLane = new Map<number, string>()
  readonly #byName = new Map<string, number>()

  add({ lane, name }: Pick<LaneRow, 'lane' | 'name'>): void {
    this.#byLane.set(lane, name)
    this.#byName.set(name, lane)
  }

  /** The id of the message with this sequence. */
  idOf(sequence: number): string {
    const lane = laneOf(sequence)
    return `${this.#byLane.get(lane) ?? lane}:${inLane(sequence)}`
  }

  /** The sequence of the message with this id; 0 when it is none. */
  sequenceOf(id: string): number {
    const [, name = '', text = ''] = /^(.+):([1-9]\d{0,12})$/.exec(id) ?? []
    const lane = this.#byName.get(name)
    return lane === undefined || text === '' ? 0 : laneStart(lane) + Number(text)
  }
}
