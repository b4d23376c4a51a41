/** A running timer; `cancel` may be called at any time, also twice. */
export interface Timer {
  cancel(): void
}

/** The time, in milliseconds since 1970. */
export function nowMs(): number {
  return Date.now()
}

/**
 * Calls back once, `delayMs` from now. Unlike the timers of the server it keeps the process alive: a program that
 * waits for its server must not end.
 */
export function after(delayMs: number, callback: () => void): Timer {
  const timer = setTimeout(callback, delayMs)
  return { cancel: () => clearTimeout(timer) }
}

/** Whether the promise settles within `timeoutMs`; `Infinity` waits for ever. Never rejects. */
export async function settlesWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true
  )
  if (timeoutMs === Number.POSITIVE_INFINITY) return await settled
  let timer: Timer | undefined
  const late = new Promise<boolean>(resolve => {
    timer = after(timeoutMs, () => resolve(false))
  })
  const isSettled = await Promise.race([settled, late])
  timer?.cancel()
  return isSettled
}
