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
  /** Of each chunk what has expired; null while nothing has. */
  #expired: (Expired | null)[] = []
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
      this.#expired.push(null)
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

  /** Forgets entries up to `sequence`, as far as whole chunks go. @returns the last one forgotten; 0: none. */
  trimThrough(sequence: number): number {
    const chunks = Math.floor((this.indexAfter(sequence) - this.#first) / CHUNK)
    if (chunks === 0) return 0
    const last = this.at(this.#first + chunks * CHUNK - 1) ?? 0
    this.#chunks.splice(0, chunks)
    this.#expired.splice(0, chunks)
    this.#first += chunks * CHUNK
    return last
  }

  /** Puts ascending sequences in front of all others, which are higher; indexes change. */
  prepend(sequences: readonly number[]): void {
    const own = this.#chunks.flat()
    const expired = own.filter((_, i) => this.isExpired(this.#first + i))
    this.#chunks = []
    this.#expired = []
    this.#first = 0
    this.#length = 0
    for (const sequence of [...sequences, ...own]) this.push(sequence)
    for (const sequence of expired) this.expire(sequence)
  }

  // ---- expiry

  /** The message of this sequence has expired; one that is not in the list changes nothing. */
  expire(sequence: number): void {
    const index = this.indexAfter(sequence - 1)
    if (this.at(index) !== sequence) return
    const relative = index - this.#first
    const expired = (this.#expired[(relative / CHUNK) | 0] ??= { bits: new Uint8Array(CHUNK), count: 0 })
    const place = relative % CHUNK
    if (expired.bits[place] === 0) expired.count++
    expired.bits[place] = 1
  }

  /** Whether the message at an index has expired. */
  isExpired(index: number): boolean {
    const relative = index - this.#first
    return this.#expired[(relative / CHUNK) | 0]?.bits[relative % CHUNK] === 1
  }

  /** The first entry above `sequence` that has not expired. */
  firstAfter(sequence: number): number | undefined {
    let index = this.indexAfter(sequence)
    while (index < this.#length && this.isExpired(index)) {
      const relative = index - this.#first
      const isWhole = this.#expired[(relative / CHUNK) | 0]?.count === CHUNK
      index += isWhole ? CHUNK - (relative % CHUNK) : 1
    }
    return this.at(index)
  }

  /** Entries above `sequence` that have not expired; so many steps as there are chunks. */
  countAfter(sequence: number): number {
    const index = this.indexAfter(sequence)
    const relative = index - this.#first
    const first = (relative / CHUNK) | 0
    let count = this.#length - index
    for (let i = first + 1; i < this.#expired.length; i++) count -= this.#expired[i]?.count ?? 0
    const { bits } = this.#expired[first] ?? {}
    for (let place = relative % CHUNK; bits && place < CHUNK; place++) count -= bits[place]!
    return count
  }
}

/** What of a chunk has expired. */
interface Expired {
  /** 1 for each entry that has. */
  readonly bits: Uint8Array
  count: number
}
