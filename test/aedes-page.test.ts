import { readdirSync, readFileSync } from 'node:fs'
import test from 'ava'
import { disagreements, type Outcome, readPage } from './aedes-suite/expected.ts'

/* The comparison that .ci/run makes with test/aedes.md. */

const TEXT = `
- **odd**: It is odd.
- **timing**: It may pass.

| file | tests |
| - | - |
| a.js | 3 |
| b.js | not run |

| file | test | why |
| - | - | - |
| a.js | \`differs\` | odd |
| a.js | \`\` has a \`tick\` \`\` | timing |
`

function ran(...passed: readonly (readonly [string, boolean])[]): Map<string, Outcome[]> {
  return new Map([['a.js', passed.map(([name, isPassed]) => ({ name, isPassed, problem: 'because' }))]])
}

const fine = [
  ['differs', false],
  ['passes', true]
] as const

for (const mayPass of [true, false]) {
  test(`a page agrees with a run in which all that is listed differs, whatever a test of timing does: ${mayPass}`, t => {
    t.deepEqual(disagreements(readPage(TEXT), ran(...fine, ['has a `tick`', mayPass])), [])
  })
}

test('a test that differs and is not listed is told with its problem', t => {
  const outcomes = ran(['differs', false], ['passes', false], ['has a `tick`', true])
  t.deepEqual(disagreements(readPage(TEXT), outcomes), ['a.js: "passes" differs and is not listed: because'])
})

test('a test that is listed and passes is told', t => {
  const outcomes = ran(['differs', true], ['passes', true], ['has a `tick`', true])
  t.deepEqual(disagreements(readPage(TEXT), outcomes), ['a.js: "differs" is listed and passes'])
})

test('tests that are missing, and files that nobody knows, are told', t => {
  const outcomes = new Map([...ran(['passes', true], ['has a `tick`', true]), ['c.js', []]])
  t.deepEqual(disagreements(readPage(TEXT), outcomes), [
    'a.js: 2 tests have run, 3 are on the page',
    'a.js: "differs" is listed and has not run',
    'c.js is not on the page'
  ])
})

test('a reason that is not explained, and a test of a file that is not there, are told', t => {
  const page = readPage(`${TEXT}| a.js | \`passes\` | whim |\n| d.js | \`x\` | odd |\n`)
  const outcomes = ran(['differs', false], ['passes', false], ['has a `tick`', true])
  t.deepEqual(disagreements(page, outcomes), [
    'passes: the reason whim is not explained',
    'd.js: x: there is no such file'
  ])
})

test('the page has every test file of the package, and explains every reason it gives', t => {
  const page = readPage(readFileSync(new URL('../../test/aedes.md', import.meta.url), 'utf8'))
  const isTest = (name: string) => /\.c?js$/.test(name) && name !== 'helper.js'
  const files = readdirSync(new URL('test/', import.meta.resolve('aedes'))).filter(isTest)
  t.deepEqual([...page.files.keys()].sort(), files.sort())
  t.deepEqual(
    page.listed.filter(({ why }) => !page.reasons.has(why)),
    []
  )
  t.deepEqual(
    [...page.reasons].filter(reason => !page.listed.some(({ why }) => why === reason)),
    []
  )
})
