const CHUNK = 1024

/**
 * The ascending sequences of one stream. Entries keep their index while older ones are trimmed away.
 *
 * ```
 *  index    [ trimmed | #first ... length )
 * ```
 */
export class SequenceList {
  #chunks: number[][] = []
  /** Index of the first entry of #chunks[0]; a multiple of CHUNK. */
  #first = 0
  #length = 0
  #last = 0

  /** Index behind the newest entry. */
  get length(): number {
    return this.#length
  }

  /** Entries kept in memory. */
  get size(): number {
    return this.#length - this.#first
  }

  /** The newest sequence, also when it was trimmed away; 0 when there was none. */
  get last(): number {
    return this.#last
  }

  /** The sequence at an index; undefined behind the end and where it was trimmed. */
  at(index: number): number | undefined {
    const relative = index - this.#first
    return relative < 0 ? undefined : this.#chunks[(relative / CHUNK) | 0]?.[relative % CHUNK]
  }

  /** Adds a sequence larger than all before. */
  push(sequence: number): void {
    let chunk = this.#chunks[this.#chunks.length - 1]
    if (!chunk || chunk.length === CHUNK) {
      chunk = []
      this.#chunks.push(chunk)
    }
    chunk.push(sequence)
    this.#length++
    this.#last = sequence
  }

  /** Index of the first kept entry above `sequence`; `length` when there is none. */
  indexAfter(sequence: number): number {
    let low = this.#first
    let high = this.#length
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2)
      if (this.at(middle)! <= sequence) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Whether the list has this sequence. */
  has(sequence: number): boolean {
    return this.at(this.indexAfter(sequence - 1)) === sequence
  }

  /** Forgets entries up to `sequence`, as far as whole chunks go. */
  trimThrough(sequence: number): void {
    const chunks = Math.floor((this.indexAfter(sequence) - this.#first) / CHUNK)
    if (chunks === 0) return
    this.#chunks.splice(0, chunks)
    this.#first += chunks * CHUNK
  }
}
