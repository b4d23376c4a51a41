/** Sequences reserved at a time. */
export const RESERVED_SEQUENCES = 2 ** 20

/**
 * With weak fsync modes a power cut can take messages that were already delivered, and their sequences must not
 * come again. So sequences are reserved in steps: a synced row says how far they may have been used, and after a
 * power cut counting goes on behind it.
 */
export class Reservation {
  readonly #save: (through: number) => Promise<void>
  #through: number
  #renewal: Promise<void> | null = null

  /**
   * @param through the last sequence that is reserved already.
   * @param save writes the row with sync.
   */
  constructor(through: number, save: (through: number) => Promise<void>) {
    this.#through = through
    this.#save = save
  }

  /** Whether `sequence` may be used now; begins with the next step when little is left. */
  covers(sequence: number): boolean {
    // a step that fails here is tried again by extend(), which tells of it
    if (sequence > this.#through - RESERVED_SEQUENCES / 2) this.#renew(sequence).catch(() => {})
    return sequence <= this.#through
  }

  /** Waits until `sequence` may be used. Rejects as the state store does. */
  async extend(sequence: number): Promise<void> {
    while (sequence > this.#through) await this.#renew(sequence)
  }

  #renew(sequence: number): Promise<void> {
    this.#renewal ??= this.#advance(Math.max(this.#through, sequence) + RESERVED_SEQUENCES)
    return this.#renewal
  }

  async #advance(through: number): Promise<void> {
    try {
      await this.#save(through)
      this.#through = through
    } finally {
      this.#renewal = null
    }
  }
}
