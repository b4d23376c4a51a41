import type { ExecutionContext } from 'ava'
import type { Clock, Timer } from '../../src/clock.ts'
import { turns } from './conformance-core.ts'
import type { TestCore } from './core.ts'
import { type CoreParts, startCore } from './core.ts'
import type { ModelStore } from './model-store.ts'

interface Due {
  at: number
  readonly periodMs: number
  readonly callback: () => void
}

/** A clock that stands still until it is moved on; what was due meanwhile is called in order, each at its time. */
export class HandClock implements Clock {
  readonly #due = new Set<Due>()
  #now = Date.UTC(2030, 0, 1)

  now(): number {
    return this.#now
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#add({ at: this.#now + delayMs, periodMs: 0, callback })
  }

  every(periodMs: number, callback: () => void): Timer {
    return this.#add({ at: this.#now + periodMs, periodMs, callback })
  }

  /** Lets so many seconds pass, and what they led to begin. */
  async pass(seconds: number): Promise<void> {
    const until = this.#now + seconds * 1_000
    for (let next = this.#next(until); next; next = this.#next(until)) {
      this.#now = next.at
      if (next.periodMs > 0) next.at += next.periodMs
      else this.#due.delete(next)
      next.callback()
      await turns(1)
    }
    this.#now = until
    await turns(20)
  }

  #next(until: number): Due | undefined {
    let first: Due | undefined
    for (const due of this.#due)
      if (due.at <= until && due.at < (first?.at ?? Number.POSITIVE_INFINITY)) first = due
    return first
  }

  #add(due: Due): Timer {
    this.#due.add(due)
    return { cancel: () => this.#due.delete(due) }
  }
}

/** A core whose time passes by hand. */
export interface TimedCore extends TestCore<ModelStore> {
  readonly clock: HandClock
  /** Stops this core as a kill of the process does and starts another on its store, at the same time of the clock. */
  restart(): Promise<TimedCore>
}

/** Starts a core with a clock of its own. It is closed when the test ends. */
export async function startTimed(
  t: ExecutionContext,
  parts: Omit<CoreParts, 'clock'> & { readonly clock?: HandClock } = {}
): Promise<TimedCore> {
  const clock = parts.clock ?? new HandClock()
  const core = await startCore(t, { ...parts, clock })
  const restart = () => startTimed(t, { ...parts, store: core.store.crash('process'), clock })
  return { ...core, clock, restart }
}
