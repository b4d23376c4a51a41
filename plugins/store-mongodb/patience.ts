import { type Clock, errorText, type Logger, monotonicMs, QueueError } from '../../src/plugin.ts'
import { type Failure, failureOf } from './database.ts'

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000
/** How often the log is told that the database is still away. */
const TELL_MS = 5_000

/** What patience works with. */
export interface PatienceOptions {
  readonly clock: Clock
  readonly log: Logger
  /** Address for people. */
  readonly shownUrl: string
}

/** How long to try. */
export interface PatienceLimits {
  /**
   * Milliseconds after which it is given up with QUEUE_STORE_AWAY; left out: never. A write may only be given up when
   * it is known that nothing of it was sent: see {@link PatienceLimits.isRead}.
   */
  readonly timeoutMs?: number
  /** Whether a failure of unknown outcome may be given up as well, because nothing is changed by it. */
  readonly isRead?: boolean
  /** It counts already and has to be done: also want of space is waited out. */
  readonly isPromised?: boolean
}

/**
 * Tries again until the database answers, and knows whether it does: one place for all that is read and written, so
 * that the log and `problem` tell of one outage once.
 */
export class Patience {
  readonly #options: PatienceOptions
  #problem: QueueError | null = null
  #awayAtMs = 0
  #toldAtMs = 0
  #isClosed = false
  readonly #waiting = new Set<() => void>()

  constructor(options: PatienceOptions) {
    this.#options = options
  }

  /** Why the database cannot be reached at this moment; null while all is well. */
  get problem(): QueueError | null {
    return this.#problem
  }

  /**
   * Does something until it is done or refused; what passes by itself is tried again. Only for what may be done twice.
   * @throws the error of the driver when it is refused, a duplicate, or for want of space; QUEUE_STORE_AWAY when it
   * takes too long, or the store is closed meanwhile.
   */
  async until<Result>(action: () => Promise<Result>, limits: PatienceLimits = {}): Promise<Result> {
    const startedMs = monotonicMs()
    let wasSent = false
    for (let attempt = 0; ; attempt++) {
      try {
        const result = await action()
        this.succeeded()
        return result
      } catch (error) {
        const failure = failureOf(error)
        const { kind } = failure
        if (isAnswer(failure) && !(kind === 'full' && limits.isPromised)) throw error
        wasSent ||= kind === 'unknown'
        const away = this.failed(error)
        const isOver = limits.timeoutMs !== undefined && monotonicMs() - startedMs > limits.timeoutMs
        if (isOver && (limits.isRead || !wasSent)) throw away
        await this.pause(attempt)
      }
    }
  }

  /** The database has answered. */
  succeeded(): void {
    if (!this.#problem) return
    const awayMs = Math.round(monotonicMs() - this.#awayAtMs)
    this.#problem = null
    this.#options.log.warn({ awayMs }, 'MongoDB answers again')
    this.#wake()
  }

  /** It has not. @returns what to tell. */
  failed(error: unknown): QueueError {
    const { shownUrl, log } = this.#options
    const now = monotonicMs()
    const problem = `MongoDB at ${shownUrl}: ${errorText(error)}`
    const away = new QueueError('QUEUE_STORE_AWAY', { cause: error, detail: { problem, url: shownUrl } })
    if (!this.#problem) this.#awayAtMs = now
    if (!this.#problem || now - this.#toldAtMs > TELL_MS) {
      this.#toldAtMs = now
      const awayMs = Math.round(now - this.#awayAtMs)
      log.warn({ awayMs, code: away.code }, `${problem}: it is tried again`)
    }
    this.#problem = away
    return away
  }

  /** Waits before the next attempt. @throws QueueError QUEUE_STORE_AWAY when the store is closed meanwhile. */
  async pause(attempt: number): Promise<void> {
    if (!this.#isClosed) {
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS)
      await new Promise<void>(resolve => {
        const wake = () => {
          timer.cancel()
          this.#waiting.delete(wake)
          resolve()
        }
        const timer = this.#options.clock.after(pauseMs, wake)
        this.#waiting.add(wake)
      })
    }
    if (this.#isClosed)
      throw new QueueError('QUEUE_STORE_AWAY', { detail: { problem: 'the store is closed' } })
  }

  /** Nothing is tried again from now on. */
  close(): void {
    this.#isClosed = true
    this.#wake()
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}

/** Whether an outcome is certain: the database has answered. */
export function isAnswer({ kind }: Failure): boolean {
  return kind !== 'not-sent' && kind !== 'unknown'
}
