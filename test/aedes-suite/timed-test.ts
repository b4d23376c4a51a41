import { type TestOptions, test as untimedTest } from 'node:test'

/* `node:test` as the tests of the package `aedes` see it: a test that waits for what never comes ends. */

export { after, afterEach, before, beforeEach, describe, it, mock, suite } from 'node:test'

const TIMEOUT_MS = 30_000
/** For those that are known to differ: many of them wait for what does not come. */
const LISTED_TIMEOUT_MS = 1_500
const LISTED = new Set(JSON.parse(process.env.RESTANTE_AEDES_LISTED ?? '[]') as string[])

type Test = (...args: unknown[]) => Promise<void>

/** `test` of Node, with a timeout where the test has none. */
export function test(...args: unknown[]): Promise<void> {
  const name = args.find(arg => typeof arg === 'string') ?? ''
  const options = args.find(arg => typeof arg === 'object') as TestOptions | undefined
  const body = args.find(arg => typeof arg === 'function')
  const timeout = LISTED.has(name.trim()) ? LISTED_TIMEOUT_MS : Math.max(TIMEOUT_MS, options?.timeout ?? 0)
  return (untimedTest as unknown as Test)(name, { ...options, timeout }, body)
}

export default test
