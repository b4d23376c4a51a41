import type { EventEmitter } from 'node:events'

/** Told of what a function of the application threw, or rejected with. */
export type Report = (what: string, error: unknown) => void

/**
 * Calls what the application has given, so that whatever it throws or rejects with goes to `failed` and nowhere else.
 * @returns what it returned.
 */
export function callSafely(call: () => unknown, failed: (error: unknown) => void): unknown {
  try {
    const result = call()
    if (isThenable(result)) result.then(undefined, failed)
    return result
  } catch (error) {
    failed(error)
    return undefined
  }
}

/** Emits an event; a listener that throws neither keeps the event from the others nor harms the caller. */
export function emitSafely(
  emitter: EventEmitter,
  event: string | symbol,
  args: unknown[],
  report: Report
): boolean {
  const listeners = emitter.rawListeners(event)
  for (const listener of listeners) {
    callSafely(
      () => Reflect.apply(listener, emitter, args),
      error => report(`a listener of the event ${String(event)}`, error)
    )
  }
  return listeners.length > 0
}

/** The function, of which only the first call counts. */
export function once<Args extends unknown[]>(callback: (...args: Args) => void): (...args: Args) => void {
  let isCalled = false
  return (...args) => {
    if (isCalled) return
    isCalled = true
    callback(...args)
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
