import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { brokenRules, longFiles, type Sources } from './architecture-rules.ts'

const TOP = fileURLToPath(new URL('../../', import.meta.url))

/** The project's own sources and the pages of its plugins. */
function projectSources(): Sources {
  const isSource = (path: string) => /^(src|plugins)\/.*\.ts$|^plugins\/[^/]+\/README\.md$/.test(path)
  const paths = ['src', 'plugins'].flatMap(folder =>
    readdirSync(`${TOP}/${folder}`, { recursive: true, encoding: 'utf8' }).map(
      name => `${folder}/${name.replaceAll('\\', '/')}`
    )
  )
  const sources = paths
    .filter(isSource)
    .sort()
    .map(path => [path, readFileSync(`${TOP}/${path}`, 'utf8')] as const)
  return new Map(sources)
}

test('the project keeps its own rules', t => {
  const sources = projectSources()
  t.true(sources.size > 50)
  t.deepEqual(brokenRules(sources), [])
  for (const line of longFiles(sources)) t.log(`longer than 300 lines: ${line}`)
})

/** Sources that break each rule once, and what is to be said about it. */
const PLANTED: readonly { rule: string; files: Record<string, string>; says: string }[] = [
  {
    rule: 'a stage imports only stages before it',
    files: { 'src/routing/a.ts': `import { b } from '../delivery/b.ts'` },
    says: 'src/routing/a.ts: routing does not import delivery (src/delivery/b.ts)'
  },
  {
    rule: 'a leaf imports only leaves, also over several lines',
    files: { 'src/wire/a.ts': `import {\n  b,\n  c\n} from '../journal/b.ts'` },
    says: 'src/wire/a.ts: wire does not import journal (src/journal/b.ts)'
  },
  {
    rule: 'an import at run time counts',
    files: { 'src/http/a.ts': `const b = await import('../server.ts')` },
    says: 'src/http/a.ts: http does not import server (src/server.ts)'
  },
  {
    rule: 'what is passed on counts as imported',
    files: { 'src/journal/a.ts': `export * from '../front/b.ts'` },
    says: 'src/journal/a.ts: journal does not import front (src/front/b.ts)'
  },
  {
    rule: 'only the broker imports aedes',
    files: { 'src/front/a.ts': `import { Aedes } from 'aedes'` },
    says: 'src/front/a.ts: only src/broker/broker.ts imports aedes'
  },
  {
    rule: 'src imports no plugin',
    files: { 'src/server.ts': `import { b } from '../plugins/b/index.ts'` },
    says: 'src/server.ts: only src/builtin.ts imports plugins (plugins/b/index.ts)'
  },
  {
    rule: 'a plugin imports the plugin contract only',
    files: { 'plugins/a/b.ts': `import { c } from '../../src/errors.ts'` },
    says: 'plugins/a/b.ts: a plugin imports src/plugin.ts and its own folder only (src/errors.ts)'
  },
  {
    rule: 'a plugin does not import another',
    files: { 'plugins/a/b.ts': `import { c } from '../c/index.ts'` },
    says: 'plugins/a/b.ts: a plugin imports src/plugin.ts and its own folder only (plugins/c/index.ts)'
  },
  {
    rule: 'imports make no cycle',
    files: {
      'src/wire/a.ts': `import { b } from './b.ts'`,
      'src/wire/b.ts': `import { c } from './c.ts'`,
      'src/wire/c.ts': `import { a } from './a.ts'`
    },
    says: 'import cycle: src/wire/a.ts -> src/wire/b.ts -> src/wire/c.ts -> src/wire/a.ts'
  },
  {
    rule: 'a file has 400 lines at most',
    files: { 'src/wire/a.ts': '\n'.repeat(401) },
    says: 'src/wire/a.ts: 401 lines, at most 400'
  },
  {
    rule: 'time is read from the clock',
    files: { 'src/wire/a.ts': 'const now = Date.now()' },
    says: 'src/wire/a.ts: Date.now belongs to src/clock.ts'
  },
  {
    rule: 'timers are set through the clock',
    files: { 'src/wire/a.ts': 'setTimeout(() => {}, 1)' },
    says: 'src/wire/a.ts: setTimeout belongs to src/clock.ts'
  },
  {
    rule: 'every export has a doc comment',
    files: { 'src/wire/a.ts': '/** Said. */\nexport const a = 1\n\nexport function b(): void {}' },
    says: 'src/wire/a.ts: b has no doc comment'
  },
  {
    rule: 'a plugin folder has its page',
    files: { 'plugins/a/index.ts': '', 'plugins/a/a.test.ts': '' },
    says: 'plugins/a: README.md is missing'
  }
]

for (const { rule, files, says } of PLANTED) {
  test(`${rule}: a planted breach is found`, t => {
    t.true(brokenRules(new Map(Object.entries(files))).includes(says))
  })
}

test('what is allowed is not called broken', t => {
  const allowed = new Map([
    [
      'src/wire/a.ts',
      `import type { B } from '../front/b.ts'\n// Date.now() and import('../front/b.ts') in a comment\n`
    ],
    [
      'src/front/a.ts',
      `import { b } from '../delivery/b.ts'\nimport { c } from '../errors.ts'\nimport { d } from './d.ts'`
    ],
    ['src/broker/broker.ts', `import { Aedes } from 'aedes'`],
    ['src/clock.ts', `/** Time. */\nexport const now = () => Date.now()`],
    [
      'plugins/a/index.ts',
      `import { b } from '../../src/plugin.ts'\nimport { c } from './c.ts'\nimport d from 'yaml'`
    ],
    ['plugins/a/a.test.ts', `import { b } from '../../test/helpers/b.ts'\nsetTimeout(() => {}, 1)`],
    ['plugins/a/README.md', '# a']
  ])
  t.deepEqual(brokenRules(allowed), [])
})
