/** What is known of a test that differs. */
export interface Listed {
  readonly file: string
  readonly name: string
  /** A reason explained on the page. */
  readonly why: string
}

/** The page `test/aedes.md`, as far as programs read it. */
export interface Page {
  /** How many tests each file has; null: it is not run. */
  readonly files: ReadonlyMap<string, number | null>
  readonly listed: readonly Listed[]
  /** Reasons that are explained; with `timing` a test may pass or fail. */
  readonly reasons: ReadonlySet<string>
}

const MAY_PASS = 'timing'

/** Reads the page: a table of files, a list of reasons, a table of tests that differ. */
export function readPage(text: string): Page {
  const files = new Map<string, number | null>()
  const listed: Listed[] = []
  for (const [first = '', second = '', third = ''] of rowsOf(text)) {
    const file = unquoted(first)
    if (!/\.c?js$/.test(file)) continue
    if (/^\d+$/.test(second) || second === 'not run')
      files.set(file, second === 'not run' ? null : Number(second))
    else listed.push({ file, name: unquoted(second), why: unquoted(third) })
  }
  const reasons = new Set([...text.matchAll(/^- \*\*(\w+)\*\*: /gm)].map(([, reason]) => reason!))
  return { files, listed, reasons }
}

/** What happened to the tests of one file. */
export interface Outcome {
  readonly name: string
  readonly isPassed: boolean
  readonly problem: string | null
}

/** Says what does not agree with the page; empty when everything does. */
export function disagreements(page: Page, outcomes: ReadonlyMap<string, readonly Outcome[]>): string[] {
  return [
    ...[...outcomes].flatMap(([file, tests]) => ofFile(page, file, tests)),
    ...page.listed
      .filter(({ why }) => !page.reasons.has(why))
      .map(({ name, why }) => `${name}: the reason ${why} is not explained`),
    ...page.listed
      .filter(({ file }) => !page.files.has(file))
      .map(({ file, name }) => `${file}: ${name}: there is no such file`)
  ]
}

function ofFile(page: Page, file: string, tests: readonly Outcome[]): string[] {
  const expected = page.files.get(file)
  if (expected === undefined) return [`${file} is not on the page`]
  if (expected === null) return []
  const listed = new Map(page.listed.filter(one => one.file === file).map(one => [one.name, one.why]))
  const problems =
    expected === tests.length ? [] : [`${file}: ${tests.length} tests have run, ${expected} are on the page`]
  const failed = new Set(tests.filter(({ isPassed }) => !isPassed).map(({ name }) => name))
  for (const { name, isPassed, problem } of tests) {
    if (!isPassed && !listed.has(name))
      problems.push(`${file}: "${name}" differs and is not listed: ${problem}`)
  }
  for (const [name, why] of listed) {
    if (!tests.some(test => test.name === name)) problems.push(`${file}: "${name}" is listed and has not run`)
    else if (!failed.has(name) && why !== MAY_PASS) problems.push(`${file}: "${name}" is listed and passes`)
  }
  return problems
}

function* rowsOf(text: string): Iterable<string[]> {
  for (const line of text.split('\n')) {
    if (line.startsWith('|'))
      yield line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim())
  }
}

function unquoted(cell: string): string {
  return cell.replace(/^`+ ?(.*?) ?`+$/, '$1')
}
