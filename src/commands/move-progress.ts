import { monotonicMs } from '../clock.ts'

/** From one line to the next where the output is no terminal. */
const LINE_MS = 5_000
/** From one change of the line of a terminal to the next. */
const CHANGE_MS = 100

/** Where progress is shown. */
export interface ProgressScreen {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/**
 * Shows how far something is: on a terminal as one line that changes, elsewhere as a line every few seconds. What is
 * begun is said at once.
 */
export class MoveProgress {
  readonly #screen: ProgressScreen
  readonly #nowMs: () => number
  #what = ''
  #shownMs = Number.NEGATIVE_INFINITY
  #isLineOpen = false

  constructor(screen: ProgressScreen, nowMs: () => number = monotonicMs) {
    this.#screen = screen
    this.#nowMs = nowMs
  }

  /** @param what is being done, such as `messages`; `done` of `total` of it. */
  show(what: string, done: number, total: number): void {
    const isNew = what !== this.#what
    if (isNew) this.end()
    const nowMs = this.#nowMs()
    const pauseMs = this.#screen.isTTY ? CHANGE_MS : LINE_MS
    if (!isNew && done < total && nowMs - this.#shownMs < pauseMs) return
    this.#what = what
    this.#shownMs = nowMs
    const percent = total > 0 ? Math.floor((done / total) * 100) : 100
    const text = `${what}: ${done} of ${total} (${percent} %)`
    this.#screen.write(this.#screen.isTTY ? `\r\u001b[K${text}` : `${text}\n`)
    this.#isLineOpen = true
  }

  /** Leaves the line as it is. */
  end(): void {
    if (this.#isLineOpen && this.#screen.isTTY) this.#screen.write('\n')
    this.#isLineOpen = false
    this.#what = ''
  }
}

/** Whether somebody has asked to leave off: the first SIGINT or SIGTERM asks, a second one ends the process at once. */
export class StopRequest {
  #isAsked = false
  readonly #onSignal = (): void => {
    if (this.#isAsked) process.exit(1)
    this.#isAsked = true
  }

  constructor() {
    process.on('SIGINT', this.#onSignal)
    process.on('SIGTERM', this.#onSignal)
  }

  get isAsked(): boolean {
    return this.#isAsked
  }

  /** Signals do again what they did before. */
  end(): void {
    process.off('SIGINT', this.#onSignal)
    process.off('SIGTERM', this.#onSignal)
  }
}
