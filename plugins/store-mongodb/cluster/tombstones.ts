import { CLEARED_KEPT_MS } from '../../../src/plugin.ts'
import { double, type Filter } from '../database.ts'
import type { RetainedDocument } from '../documents.ts'
import type { Ground } from './ground.ts'

/** Removed at a time. */
const SLICE = 1_000

/**
 * Removes what is left of retained messages that were cleared: their order, against which older messages do not count.
 * It goes when it is old and this broker has lived undisturbed for as long: by then whoever was to come with an older
 * message has been heard, or has died and was taken over.
 */
export class Tombstones {
  readonly #ground: Ground
  #quietSince: number
  #isSweeping = false

  constructor(ground: Ground) {
    this.#ground = ground
    this.#quietSince = ground.clock.now()
  }

  /** The database did not answer: others may have had to wait with what they write. */
  disturbed(): void {
    this.#quietSince = this.#ground.clock.now()
  }

  /** Removes the old ones; a call meanwhile does nothing. @throws the error of the driver */
  async sweep(): Promise<void> {
    const { clock, database } = this.#ground
    const before = clock.now() - CLEARED_KEPT_MS
    if (this.#isSweeping || this.#quietSince > before) return
    this.#isSweeping = true
    try {
      const isOld = { clearedAt: { $lt: double(before) } }
      for (let ids = await this.#find(isOld); ids.length > 0; ids = await this.#find(isOld)) {
        // one that has been replaced meanwhile is no old one any more
        await database.retained.deleteMany({ ...isOld, _id: { $in: ids } })
      }
    } finally {
      this.#isSweeping = false
    }
  }

  async #find(isOld: Filter<RetainedDocument>): Promise<string[]> {
    const { retained } = this.#ground.database
    const found = await retained
      .find(isOld, { projection: { _id: 1 } })
      .limit(SLICE)
      .toArray()
    return found.map(({ _id }) => _id)
  }
}
