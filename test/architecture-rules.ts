import { posix } from 'node:path'

/** Source files by their path from the top of the project, with `/`. */
export type Sources = ReadonlyMap<string, string>

/** One import of a file; `import type` is left out, because it is gone when the program runs. */
interface Import {
  readonly from: string
  /** A path in the project, or the name of a package. */
  readonly to: string
}

/** Parts that everything may import and that import only each other. */
const LEAVES = [
  'clock',
  'control',
  'directory',
  'errors',
  'events',
  'gates',
  'log',
  'messages',
  'serial',
  'store',
  'lane',
  'lane-names',
  'topic',
  'version',
  'wire'
]

/** The way of a message, from the disk up: a stage imports itself, leaves and the stages before it. */
const STAGES = ['journal', 'routing', 'delivery', 'broker', 'front']

/** What else each part of src may import, besides itself and leaves. */
const REST: Readonly<Record<string, readonly string[]>> = {
  admin: STAGES,
  client: [],
  builtin: ['plugin'],
  commands: ['builtin', 'config', 'http', 'index', 'migrate', 'plugin', 'plugin-loader', 'server'],
  migrate: [...STAGES, 'builtin', 'config', 'plugin', 'plugin-context', 'plugin-setup'],
  config: [],
  cluster: [...STAGES, 'admin'],
  core: [...STAGES, 'admin', 'cluster', 'stages'],
  stages: [...STAGES, 'cluster'],
  http: [],
  adopt: ['assembly', 'broker', 'builtin', 'config', 'plugin'],
  assembly: ['config', 'core', 'plugin', 'plugin-context', 'plugin-setup'],
  index: ['adopt', 'builtin', 'config', 'plugin', 'plugin-loader', 'server'],
  plugin: ['journal'],
  'plugin-loader': ['plugin'],
  'plugin-context': ['core', 'plugin'],
  'plugin-setup': ['config', 'plugin', 'plugin-context'],
  server: ['assembly', 'config', 'http', 'plugin']
}

const MOST_LINES = 400

/** Every broken rule, one line each; empty when all is well. */
export function brokenRules(sources: Sources): string[] {
  const imports = [...sources].flatMap(([path, text]) => (path.endsWith('.ts') ? importsOf(path, text) : []))
  return [
    ...imports.flatMap(brokenImport),
    ...cycles(imports),
    ...[...sources].flatMap(([path, text]) => brokenText(path, text)),
    ...pluginFolders(sources)
  ]
}

/** Files that are longer than they should be, and not yet too long. */
export function longFiles(sources: Sources): string[] {
  return [...sources]
    .filter(([, text]) => lineCount(text) > 300)
    .map(([path, text]) => `${path}: ${lineCount(text)} lines`)
}

// ---- imports

