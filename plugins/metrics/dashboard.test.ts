import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { type Figures, scrape } from '../../test/helpers/http-metrics.ts'
import { startScene } from '../../test/helpers/http-scene.ts'
import { testFolder } from '../../test/helpers/process.ts'
import { needs } from '../../test/helpers/tools.ts'

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly datasource: object }[]
}

interface Variable {
  readonly name: string
  readonly type: string
  readonly query: string | { readonly query: string }
}

interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly schemaVersion: number
  readonly templating: { readonly list: readonly Variable[] }
  readonly panels: readonly Panel[]
}

// what is not compiled stands beside the sources, three folders above the compiled test
const text = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../../plugins/metrics/${name}`, import.meta.url)), 'utf8')
const dashboard = JSON.parse(text('grafana-dashboard.json')) as Dashboard
const page = text('README.md')
const expressions = dashboard.panels.flatMap(panel => (panel.targets ?? []).map(({ expr }) => expr))

async function figures(t: ExecutionContext): Promise<Figures> {
  const scene = await startScene(t)
  await scene.post('/v1/queues/DB/events/CREATE')
  return await scrape(scene)
}

/** Names in an expression that are no function, keyword or label. */
function metricNames(expression: string): string[] {
  const bare = expression.replace(/\{[^}]*\}/g, '{}').replace(/\bby \([^)]*\)/g, '')
  return [...bare.matchAll(/\b(?:restante|nodejs|process)_\w+/g)].map(([name]) => name)
}

/** The metric that a series belongs to: a histogram has three kinds of series. */
function familyOf(name: string, { types }: Figures): string | undefined {
  if (types.has(name)) return types.get(name) === 'histogram' ? undefined : name
  const family = name.replace(/_(?:bucket|sum|count)$/, '')
  return types.get(family) === 'histogram' ? family : undefined
}

test('every metric of the dashboard is shown by the server, and every one of the server is on the dashboard', async t => {
  const shown = await figures(t)
  const used = new Set<string>()
  for (const expression of expressions) {
    const names = metricNames(expression)
    t.true(names.length > 0, expression)
    for (const name of names) {
      const family = familyOf(name, shown)
      t.truthy(family, `${name} in ${expression}`)
      used.add(family ?? name)
    }
  }
  const own = [...shown.types.keys()].filter(name => name.startsWith('restante_'))
  t.deepEqual(
    own.filter(name => !used.has(name)),
    []
  )
})

test('counters are read by rate, and nothing else is', async t => {
  const { types } = await figures(t)
  const isRising = (name: string) => types.get(name) !== 'gauge'
  for (const expression of expressions) {
    const rated = new Set([...expression.matchAll(/rate\((\w+)/g)].map(([, name]) => name))
    for (const name of metricNames(expression))
      t.is(rated.has(name), isRising(name), `${name} in ${expression}`)
  }
})

test('the labels of the dashboard are labels of the server', async t => {
  const { series } = await figures(t)
  const known = new Set(series.flatMap(text => [...text.matchAll(/(\w+)="/g)].map(([, label]) => label)))
  for (const expression of expressions) {
    const matchers = [...expression.matchAll(/(\w+)=~?"/g)].map(([, label]) => label!)
    const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels]) =>
      labels!.split(/,\s*/)
    )
    for (const label of [...matchers, ...grouped]) {
      t.true(known.has(label) || label === 'job' || label === 'instance', `${label} in ${expression}`)
    }
  }
})

test('the page names every metric of the server, and no other', async t => {
  const { types } = await figures(t)
  const own = [...types.keys()].filter(name => name.startsWith('restante_'))
  const named = [...page.matchAll(/^\| (`restante_.*?) +\| \w/gm)].flatMap(([, cell]) => [
    ...cell!.matchAll(/restante_\w+/g)
  ])
  t.deepEqual(named.map(([name]) => name).sort(), own.sort())
})

test('the dashboard is one that Grafana takes', t => {
  t.true(dashboard.schemaVersion >= 36 && dashboard.uid.length > 0 && dashboard.title.length > 0)
  const [source] = dashboard.templating.list
  t.like(source, { name: 'datasource', type: 'datasource', query: 'prometheus' })
  const variables = new Set(dashboard.templating.list.map(({ name }) => name))
  const ids = dashboard.panels.map(({ id }) => id)
  t.is(new Set(ids).size, ids.length)
  for (const panel of dashboard.panels) {
    if (panel.type === 'row') continue
    t.deepEqual(panel.datasource, { type: 'prometheus', uid: `$${'{datasource}'}` }, panel.title)
    const refIds = panel.targets!.map(({ refId }) => refId)
    t.is(new Set(refIds).size, refIds.length, panel.title)
    for (const { expr } of panel.targets!) {
      for (const [, name] of expr.matchAll(/\$(\w+)/g))
        t.true(variables.has(name!) || name === '__rate_interval', expr)
    }
  }
  t.deepEqual(overlaps(dashboard.panels), [])
})

test('promtool takes the figures, the expressions of the dashboard and the alerts of the page', async t => {
  if (!needs(t, 'promtool')) return
  const folder = testFolder(t)
  const shown = await figures(t)
  const check = spawnSync('promtool', ['check', 'metrics'], { input: shown.text, encoding: 'utf8' })
  // what it says of names that prom-client has given is not ours to mend
  const said = check.stderr.split('\n').filter(line => line.startsWith('restante_') || line.includes('error'))
  t.deepEqual(said, [], check.stderr)
  const rules = expressions.map((expression, i) => {
    const expr = expression.replaceAll('$__rate_interval', '5m')
    return `      - record: expression_${i}\n        expr: ${JSON.stringify(expr)}`
  })
  const alerts = /```yaml\n(groups:\n[\s\S]*?)```/.exec(page)?.[1] ?? ''
  const files = [`groups:\n  - name: dashboard\n    rules:\n${rules.join('\n')}\n`, alerts]
  for (const [index, content] of files.entries()) {
    const file = join(folder, `rules-${index}.yaml`)
    writeFileSync(file, content)
    const parsed = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' })
    t.is(parsed.status, 0, parsed.stderr)
    const count = content.split(/^ +- (?:record|alert):/m).length - 1
    t.true(parsed.stdout.includes(`${count} rules found`), parsed.stdout)
  }
})

/** Pairs of panels that lie on each other, or reach over the 24 columns. */
function overlaps(panels: readonly Panel[]): string[] {
  const problems = panels
    .filter(({ gridPos }) => gridPos.x + gridPos.w > 24)
    .map(({ title }) => `${title} is too wide`)
  for (const [index, { title, gridPos: a }] of panels.entries()) {
    for (const { title: other, gridPos: b } of panels.slice(index + 1)) {
      const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
      if (!isApart) problems.push(`${title} lies on ${other}`)
    }
  }
  return problems
}
