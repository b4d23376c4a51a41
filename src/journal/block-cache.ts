import type { LaneBlock } from '../store/store.ts'
import type { Message } from '../wire/message.ts'

/** What a block takes besides its bytes, so that the empty ones do not add up unseen. */
const BLOCK_BYTES = 1_024

interface Kept {
  readonly block: LaneBlock
  usedAt: number
}

/**
 * Blocks read back from the lane, up to a number of bytes; the one not used for longest goes first. Blocks do not
 * overlap: a new one pushes out those it overlaps.
 */
export class BlockCache {
  readonly #maxBytes: number
  /** Ascending by `from`. */
  #kept: Kept[] = []
  #last: Kept | undefined
  #bytes = 0
  #ticks = 0

  /** @param maxBytes what the blocks may take together; the newest is always kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The message; `null` when a block says that it is gone; `undefined` when no block answers for it. */
  get(sequence: number): Message | null | undefined {
    const kept = this.#find(sequence)
    if (!kept) return undefined
    kept.usedAt = ++this.#ticks
    return find(kept.block.messages, sequence)
  }

  add(block: LaneBlock): void {
    for (const kept of this.#kept) {
      if (kept.block.from <= block.to && kept.block.to >= block.from)
        this.#bytes -= kept.block.bytes + BLOCK_BYTES
    }
    this.#kept = this.#kept.filter(({ block: other }) => other.from > block.to || other.to < block.from)
    while (this.#bytes + block.bytes + BLOCK_BYTES > this.#maxBytes && this.#kept.length > 0) this.#evict()
    const added = { block, usedAt: ++this.#ticks }
    this.#kept.splice(this.#indexAfter(block.from), 0, added)
    this.#last = added
    this.#bytes += block.bytes + BLOCK_BYTES
  }

  #find(sequence: number): Kept | undefined {
    const last = this.#last
    if (last && sequence >= last.block.from && sequence <= last.block.to) return last
    const kept = this.#kept[this.#indexAfter(sequence) - 1]
    if (!kept || sequence > kept.block.to) return undefined
    this.#last = kept
    return kept
  }

  /** Index of the first block that begins above the sequence. */
  #indexAfter(sequence: number): number {
    let low = 0
    let high = this.#kept.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#kept[middle]!.block.from <= sequence) low = middle + 1
      else high = middle
    }
    return low
  }

  #evict(): void {
    let oldest = 0
    for (let i = 1; i < this.#kept.length; i++) {
      if (this.#kept[i]!.usedAt < this.#kept[oldest]!.usedAt) oldest = i
    }
    const [gone] = this.#kept.splice(oldest, 1)
    this.#bytes -= gone!.block.bytes + BLOCK_BYTES
    if (this.#last === gone) this.#last = undefined
  }
}

function find(messages: readonly Message[], sequence: number): Message | null {
  const first = messages[0]
  if (!first) return null
  const guess = messages[sequence - first.sequence]
  if (guess?.sequence === sequence) return guess
  let low = 0
  let high = messages.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (messages[middle]!.sequence < sequence) low = middle + 1
    else high = middle
  }
  const found = messages[low]
  return found?.sequence === sequence ? found : null
}
