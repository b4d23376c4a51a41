import type { Clock, Timer } from '../../../src/plugin.ts'

/** Rounds at a steady pace, never two at once. */
export class Rounds {
  readonly #clock: Clock
  readonly #round: () => Promise<void>
  #timer: Timer | null = null
  #running: Promise<void> | null = null
  #isWanted = false
  #isOver = false
  #waiting: (() => void)[] = []

  /** @param round one round; what it throws is its own to handle. */
  constructor(clock: Clock, round: () => Promise<void>) {
    this.#clock = clock
    this.#round = round
  }

  /** Begins; resolves when the first round has ended. */
  async start(periodMs: number): Promise<void> {
    this.#timer = this.#clock.every(periodMs, () => this.wake())
    this.wake()
    await this.#running
  }

  /** A round at once; when one is under way, another one behind it. */
  wake(): void {
    if (this.#isOver) return
    if (this.#running) {
      this.#isWanted = true
      return
    }
    this.#running = this.#run().finally(() => {
      this.#running = null
      if (this.#isWanted) {
        this.#isWanted = false
        this.wake()
      }
    })
  }

  /** Resolves when a round that has begun after this call has ended, or no more will come. */
  async next(): Promise<void> {
    // the one under way may have begun too early
    if (this.#running) await this.#ended()
    await this.#ended()
  }

  /** No round begins any more; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#isOver = true
    this.#isWanted = false
    this.#timer?.cancel()
    await this.#running
    this.#tell()
  }

  get isOver(): boolean {
    return this.#isOver
  }

  async #run(): Promise<void> {
    await this.#round()
    this.#tell()
  }

  #ended(): Promise<void> {
    if (this.#isOver) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting.push(resolve)
    })
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
