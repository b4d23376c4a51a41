import type { TestEvent } from 'node:test/reporters'

/** One finished test of a file, as a line of JSON. */
export interface TestResult {
  readonly file: string
  /** Names of the suites around it and its own, joined by ` > `. */
  readonly name: string
  readonly isPassed: boolean
  readonly isSkipped: boolean
  readonly problem: string | null
}

/** Reporter of the test runner of Node: {@link TestResult} line by line. */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { data } = event
    if (data.nesting > 0) continue
    const error = event.type === 'test:fail' ? event.data.details.error : undefined
    const result: TestResult = {
      file: data.file ?? '',
      name: data.name.trim(),
      isPassed: event.type === 'test:pass',
      isSkipped: data.skip !== undefined && data.skip !== false,
      problem: error ? String((error.cause as Error | undefined)?.message ?? error.message) : null
    }
    yield `${JSON.stringify(result)}\n`
  }
}
