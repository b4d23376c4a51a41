import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { builtinPlugins } from '../src/builtin.ts'
import { defaultSettings } from '../src/config/settings.ts'
import { QueueError } from '../src/errors.ts'
import { loadPlugins } from '../src/plugin-loader.ts'
import { createServer } from '../src/server.ts'
import { runCommand, type ServerProcess, startServer, testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'

/** The example as it is written; from dist/test it is three folders up. */
const STAMP = fileURLToPath(new URL('../../examples/plugins/stamp.ts', import.meta.url))

/** Writes a module and returns its path. */
function moduleOf(t: ExecutionContext, source: string, name = 'own.mjs'): string {
  const file = join(testFolder(t), name)
  writeFileSync(file, source)
  return file
}

function get({ httpPort }: ServerProcess, path: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${httpPort}${path}`)
}

test('the example in TypeScript stamps payloads, and has a route, a metric and a command', async t => {
  const options = JSON.stringify({ stamp: { queues: ['DB', 'LOG'] } })
  const server = await startServer(t, { args: ['--plugin', STAMP, '--plugins', options] })
  const client = await RawClient.connect(server.mqttPort, { protocolVersion: 5 })
  await client.subscribe('#', 1)
  await client.publish({ topic: 'LOG/x', payload: '{"id":1}', qos: 1 })
  const { payload } = await client.next('publish')
  const { id, acceptedAt } = JSON.parse(payload.toString()) as { id: number; acceptedAt: string }
  t.is(id, 1)
  await client.publish({ topic: 'other', payload: 'as it is', qos: 1 })
  t.deepEqual(await client.payloads(1), ['as it is'])
  const refused = await client.publish({ topic: 'DB/CREATE', payload: 'no JSON', qos: 1 })
  t.like(refused, { reasonCode: 0x87 })
  t.deepEqual(await (await get(server, '/v1/stamp')).json(), {
    queues: ['DB', 'LOG'],
    field: 'acceptedAt',
    last: acceptedAt
  })
  t.regex(await (await get(server, '/metrics')).text(), /^restante_stamp_messages_total 1$/m)
  const read = await runCommand(t, ['stamp', 'read', payload.toString(), '--plugin', STAMP])
  t.deepEqual([read.exit?.code, read.stdout], [0, `${acceptedAt}\n`])
  const help = await runCommand(t, ['stamp', '--help'], { RESTANTE_PLUGIN: STAMP })
  t.regex(help.stdout, /restante stamp read <payload> +Print the stamp in a payload/)
})

test('options of a plugin are checked as those of the server', async t => {
  const program = await runCommand(t, [
    'start',
    ...['--plugin', STAMP, '--plugins', '{"stamp": {"queue": ["DB"]}}', '--store', 'memory']
  ])
  t.is(program.exit?.code, 2)
  t.regex(program.stderr, /plugins\.stamp .*additional/)
})

const WRONG: readonly [title: string, source: string, said: RegExp][] = [
  ['has a syntax error', 'export default {', /own\.mjs: cannot be loaded: Unexpected end of input/],
  ['throws while it is loaded', 'throw new Error("bad day")', /own\.mjs: cannot be loaded: bad day/],
  ['exports nothing', 'export const x = 1', /own\.mjs: has no default export: expected the plugin/],
  [
    'exports something else',
    'export default 7',
    /does not export a plugin: expected an object, found number/
  ],
  ['has no name', 'export default { schema: {}, setup() {} }', /its name is undefined, expected lower-case/],
  [
    'has no schema',
    'export default { name: "own", setup() {} }',
    /own has no schema: expected the JSON Schema/
  ],
  ['has no setup', 'export default { name: "own", schema: {} }', /own has no function setup/],
  [
    'takes a name that is taken',
    'export default { name: "metrics", schema: {}, setup: () => ({}) }',
    /there is another plugin with the name metrics/
  ],
  [
    'fails in setup',
    'export default { name: "own", schema: {}, setup() { throw new Error("no key") } }',
    /plugin own: no key/
  ],
  [
    'fails when the server has started',
    'export default { name: "own", schema: {}, setup: () => ({ async started() { throw new Error("too late") } }) }',
    /plugin own: started\(\) failed: too late/
  ],
  [
    'needs a plugin that is missing',
    'export default { name: "own", after: ["other"], schema: {}, setup: () => ({}) }',
    /plugin own needs plugin other/
  ]
]

for (const [title, source, said] of WRONG) {
  test(`a plugin that ${title} is refused at the start, by name`, async t => {
    const settings = defaultSettings({ mqttPort: 0, httpPort: 0, store: 'memory' })
    const builtin = builtinPlugins(settings)
    const start = async () => {
      const names = builtin.map(({ name }) => name)
      const loaded = await loadPlugins([moduleOf(t, source)], names)
      const server = await createServer({ settings, plugins: [...builtin, ...loaded.map(one => one.plugin)] })
      t.teardown(() => server.stop())
    }
    t.regex((await t.throwsAsync(start(), { instanceOf: QueueError })).message, said)
  })
}

test('a file or package that is not there is named', async t => {
  await t.throwsAsync(loadPlugins(['./nowhere.mjs'], [], testFolder(t)), {
    code: 'QUEUE_PLUGIN_INVALID',
    message: /^plugin \.\/nowhere\.mjs: cannot be loaded: .*nowhere\.mjs/
  })
  await t.throwsAsync(loadPlugins(['no-such-package'], [], testFolder(t)), {
    code: 'QUEUE_PLUGIN_INVALID',
    message: /^plugin no-such-package: there is no such package here \(a file begins with \.\/\)/
  })
})

const FAULTY = `
export default {
  name: 'faulty',
  schema: { type: 'object' },
  setup({ clock, events, publisher }) {
    return {
      async routes(app) {
        app.get('/faulty/route', async () => { throw new Error('in a route') })
        app.get('/faulty/timer', async () => { clock.after(0, () => { throw new Error('in a timer') }); return {} })
        app.get('/faulty/rejected', async () => { clock.after(0, async () => { throw new Error('in a promise') }); return {} })
        app.get('/faulty/loose', async () => { Promise.reject(new Error('nobody waits')); return {} })
        app.get('/faulty/outside', async () => { setTimeout(() => { throw new Error('own timer') }, 0); return {} })
      },
      gates: { authorizePublish(asking, { topic }) { if (topic === 'bad') throw new Error('in a gate') } },
      started() { events.on('subscribed', () => { throw new Error('in a listener') }) },
      async close() { throw new Error('in close') }
    }
  }
}`

test('a plugin that fails while the server runs is named in the log, and takes nothing down', async t => {
  const server = await startServer(t, { args: ['--plugin', moduleOf(t, FAULTY)] })
  const client = await RawClient.connect(server.mqttPort, { protocolVersion: 5 })
  const said = (text: RegExp) =>
    server.program.until(() => text.test(server.program.stderr), 10_000, `${text}`)
  const route = await get(server, '/v1/faulty/route')
  t.is(route.status, 500)
  t.false((await route.text()).includes('in a route'))
  await said(/"plugin":"faulty".*in a route|in a route.*"plugin":"faulty"/)
  await get(server, '/v1/faulty/timer')
  await said(/a timer of plugin faulty failed: in a timer/)
  await get(server, '/v1/faulty/rejected')
  await said(/a timer of plugin faulty failed: in a promise/)
  await get(server, '/v1/faulty/loose')
  await said(/unhandled rejection in plugin faulty: nobody waits/)
  await get(server, '/v1/faulty/outside')
  await said(/uncaught exception in plugin faulty: own timer/)
  await client.subscribe('a', 1)
  await said(/a listener of subscribed of plugin faulty failed: in a listener/)
  t.like(await client.publish({ topic: 'bad', qos: 1 }), { reasonCode: 0x87 })
  await said(/a gate of plugin faulty failed: in a gate/)
  await client.publish({ topic: 'a', payload: 'still here', qos: 1 })
  t.deepEqual(await client.payloads(1), ['still here'])
  const { code } = await server.program.kill('SIGTERM')
  t.is(code, 1)
  t.regex(server.program.stderr, /in close/)
})

test('what a plugin asks for before the server has started is answered with words', async t => {
  const source = `export default { name: 'hasty', schema: {}, setup({ control }) { control.disconnect('x'); return {} } }`
  const program = await runCommand(t, ['start', '--plugin', moduleOf(t, source), '--store', 'memory'])
  t.regex(program.stderr, /plugin hasty asks for what is there once the server has started/)
})
