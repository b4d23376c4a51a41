import { setImmediate } from 'node:timers/promises'
import { type Clock, type Directory, errorText, type Logger } from '../../src/plugin.ts'

/** So many sessions are counted in one turn of the event loop. */
const SESSIONS_PER_TURN = 100

/** With more sessions than these a total is used again for a while. */
const MANY_SESSIONS = 10_000

/** How long a total of very many sessions is used again. */
const REUSE_MS = 15_000

/** How long a scrape waits for a count that is on its way; after that it gets the total before. */
const WAIT_MS = 2_000

/** Messages that all sessions together have still to receive. */
export interface Total {
  readonly messages: number
  /** When it was counted, milliseconds since 1970. */
  readonly countedAt: number
}

/** What the total is made from. */
export interface BacklogSources {
  readonly directory: Directory
  readonly clock: Clock
  readonly log: Logger
}

/**
 * Adds up the backlogs of all sessions when it is asked for, a hundred sessions in each turn of the event loop, so that
 * messages never wait for a scrape. One count at a time; whoever asks meanwhile gets the same.
 */
export class BacklogTotal {
  readonly #sources: BacklogSources
  #running: Promise<void> | null = null
  #last: Total | null = null
  #lastSessions = 0

  constructor(sources: BacklogSources) {
    this.#sources = sources
  }

  /** The total; null when none could be counted yet. */
  async read(): Promise<Total | null> {
    if (this.#isFresh()) return this.#last
    this.#running ??= this.#count().finally(() => {
      this.#running = null
    })
    await this.#orLate(this.#running)
    return this.#last
  }

  async #orLate(work: Promise<void>): Promise<void> {
    let isLate = () => {}
    const late = new Promise<void>(resolve => {
      isLate = resolve
    })
    const timer = this.#sources.clock.after(WAIT_MS, isLate)
    await Promise.race([work, late])
    timer.cancel()
  }

  #isFresh(): boolean {
    if (!this.#last || this.#lastSessions <= MANY_SESSIONS) return false
    const ageMs = this.#sources.clock.now() - this.#last.countedAt
    return ageMs >= 0 && ageMs < REUSE_MS
  }

  async #count(): Promise<void> {
    const { directory, clock, log } = this.#sources
    const countedAt = clock.now()
    let messages = 0
    let sessions = 0
    try {
      for (const session of directory.sessions()) {
        messages += await session.backlog()
        if (++sessions % SESSIONS_PER_TURN === 0) await setImmediate()
      }
      this.#last = { messages, countedAt }
      this.#lastSessions = sessions
    } catch (error) {
      log.error({ err: error }, `the backlog could not be counted: ${errorText(error)}`)
    }
  }
}
