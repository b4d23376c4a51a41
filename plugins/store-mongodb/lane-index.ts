/** Kept messages of a piece of a lane, ascending, in three columns. */
interface Chunk {
  sequences: Float64Array
  /** Which set of streams each belongs to. */
  sets: Uint32Array
  bytes: Uint32Array
  length: number
}

const CHUNK_LENGTH = 4_096
/** From this many on it is worth while to look for those that are not used any more. */
const MOST_SETS = 10_000

/** A set of streams that some messages belong to, and what is kept of them. */
interface StreamSet {
  readonly streamIds: readonly number[]
}

/** What is freed of a lane, in one step. */
export interface Slice {
  /** Ascending. */
  readonly sequences: readonly number[]
  /** Whether no message that stays lies between the first and the last. */
  readonly isRange: boolean
}

/**
 * The kept messages of a lane: which streams each belongs to, and its size. 16 bytes for each, so that what is owed to
 * nobody is found without asking the database.
 */
export class LaneIndex {
  #chunks: Chunk[] = []
  #sets: StreamSet[] = []
  readonly #setNumbers = new Map<string, number>()
  /** Bytes of all kept records. */
  bytes = 0
  /** The highest that was ever added. */
  last = 0

  /** Adds one with a sequence higher than all before. */
  add(sequence: number, streamIds: readonly number[], bytes: number): void {
    let chunk = this.#chunks.at(-1)
    if (!chunk || chunk.length === CHUNK_LENGTH) {
      chunk = newChunk(CHUNK_LENGTH)
      this.#chunks.push(chunk)
    }
    chunk.sequences[chunk.length] = sequence
    chunk.sets[chunk.length] = this.#setOf(streamIds)
    chunk.bytes[chunk.length] = bytes
    chunk.length++
    this.bytes += bytes
    this.last = sequence
  }

  /**
   * Messages that may go, in slices.
   * @param above of this stream everything above the answer is kept.
   * @param through nothing above it goes.
   * @param pending sequences to keep.
   */
  *freeable(
    above: (streamId: number) => number,
    through: number,
    pending: ReadonlySet<number>,
    sliceMessages: number
  ): Iterable<Slice> {
    const marks = this.#sets.map(({ streamIds }) => Math.min(...streamIds.map(above)))
    let sequences: number[] = []
    let isRange = true
    let hasGap = false
    for (const chunk of [...this.#chunks]) {
      for (let i = 0; i < chunk.length; i++) {
        const sequence = chunk.sequences[i]!
        if (sequence > through || sequence > marks[chunk.sets[i]!]! || pending.has(sequence)) {
          hasGap = sequences.length > 0
          continue
        }
        if (sequences.length >= sliceMessages) {
          yield { sequences, isRange }
          sequences = []
          isRange = true
          hasGap = false
        }
        if (hasGap) isRange = false
        sequences.push(sequence)
      }
    }
    if (sequences.length > 0) yield { sequences, isRange }
  }

  /** Forgets what was freed. @returns its bytes. */
  remove({ sequences }: Slice): number {
    const before = this.bytes
    const first = sequences[0]!
    const last = sequences.at(-1)!
    this.#chunks = this.#chunks.map(chunk => {
      const isTouched = chunk.sequences[0]! <= last && chunk.sequences[chunk.length - 1]! >= first
      return isTouched ? this.#without(chunk, sequences) : chunk
    })
    this.#chunks = this.#chunks.filter(({ length }) => length > 0)
    return before - this.bytes
  }

  /** Forgets sets of streams that no kept message belongs to, once they are many. */
  compact(): void {
    if (this.#sets.length < MOST_SETS) return
    const sets = this.#sets
    this.#sets = []
    this.#setNumbers.clear()
    for (const chunk of this.#chunks)
      for (let i = 0; i < chunk.length; i++) chunk.sets[i] = this.#setOf(sets[chunk.sets[i]!]!.streamIds)
  }

  /** The chunk without some of its messages, in arrays as long as what is left unless it is the one that is being filled. */
  #without(chunk: Chunk, gone: readonly number[]): Chunk {
    const isLast = chunk === this.#chunks.at(-1)
    const kept = newChunk(isLast ? CHUNK_LENGTH : chunk.length)
    let place = 0
    for (let i = 0; i < chunk.length; i++) {
      const sequence = chunk.sequences[i]!
      while (place < gone.length && gone[place]! < sequence) place++
      if (gone[place] === sequence) {
        this.bytes -= chunk.bytes[i]!
        continue
      }
      kept.sequences[kept.length] = sequence
      kept.sets[kept.length] = chunk.sets[i]!
      kept.bytes[kept.length] = chunk.bytes[i]!
      kept.length++
    }
    return isLast ? kept : trimmed(kept)
  }

  #setOf(streamIds: readonly number[]): number {
    const key = streamIds.join()
    const known = this.#setNumbers.get(key)
    if (known !== undefined) return known
    const number = this.#sets.push({ streamIds: [...streamIds] }) - 1
    this.#setNumbers.set(key, number)
    return number
  }
}

function newChunk(length: number): Chunk {
  return {
    sequences: new Float64Array(length),
    sets: new Uint32Array(length),
    bytes: new Uint32Array(length),
    length: 0
  }
}

function trimmed({ sequences, sets, bytes, length }: Chunk): Chunk {
  return {
    sequences: sequences.slice(0, length),
    sets: sets.slice(0, length),
    bytes: bytes.slice(0, length),
    length
  }
}
