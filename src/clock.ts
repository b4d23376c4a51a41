/** A running timer; `cancel` may be called at any time, also twice. */
export interface Timer {
  cancel(): void
}

/** Time, replaceable in tests. Times are milliseconds since 1970. */
export interface Clock {
  now(): number
  /** Calls back once, `delayMs` from now. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer
  /** Calls back every `periodMs`. Does not keep the process alive. */
  every(periodMs: number, callback: () => void): Timer
}

/** Milliseconds since some moment, with fractions; for durations only. It never goes back. */
export function monotonicMs(): number {
  return performance.now()
}

/** Keeps the process alive, even if it waits for nothing but timers, until it is cancelled. */
export function keepAlive(): Timer {
  const timer = setInterval(() => {}, 60_000)
  return { cancel: () => clearInterval(timer) }
}

/** The clock of the machine. The only place that reads the system's time or sets its timers. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
  every(periodMs, callback) {
    const timer = setInterval(callback, periodMs)
    timer.unref()
    return { cancel: () => clearInterval(timer) }
  }
}
