import { COLLECTIONS } from '../documents.ts'
import type { Ground } from './ground.ts'
import type { SharedStream } from './streams.ts'

/** Streams that were removed, each told once. */
export class StreamNews {
  readonly #ground: Ground
  #told: ReadonlySet<number> = new Set()

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** Those not told yet. @throws the error of the driver */
  async gone(): Promise<readonly number[]> {
    const streams = this.#ground.database.collection<SharedStream>(COLLECTIONS.streams)
    const found = await streams.find({ isGone: true }, { projection: { _id: 1 } }).toArray()
    const ids = found.map(({ _id }) => _id)
    const fresh = ids.filter(id => !this.#told.has(id))
    this.#told = new Set(ids)
    return fresh
  }
}
