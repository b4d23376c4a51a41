import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const TOP = fileURLToPath(new URL('../../test/', import.meta.url))

/** The numbers of each section: 3 is 1, 2 and 3; [2, 6] is 2 to 6. */
type Sections = Readonly<Record<string, number | readonly [from: number, to: number]>>

/** MQTT 3.1.1, appendix B. */
const STATEMENTS_311: Sections = {
  '1.5.3': 3,
  '2.2.2': 2,
  '2.3.1': 7,
  '3.1.0': 2,
  '3.1.2': 24,
  '3.1.3': 11,
  '3.1.4': 5,
  '3.2.0': 1,
  '3.2.2': 6,
  '3.3.1': 12,
  '3.3.2': 3,
  '3.3.4': 1,
  '3.3.5': 2,
  '3.6.1': 1,
  '3.8.1': 1,
  '3.8.3': 4,
  '3.8.4': 6,
  '3.9.3': 2,
  '3.10.1': 1,
  '3.10.3': 2,
  '3.10.4': 6,
  '3.12.4': 1,
  '3.14.1': 1,
  '3.14.4': 3,
  '4.1.0': 2,
  '4.3.1': 1,
  '4.3.2': 2,
  '4.3.3': 2,
  '4.4.0': 1,
  '4.5.0': 2,
  '4.6.0': 6,
  '4.7.1': 3,
  '4.7.2': 1,
  '4.7.3': 4,
  '4.8.0': 2,
  '6.0.0': 4,
  '7.0.0': 2,
  '7.1.1': 1,
  '7.1.2': 1
}

/** MQTT 5.0, appendix B; there is no 2.2.1-1. */
const STATEMENTS_5: Sections = {
  '1.5.4': 3,
  '1.5.5': 1,
  '1.5.7': 1,
  '2.1.3': 1,
  '2.2.1': [2, 6],
  '2.2.2': 1,
  '3.1.0': 2,
  '3.1.2': 30,
  '3.1.3': 12,
  '3.1.4': 6,
  '3.2.0': 2,
  '3.2.2': 22,
  '3.3.1': 13,
  '3.3.2': 20,
  '3.3.4': 10,
  '3.4.2': 3,
  '3.5.2': 3,
  '3.6.1': 1,
  '3.6.2': 3,
  '3.7.2': 3,
  '3.8.1': 1,
  '3.8.3': 5,
  '3.8.4': 8,
  '3.9.2': 2,
  '3.9.3': 2,
  '3.10.1': 1,
  '3.10.3': 2,
  '3.10.4': 6,
  '3.11.2': 2,
  '3.11.3': 2,
  '3.12.4': 1,
  '3.14.0': 1,
  '3.14.1': 1,
  '3.14.2': 4,
  '3.14.4': 3,
  '3.15.1': 1,
  '3.15.2': 3,
  '4.1.0': 2,
  '4.2': 1,
  '4.3.1': 1,
  '4.3.2': 5,
  '4.3.3': 13,
  '4.4.0': 2,
  '4.5.0': 2,
  '4.6.0': 6,
  '4.7.0': 1,
  '4.7.1': 2,
  '4.7.2': 1,
  '4.7.3': 4,
  '4.8.2': 6,
  '4.9.0': 3,
  '4.12.0': 7,
  '4.12.1': 2,
  '4.13.1': 1,
  '4.13.2': 1,
  '6.0.0': 4
}

const PAGE = readFileSync(`${TOP}/conformance.md`, 'utf8')

interface Row {
  /** Numbers of 3.1.1 and of 5. */
  readonly numbers: readonly [readonly string[], readonly string[]]
  readonly says: string
  readonly tests: string
}

const ROWS: readonly Row[] = [...PAGE.matchAll(/^\|(.*)\|(.*)\|(.*)\|(.*)\|$/gm)]
  .map(([, ...cells]) => cells.map(cell => cell.trim()))
  .filter(([first]) => first !== '3.1.1' && first !== '---')
  .map(([four, five, says, tests]) => ({
    numbers: [split(four!), split(five!)],
    says: says!,
    tests: tests!
  }))

function split(cell: string): string[] {
  return cell === '' ? [] : cell.split(/,\s*/)
}

/** The numbers that the page says to bind clients only. */
function ofClients(version: string): string[] {
  const list = new RegExp(`^- MQTT ${version}: ([^]*?)\\.$`, 'm').exec(PAGE)
  return split(list?.[1] ?? '')
}

function all(sections: Sections): string[] {
  return Object.entries(sections).flatMap(([section, numbers]) => {
    const [from, to] = typeof numbers === 'number' ? [1, numbers] : numbers
    return Array.from({ length: to - from + 1 }, (_, i) => `${section}-${from + i}`)
  })
}

for (const [at, version, sections, count] of [
  [0, '3.1.1', STATEMENTS_311, 141],
  [1, '5.0', STATEMENTS_5, 251]
] as const) {
  test(`every numbered statement of MQTT ${version} stands in the table or is one for clients, once`, t => {
    const found = [...ROWS.flatMap(({ numbers }) => numbers[at]), ...ofClients(version)]
    const expected = all(sections)
    t.is(expected.length, count)
    t.deepEqual([...found].sort(), [...expected].sort())
  })
}

test('every row says what holds, and names tests that there are, or a reason', t => {
  t.true(ROWS.length > 100)
  for (const { numbers, says, tests } of ROWS) {
    const row = numbers.flat().join(', ')
    t.true(numbers.flat().length > 0 && says.length > 10, row)
    if (tests.startsWith('— ')) t.true(tests.length > 10, row)
    else for (const name of tests.split('<br>')) t.true(isTest(name), `${row}: there is no test ${name}`)
  }
})

test('a test that is not there is missed', t => {
  t.true(isTest('websocket: frames may be cut anywhere'))
  t.false(isTest('websocket: frames may be cut'))
  t.false(isTest('nowhere: frames may be cut anywhere'))
  t.true(isTest('disconnect: each PINGREQ of MQTT … gets its PINGRESP'))
  t.false(isTest('disconnect: each PINGREQ of MQTT 6 gets its PINGRESP'))
})

/** Whether there is a test `<file>: <title>`. */
function isTest(name: string): boolean {
  const [, file, title] = /^([\w/-]+): (.+)$/.exec(name) ?? []
  return file !== undefined && titlesOf(file).has(title!)
}

const known = new Map<string, ReadonlySet<string>>()

/** The titles in a test file, with `…` for what differs from case to case. */
function titlesOf(file: string): ReadonlySet<string> {
  const titles = known.get(file) ?? new Set(readTitles(file))
  known.set(file, titles)
  return titles
}

function readTitles(file: string): string[] {
  const path = [`${TOP}/conformance/${file}.test.ts`, `${TOP}/${file}.test.ts`].find(existsSync)
  if (!path) return []
  const place = /(?:\btest(?:\.serial)?\(|\btitle:|\b(?:both|only5)\()\s*(?:'([^'\n]+)'|`([^`]+)`)/g
  return [...readFileSync(path, 'utf8').matchAll(place)].map(([, plain, template]) =>
    (plain ?? template!).replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…')
  )
}
