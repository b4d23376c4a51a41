/** How long a test waits for something that should come at once. Generous: it only passes on a failure. */
export const DEADLINE_MS = 20_000

/** What to wait for, and how to tell of it when it does not come. */
export interface WaitOptions {
  /** Milliseconds until the wait fails. */
  readonly deadlineMs?: number
  /** Called on failure: what was waited for and what was seen instead. */
  readonly describe: () => string
}

/** Resolves as `promise` does, or rejects with the description when that takes longer than the deadline. */
export async function withDeadline<T>(promise: Promise<T>, options: WaitOptions): Promise<T> {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`not within ${deadlineMs} ms: ${options.describe()}`)),
      deadlineMs
    )
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * A state that tests wait on: whoever changes the state calls `notify`, whoever waits gives a condition, which is
 * asked again at every change. No polling and no sleeping.
 */
export class Signal {
  readonly #waiting = new Set<() => void>()
  #failure: Error | undefined

  /** Tells all who wait that something changed. */
  notify(): void {
    for (const look of this.#waiting) look()
  }

  /** Lets all present and future waits fail, unless their condition holds. */
  fail(error: Error): void {
    this.#failure ??= error
    this.notify()
  }

  /** Resolves with the first answer of `condition` that is not undefined or false. */
  until<T>(condition: () => T | undefined | false, options: WaitOptions): Promise<T> {
    let look = () => {}
    const promise = new Promise<T>((resolve, reject) => {
      look = () => {
        try {
          const answer = condition()
          if (answer !== undefined && answer !== false) {
            this.#waiting.delete(look) // a condition that takes something must not be asked again
            resolve(answer)
          } else if (this.#failure) reject(new Error(`${this.#failure.message}; ${options.describe()}`))
        } catch (error) {
          reject(error)
        }
      }
    })
    this.#waiting.add(look)
    look()
    return withDeadline(promise, options).finally(() => this.#waiting.delete(look))
  }
}
