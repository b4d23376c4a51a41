/**
 * Runs the tests that ship in the package `aedes` with every broker adopted, and compares with `test/aedes.md`: a test
 * that differs must be listed there, one that is listed must differ. Closes with `N passed, N failed`.
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { disagreements, type Outcome, type Page, readPage } from './expected.ts'
import type { TestResult } from './reporter.ts'

const TESTS = new URL('test/', import.meta.resolve('aedes'))
const PAGE = new URL('../../../test/aedes.md', import.meta.url)
const REGISTER = new URL('register.js', import.meta.url).href
const REPORTER = new URL('reporter.js', import.meta.url).href

/** Files at once. */
const CONCURRENCY = 2
/** A file that takes longer is ended. */
const FILE_MS = 180_000

process.exitCode = await main()

async function main(): Promise<number> {
  const page = readPage(readFileSync(PAGE, 'utf8'))
  const outcomes = new Map<string, readonly Outcome[]>()
  const files = testFiles()
  const next = async () => {
    for (let file = files.shift(); file; file = files.shift()) outcomes.set(file, await runFile(file, page))
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, next))
  const problems = disagreements(page, outcomes)
  const all = [...outcomes.values()].flat()
  const passed = all.filter(({ isPassed }) => isPassed).length
  say(`${all.length} tests of Aedes: ${passed} pass, ${all.length - passed} differ, see test/aedes.md`)
  for (const problem of problems) say(`  ${problem}`)
  say(`${all.length - problems.length} passed, ${problems.length} failed`)
  return problems.length === 0 ? 0 : 1
}

function testFiles(): string[] {
  const isTest = (name: string) => /\.c?js$/.test(name) && name !== 'helper.js'
  return readdirSync(TESTS).filter(isTest).sort()
}

async function runFile(file: string, page: Page): Promise<Outcome[]> {
  if (page.files.get(file) === null) return []
  const listed = page.listed.filter(one => one.file === file).map(({ name }) => name)
  const args = [
    ...['--test-force-exit', '--import', REGISTER],
    ...['--test-reporter', REPORTER, '--test-reporter-destination', 'stdout'],
    fileURLToPath(new URL(file, TESTS))
  ]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, RESTANTE_AEDES_LISTED: JSON.stringify(listed) },
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: FILE_MS
  })
  let output = ''
  child.stdout.on('data', bytes => {
    output += bytes
  })
  await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
  const results = output
    .split('\n')
    .flatMap(line => (line.startsWith('{"file"') ? [JSON.parse(line) as TestResult] : []))
  const differ = results.filter(({ isPassed }) => !isPassed).length
  say(`${file}: ${results.length} tests, ${differ} differ`)
  return results
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
