import { deepEqual } from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

/** A named check; it rejects when it fails. */
export type Check = readonly [name: string, run: () => Promise<void>]

/** What has to pass before a session or message of one second has surely expired, in milliseconds. */
const EXPIRY_MS = 2_100

/**
 * Runs checks one after the other and prints `ok NAME` or `not ok NAME: WHY` for each.
 * @returns whether all are well.
 */
export async function runChecks(checks: readonly Check[]): Promise<boolean> {
  let hasFailed = false
  for (const [name, run] of checks) {
    try {
      await run()
      process.stdout.write(`ok ${name}\n`)
    } catch (error) {
      hasFailed = true
      process.stdout.write(`not ok ${name}: ${storyOf(error)}\n`)
    }
  }
  return !hasFailed
}

/** Fails unless both are equal; the message begins with the first difference. */
export function same(actual: unknown, expected: unknown): void {
  if (!Array.isArray(actual) || !Array.isArray(expected)) {
    deepEqual(actual, expected)
    return
  }
  const counts: string = `expected ${expected.length}, got ${actual.length}`
  for (let index = 0; index < Math.max(actual.length, expected.length); index++) {
    deepEqual([counts, index, actual[index]], [counts, index, expected[index]])
  }
}

/** The moment from which on something is to expire. */
export class Expiry {
  #from = performance.now()

  /** Begins anew. */
  begin(): void {
    this.#from = performance.now()
  }

  /** Waits until what expires within a second has expired. */
  async passed(): Promise<void> {
    await sleep(Math.max(0, this.#from + EXPIRY_MS - performance.now()))
  }
}

function storyOf(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return text.split(/\s+/).join(' ').slice(0, 2_000)
}
