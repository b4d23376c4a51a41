import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { type Program, startProgram, startServer, testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'
import { needs } from './helpers/tools.ts'

const DIST = fileURLToPath(new URL('../', import.meta.url))
const TOP = join(DIST, '..')
/** Installing fetches what is not in npm's cache. */
const INSTALL_MS = 240_000

/** A program of a user of the package; it must compile against the declarations, in strict mode. */
const CONSUMER = `
import { type Directory, createServer, defaultSettings, QueueError, type QueueServer } from 'restante'
import { builtinPlugins } from 'restante'
import { definePlugin, type Plugin } from 'restante/plugin'

export const plugin: Plugin = definePlugin<{ size: number }>({
  name: 'own',
  schema: {
    type: 'object',
    properties: { size: { type: 'integer', default: 1 } },
    required: [],
    additionalProperties: false
  },
  setup: (context, options) => {
    const sizes: number = options.size
    for (const session of context.directory.sessions()) context.log.info({ sizes }, session.clientId)
    return {}
  }
})

export async function run(): Promise<void> {
  const settings = defaultSettings()
  const server: QueueServer = await createServer({ settings, plugins: [...builtinPlugins(settings), plugin] })
  const directory: Directory = server.directory
  const heads: number = directory.server().headSequence
  if (heads < 0) throw new QueueError('QUEUE_NOT_FOUND')
  // @ts-expect-error: there is no such code
  if (heads < -1) throw new QueueError('QUEUE_NO_SUCH_CODE')
}
`

test.serial('the packed package installs without install scripts, runs, and is typed', async t => {
  if (!needs(t, 'npm')) return
  t.timeout(INSTALL_MS + 120_000)
  const folder = testFolder(t)
  const tarball = await pack(t, folder)
  const home = join(folder, 'home')
  mkdirSync(home)
  writeFileSync(join(home, 'package.json'), '{ "private": true, "type": "module" }')
  await runIn(t, home, 'npm', [
    'install',
    '--ignore-scripts',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    tarball
  ])
  checkContents(t, join(home, 'node_modules/restante'))

  const main = join(home, 'node_modules/.bin/restante')
  const { version } = JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as { version: string }
  t.is((await runIn(t, home, main, ['--version'])).stdout.trim(), version)
  for (const store of ['memory', 'local'] as const) await passOneMessage(t, main, store, join(folder, store))
  await compileConsumer(t, home)
})

/** Packs a copy of the project whose dist is the one under test; returns the path of the tarball. */
async function pack(t: ExecutionContext, folder: string): Promise<string> {
  const copy = join(folder, 'copy')
  mkdirSync(copy)
  for (const name of ['package.json', 'README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'LICENSE']) {
    if (existsSync(join(TOP, name))) cpSync(join(TOP, name), join(copy, name))
  }
  cpSync(DIST, join(copy, 'dist'), { recursive: true })
  await runIn(t, copy, 'npm', ['pack', '--ignore-scripts', '--silent'])
  const tarball = readdirSync(copy).find(name => name.endsWith('.tgz'))
  return join(copy, tarball!)
}

/** What a user needs is in it, tests are not. */
function checkContents(t: ExecutionContext, installed: string): void {
  const names = readdirSync(installed, { recursive: true, encoding: 'utf8' })
  for (const name of [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'dist/src/index.d.ts',
    'dist/src/commands/main.js'
  ]) {
    t.true(names.includes(name), name)
  }
  t.deepEqual(
    names.filter(name => /\.test\.|dist\/(test|bench|examples)/.test(name)),
    []
  )
}

async function passOneMessage(
  t: ExecutionContext,
  main: string,
  store: 'memory' | 'local',
  data: string
): Promise<void> {
  const server = await startServer(t, { main, store, dataDirectory: data })
  const client = await RawClient.connect(server.mqttPort, { clientId: 'one' })
  await client.subscribe('DB/CREATE')
  await client.publish({ topic: 'DB/CREATE', payload: store, qos: 1 })
  t.deepEqual(await client.payloads(1), [store])
  t.is((await server.program.kill('SIGTERM')).code, 0, server.program.story())
}

/** Compiles the consumer; libraries of others are not judged, the declarations of the package are. */
async function compileConsumer(t: ExecutionContext, home: string): Promise<void> {
  writeFileSync(join(home, 'consumer.ts'), CONSUMER)
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(TOP, 'node_modules/@types')],
    skipLibCheck: false
  }
  writeFileSync(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  const tsc = startProgram(t, process.execPath, [join(TOP, 'node_modules/typescript/lib/tsc.js'), '-p', home])
  await tsc.exited(INSTALL_MS)
  const errors = tsc.stdout.split('\n').filter(line => /consumer\.ts|node_modules\/restante\//.test(line))
  t.deepEqual(errors, [])
}

/** Runs a command in a folder; fails the test unless it ends well. */
async function runIn(
  t: ExecutionContext,
  folder: string,
  command: string,
  args: readonly string[]
): Promise<Program> {
  const program = startProgram(t, 'sh', [
    '-c',
    'cd "$1" && shift && exec "$@"',
    'sh',
    folder,
    command,
    ...args
  ])
  const exit = await program.exited(INSTALL_MS)
  t.is(exit.code, 0, `${command} ${args.join(' ')}: ${program.story()}`)
  return program
}
