import { Signal } from './signal.ts'

/** Lets calls pass while it is open, and wait while it is closed: a slow store, without a clock. */
export class Gate {
  readonly #signal = new Signal()
  #isOpen = true
  #waiting = 0

  close(): void {
    this.#isOpen = false
  }

  open(): void {
    this.#isOpen = true
    this.#signal.notify()
  }

  /** Resolves when the gate is open. */
  async pass(): Promise<void> {
    this.#waiting++
    this.#signal.notify()
    await this.#signal.until(() => this.#isOpen, { describe: () => 'an open gate' })
    this.#waiting--
  }

  /** Resolves when so many calls wait. */
  async until(waiting: number): Promise<void> {
    await this.#signal.until(() => this.#waiting >= waiting, { describe: () => `${waiting} at the gate` })
  }
}