function importsOf(from: string, text: string): Import[] {
  const statement = /^(?:import|export)\s+(?!type\s)(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm
  const call = /\bimport\(\s*['"]([^'"]+)['"]/g
  const code = withoutComments(text)
  return [...code.matchAll(statement), ...code.matchAll(call)].map(found => {
    const name = found[1]!
    return { from, to: name.startsWith('.') ? posix.normalize(posix.join(posix.dirname(from), name)) : name }
  })
}

function brokenImport({ from, to }: Import): string[] {
  if (isTest(from)) return []
  if (isAedes(to))
    return from === 'src/broker/broker.ts' ? [] : [`${from}: only src/broker/broker.ts imports ${to}`]
  if (from.startsWith('plugins/')) return brokenPluginImport(from, to)
  if (to.startsWith('plugins/'))
    return from === 'src/builtin.ts' ? [] : [`${from}: only src/builtin.ts imports plugins (${to})`]
  if (!to.startsWith('src/')) return []
  const [here, there] = [partOf(from), partOf(to)]
  if (here === there || LEAVES.includes(there)) return []
  const allowed = STAGES.includes(here) ? STAGES.slice(0, STAGES.indexOf(here)) : (REST[here] ?? [])
  return allowed.includes(there) ? [] : [`${from}: ${here} does not import ${there} (${to})`]
}

function brokenPluginImport(from: string, to: string): string[] {
  const isOwn = to.startsWith(`${from.split('/').slice(0, 2).join('/')}/`)
  const isLocal = to.startsWith('src/') || to.startsWith('plugins/') || to.startsWith('test/')
  if (isOwn || !isLocal || to === 'src/plugin.ts') return []
  return [`${from}: a plugin imports src/plugin.ts and its own folder only (${to})`]
}

function isAedes(name: string): boolean {
  return name === 'aedes' || name.startsWith('aedes-')
}

function isTest(path: string): boolean {
  return path.endsWith('.test.ts')
}

/** `src/wire/message.ts` is part of `wire`, `src/errors.ts` of `errors`. */
function partOf(path: string): string {
  return path.split('/')[1]!.replace(/\.ts$/, '')
}

/** Import cycles, each told once, from its first file in the alphabet. */
function cycles(imports: readonly Import[]): string[] {
  const targets = new Map<string, string[]>()
  for (const { from, to } of imports) targets.set(from, [...(targets.get(from) ?? []), to])
  const found = new Set<string>()
  const done = new Set<string>()
  const visit = (file: string, way: readonly string[]): void => {
    const at = way.indexOf(file)
    if (at >= 0) found.add(cycleText(way.slice(at)))
    if (at >= 0 || done.has(file)) return
    for (const next of targets.get(file) ?? []) visit(next, [...way, file])
    done.add(file)
  }
  for (const file of targets.keys()) visit(file, [])
  return [...found]
}

function cycleText(files: readonly string[]): string {
  const first = files.indexOf([...files].sort()[0]!)
  const turned = [...files.slice(first), ...files.slice(0, first)]
  return `import cycle: ${[...turned, turned[0]].join(' -> ')}`
}

// ---- text

function brokenText(path: string, text: string): string[] {
  const broken: string[] = []
  if (lineCount(text) > MOST_LINES) broken.push(`${path}: ${lineCount(text)} lines, at most ${MOST_LINES}`)
  if (isTest(path)) return broken
  // the client is a program of its own, in a browser too
  if (path !== 'src/clock.ts' && path !== 'src/client/clock.ts') {
    const timing = /\bDate\.now\b|\bnew Date\(\)|\bset(?:Timeout|Interval)\(|\bperformance\.now\b|\bhrtime\b/
    const found = timing.exec(withoutComments(text))
    if (found) broken.push(`${path}: ${found[0].replace('(', '')} belongs to src/clock.ts`)
  }
  return [...broken, ...undocumentedExports(path, text)]
}

/** Every exported name has a doc comment right before it. */
function undocumentedExports(path: string, text: string): string[] {
  const declaration =
    /^export (?:default )?(?:declare )?(?:abstract )?(?:async )?(?:function\*?|class|interface|type|const) (\w+)/
  const lines = text.split('\n')
  return lines.flatMap((line, index) => {
    const name = declaration.exec(line)?.[1]
    if (!name || /^export type \{/.test(line)) return []
    const before = lines.slice(0, index).findLast(above => !above.startsWith('// biome-ignore')) ?? ''
    return before.trim().endsWith('*/') ? [] : [`${path}: ${name} has no doc comment`]
  })
}

function lineCount(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}

/** The text with comments blanked out; strings stay. */
function withoutComments(text: string): string {
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g
  return text.replace(token, found => (found.startsWith('/') ? ' '.repeat(1) : found))
}

// ---- folders

/** Every plugin folder has an entry, a page and a test. */
function pluginFolders(sources: Sources): string[] {
  const names = new Set(
    [...sources.keys()].filter(path => path.startsWith('plugins/')).map(path => path.split('/')[1]!)
  )
  return [...names].flatMap(name =>
    ['index.ts', 'README.md', `${name}.test.ts`]
      .filter(file => !sources.has(`plugins/${name}/${file}`))
      .map(file => `plugins/${name}: ${file} is missing`)
  )
}
