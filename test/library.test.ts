import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect as connectSocket, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import * as library from '../src/index.ts'
import {
  builtinPlugins,
  createServer,
  defaultSettings,
  type ErrorCode,
  QueueError,
  type Settings
} from '../src/index.ts'
import { definePlugin, type Plugin, type PluginContext } from '../src/plugin.ts'
import { quiet } from './helpers/aedes.ts'
import { RecordingLog } from './helpers/core.ts'
import { testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'

const logger = { clientId: 'logger', clean: false }

/** Settings of a server on free ports, with its data in a folder of the test. */
function settingsFor(t: ExecutionContext, changes: Partial<Settings> = {}): Settings {
  return defaultSettings({ mqttPort: 0, httpPort: 0, data: join(testFolder(t), 'data'), ...changes })
}

/** Starts a server with the plugins it usually has and perhaps more; stopped by the test or in its teardown. */
async function startLibrary(t: ExecutionContext, settings: Settings, more: readonly Plugin[] = []) {
  const server = await createServer({ settings, plugins: [...builtinPlugins(settings), ...more] })
  t.teardown(() => server.stop())
  return server
}

/** A plugin that does what the test wants. */
function plugin(name: string, parts: Partial<Plugin> = {}): Plugin {
  return { name, schema: { type: 'object' }, setup: () => ({}), ...parts }
}

function isListening(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connectSocket(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

/** A port that somebody else listens on. */
async function takenPort(t: ExecutionContext): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as { port: number }).port
}

async function startFailure(settings: Settings, plugins: readonly Plugin[]): Promise<QueueError> {
  try {
    const server = await createServer({ settings, plugins, pluginsOrigin: 'file /etc/restante.yaml' })
    await server.stop()
  } catch (error) {
    return error as QueueError
  }
  throw new Error('the server has started')
}

// ---- starting and stopping

test('the library has what its users and its plugins need', t => {
  const wanted = [
    'ERRORS',
    'QueueError',
    'attachIntrospection',
    'builtinPlugins',
    'createServer',
    'defaultSettings',
    'loadPlugins',
    'loadSettings',
    'restante'
  ]
  t.deepEqual(Object.keys(library).sort(), wanted)
})

for (const store of ['memory', 'local'] as const) {
  test(`a server with the ${store} store listens on free ports, keeps for who is away, and shows it`, async t => {
    const settings = settingsFor(t, { store })
    const server = await startLibrary(t, settings)
    const { mqttAddress, httpAddress } = server
    t.is(mqttAddress.host, '127.0.0.1')
    t.true(mqttAddress.port > 0 && httpAddress.port > 0)
    t.regex(server.aedesVersion, /^\d+\.\d+\.\d+/)
    const subscriber = await RawClient.connect(mqttAddress.port, logger)
    await subscriber.subscribe('DB/CREATE')
    await subscriber.disconnect()
    const publisher = await RawClient.connect(mqttAddress.port)
    await publisher.publish({ topic: 'DB/CREATE', payload: '1', qos: 1 })
    t.is(await server.directory.session('logger')?.backlog(), 1)
    const shown = await fetch(`http://127.0.0.1:${httpAddress.port}/v1/sessions/logger`)
    t.like(await shown.json(), { id: 'logger', connected: false, backlog: 1 })
    const again = await RawClient.connect(mqttAddress.port, logger)
    t.deepEqual(await again.payloads(1), ['1'])
    await server.stop()
    await again.closed()
    t.deepEqual([await isListening(mqttAddress.port), await isListening(httpAddress.port)], [false, false])
    t.is(existsSync(settings.data), store === 'local')
  })
}

test('a server started again on its folder goes on where it stopped', async t => {
  const settings = settingsFor(t)
  const first = await startLibrary(t, settings)
  const subscriber = await RawClient.connect(first.mqttAddress.port, logger)
  await subscriber.subscribe('DB/#')
  await subscriber.disconnect()
  const publisher = await RawClient.connect(first.mqttAddress.port)
  for (const payload of ['1', '2']) await publisher.publish({ topic: 'DB/CREATE', payload, qos: 1 })
  await first.stop()
  const second = await startLibrary(t, settings)
  const again = await RawClient.connect(second.mqttAddress.port, logger)
  t.true(again.connack?.sessionPresent)
  const messages = await again.messages(2)
  t.deepEqual(
    messages.map(({ payload, dup }) => [String(payload), dup]),
    [
      ['1', false],
      ['2', false]
    ]
  )
})

test('stop may be called again, and no call resolves before the server has stopped', async t => {
  let open = () => {}
  const gate = new Promise<void>(resolve => {
    open = resolve
  })
  const slow = plugin('slow', { setup: () => ({ close: () => gate }) })
  const server = await startLibrary(t, settingsFor(t, { store: 'memory' }), [slow])
  const stopped: string[] = []
  const calls = ['first', 'second'].map(name => server.stop().then(() => stopped.push(name)))
  await quiet()
  t.deepEqual(stopped, [])
  open()
  await Promise.all(calls)
  await t.notThrowsAsync(server.stop())
})

test('hooks that are set on a running server are asked', async t => {
  const server = await startLibrary(t, settingsFor(t, { store: 'memory' }))
  server.aedes.authenticate = (_client, name, password, done) =>
    done(null, name === 'alice' && String(password) === 'secret')
  const { port } = server.mqttAddress
  t.is((await RawClient.open(port).login({ username: 'alice', password: 'wrong' })).returnCode, 5)
  t.is((await RawClient.open(port).login({ username: 'alice', password: 'secret' })).returnCode, 0)
})

test('what goes wrong is written to the log that was given', async t => {
  const log = new RecordingLog()
  const settings = settingsFor(t, { store: 'memory' })
  const server = await createServer({ settings, plugins: builtinPlugins(settings), log })
  t.teardown(() => server.stop())
  const hostile = RawClient.open(server.mqttAddress.port)
  hostile.sendBytes(Buffer.of(0x30, 0))
  await hostile.closed()
  t.true(log.lines.some(({ text }) => text.includes('the first packet is not CONNECT')))
})

// ---- a start that fails

for (const taken of ['mqttPort', 'httpPort'] as const) {
  test(`a start that finds its ${taken} in use closes what it has started`, async t => {
    const settings = settingsFor(t)
    const port = await takenPort(t)
    const closed: string[] = []
    const watchers = ['one', 'two'].map(name =>
      plugin(name, { setup: () => ({ close: async () => void closed.push(name) }) })
    )
    let mqttPort = 0
    if (taken === 'httpPort') {
      // a port of our own, to see that it is let go
      const probe = createTcpServer().listen(0, '127.0.0.1')
      await once(probe, 'listening')
      mqttPort = (probe.address() as { port: number }).port
      await new Promise(resolve => probe.close(resolve))
    }
    const plugins = [...builtinPlugins(settings), ...watchers]
    const failure = await startFailure({ ...settings, mqttPort, [taken]: port }, plugins)
    t.like(failure, { code: 'EADDRINUSE', port })
    t.deepEqual(closed, ['two', 'one'])
    if (mqttPort > 0) t.false(await isListening(mqttPort))
    const server = await startLibrary(t, settings)
    t.is([...server.directory.sessions()].length, 0)
  })
}

test('a start on a folder in use is refused and closes its plugins', async t => {
  const settings = settingsFor(t)
  await startLibrary(t, settings)
  const closed: string[] = []
  const watcher = plugin('watcher', { setup: () => ({ close: async () => void closed.push('watcher') }) })
  const failure = await startFailure(settings, [...builtinPlugins(settings), watcher])
  t.is(failure.code, 'QUEUE_DATA_IN_USE')
  t.deepEqual(closed, ['watcher'])
})

// ---- plugins

test('a plugin gets its options with defaults, the common settings, and a directory that fills when the server runs', async t => {
  let given: { context: PluginContext; options: object } | undefined
  const greeter = definePlugin<{ greeting: string; times: number }>({
    name: 'greeter',
    after: ['introspection'],
    schema: {
      type: 'object',
      additionalProperties: false,
      required: [],
      properties: { greeting: { type: 'string', default: 'hello' }, times: { type: 'integer', default: 1 } }
    } as never,
    setup(context, options) {
      given = { context, options }
      return {
        async routes(app) {
          app.get('/greeting', async () => ({ ...options, clients: [...context.directory.clients()].length }))
        }
      }
    }
  })
  const settings = settingsFor(t, { store: 'memory', fsync: 'off', plugins: { greeter: { times: 3 } } })
  const server = await startLibrary(t, settings, [greeter])
  const { context, options } = given!
  t.deepEqual(options, { greeting: 'hello', times: 3 })
  t.like(context.settings, { dataDirectory: settings.data, fsync: 'off' })
  await RawClient.connect(server.mqttAddress.port)
  const answer = await fetch(`http://127.0.0.1:${server.httpAddress.port}/v1/greeting`)
  t.deepEqual(await answer.json(), { greeting: 'hello', times: 3, clients: 1 })
})

interface BadPlugin {
  readonly title: string
  readonly plugins: (settings: Settings) => readonly Plugin[]
  readonly settings?: Partial<Settings>
  readonly code: ErrorCode
  /** What the text must name. */
  readonly names: RegExp
}

const strict = {
  type: 'object',
  additionalProperties: false,
  properties: { size: { type: 'integer', minimum: 1 } }
}

const BAD: readonly BadPlugin[] = [
  {
    title: 'a plugin without the one it needs',
    plugins: settings => [plugin('late', { after: ['early'] }), ...builtinPlugins(settings)],
    code: 'QUEUE_PLUGIN_MISSING',
    names: /late.*early/
  },
  {
    title: 'a plugin set up before the one it needs',
    plugins: settings => [...builtinPlugins(settings), plugin('late', { after: ['early'] }), plugin('early')],
    code: 'QUEUE_PLUGIN_MISSING',
    names: /late.*early/
  },
  {
    title: 'an option of the wrong type',
    plugins: settings => [...builtinPlugins(settings), plugin('strict', { schema: strict })],
    settings: { plugins: { strict: { size: 'big' } } },
    code: 'QUEUE_CONFIG_INVALID',
    names: /^plugins\.strict\.size \(file \/etc\/restante\.yaml\): .*integer/
  },
  {
    title: 'an option that the plugin does not have',
    plugins: settings => [...builtinPlugins(settings), plugin('strict', { schema: strict })],
    settings: { plugins: { strict: { colour: 'red' } } },
    code: 'QUEUE_CONFIG_INVALID',
    names: /^plugins\.strict.*\(file \/etc\/restante\.yaml\): .*colour/
  },
  {
    title: 'a set-up that throws',
    plugins: settings => [
      ...builtinPlugins(settings),
      plugin('clumsy', {
        setup: () => {
          throw new TypeError('cannot read properties of undefined')
        }
      })
    ],
    code: 'QUEUE_PLUGIN_INVALID',
    names: /clumsy.*cannot read properties/
  },
  {
    title: 'a set-up that rejects with an error of ours',
    plugins: settings => [
      ...builtinPlugins(settings),
      plugin('strict', {
        setup: async () => {
          throw new QueueError('QUEUE_CONFIG_INVALID', {
            detail: { key: 'plugins.strict.size', origin: 'here', problem: 'is odd' }
          })
        }
      })
    ],
    code: 'QUEUE_CONFIG_INVALID',
    names: /^plugins\.strict\.size \(here\): is odd$/
  },
  {
    title: 'two stores',
    plugins: settings => [
      ...builtinPlugins({ ...settings, store: 'memory' }),
      ...builtinPlugins({ ...settings, store: 'local' }).slice(0, 1)
    ],
    code: 'QUEUE_PLUGIN_INVALID',
    names: /store-(memory|local)/
  },
  {
    title: 'no store',
    plugins: settings => builtinPlugins(settings).slice(1),
    code: 'QUEUE_PLUGIN_INVALID',
    names: /no plugin gives a store/
  }
]

for (const { title, plugins, settings: changes, code, names } of BAD) {
  test(`${title} stops the start with an error that names it, and what was set up is closed`, async t => {
    const settings = settingsFor(t, { store: 'memory', ...changes })
    const closed: string[] = []
    const first = plugin('first', { setup: () => ({ close: async () => void closed.push('first') }) })
    const failure = await startFailure(settings, [first, ...plugins(settings)])
    t.is(failure.code, code)
    t.regex(failure.message, names)
    t.deepEqual(closed, ['first'])
    t.false(existsSync(settings.data))
  })
}
