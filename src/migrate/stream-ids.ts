import type { Posting } from '../store/store.ts'

/** A run of sequences, read up to `at`. */
interface Run extends Posting {
  at: number
}

const NONE: readonly number[] = []

/**
 * The streams of messages, asked for in ascending order. A message that was read does not say which streams it is in;
 * the lists of the streams, which a store hands over at open, do.
 */
export class StreamIds {
  /** Not begun yet; the one that begins first is the last. */
  readonly #waiting: Run[]
  #open: Run[] = []
  #found = new Map<number, number[]>()

  constructor(postings: Iterable<Posting>) {
    const runs = [...postings].filter(({ sequences }) => sequences.length > 0)
    this.#waiting = runs.map(run => ({ ...run, at: 0 })).sort((a, b) => b.sequences[0]! - a.sequences[0]!)
  }

  /** Takes in all up to this sequence, and forgets what was before. It never goes down. */
  advance(through: number): void {
    while (this.#waiting.length > 0 && this.#waiting.at(-1)!.sequences[0]! <= through) {
      this.#open.push(this.#waiting.pop()!)
    }
    this.#found = new Map()
    for (const run of this.#open) this.#read(run, through)
    this.#open = this.#open.filter(({ at, sequences }) => at < sequences.length)
  }

  /** The streams of a message between the last two calls of {@link advance}, ascending. */
  of(sequence: number): readonly number[] {
    return this.#found.get(sequence)?.sort((a, b) => a - b) ?? NONE
  }

  #read(run: Run, through: number): void {
    const { streamId, sequences } = run
    while (run.at < sequences.length && sequences[run.at]! <= through) {
      const sequence = sequences[run.at++]!
      const ids = this.#found.get(sequence)
      if (ids) ids.push(streamId)
      else this.#found.set(sequence, [streamId])
    }
  }
}
