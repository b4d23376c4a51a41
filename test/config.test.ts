import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { loadSettings, type SettingsInput } from '../src/config/load.ts'
import { SETTINGS_MARKERS, settingsMarkdown, withSettingsTable } from '../src/config/markdown.ts'
import { flagOf, variableOf } from '../src/config/names.ts'
import { originText } from '../src/config/origin.ts'
import { SETTINGS_SCHEMA } from '../src/config/schema.ts'
import { defaultSettings, SETTING_KEYS, type SettingKey, schemaOf } from '../src/config/settings.ts'
import { validateValues } from '../src/config/validate.ts'
import { QueueError } from '../src/errors.ts'
import { temporaryFolder } from './helpers/cli-folder.ts'

const RUNS = Number(process.env.RESTANTE_TEST_RUNS ?? 200)
const SEED = Number(process.env.RESTANTE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))

test('defaults alone are the settings of a server that was told nothing', t => {
  const { settings, origins } = loadSettings({})
  t.deepEqual(settings, defaultSettings())
  t.deepEqual([settings.host, settings.mqttPort, settings.fsync], ['127.0.0.1', 1883, 'always'])
  t.true(SETTING_KEYS.every(key => originText(origins[key]) === 'default'))
})

test('every default fulfils the schema', t => {
  t.deepEqual(validateValues({ ...defaultSettings() }, 'typed'), [])
})

test('names of flags and variables follow from the key', t => {
  t.is(flagOf('maxConnectPacketBytes'), 'max-connect-packet-bytes')
  t.is(variableOf('maxConnectPacketBytes'), 'RESTANTE_MAX_CONNECT_PACKET_BYTES')
  t.is(new Set(SETTING_KEYS.map(flagOf)).size, SETTING_KEYS.length)
})

test('values changed by a caller do not change the defaults of the next one', t => {
  ;(defaultSettings().allowedOrigins as string[]).push('https://a.example')
  t.deepEqual(defaultSettings().allowedOrigins, [])
})

for (const [name, text] of [
  [
    'settings.yaml',
    'mqttPort: 1900\nfsync: off\nallowedHosts: [a.example]\nplugins: { introspection: {} }\n'
  ],
  [
    'settings.json',
    '{"mqttPort":1900,"fsync":"off","allowedHosts":["a.example"],"plugins":{"introspection":{}}}'
  ]
] as const) {
  test(`${name} gives values of every type and is their origin`, t => {
    const file = fileWith(t, name, text)
    const { settings, origins } = loadSettings({ file })
    const { mqttPort, fsync, allowedHosts, plugins } = settings
    t.deepEqual(
      { mqttPort, fsync, allowedHosts, plugins },
      {
        mqttPort: 1900,
        fsync: 'off',
        allowedHosts: ['a.example'],
        plugins: { introspection: {} }
      }
    )
    t.deepEqual(origins.mqttPort, { kind: 'file', name: file })
    t.is(originText(origins.mqttPort), `file ${file}`)
    t.is(origins.httpPort.kind, 'default')
  })
}

test('environment values are read as the type of their key', t => {
  const environment = {
    RESTANTE_MQTT_PORT: '0',
    RESTANTE_ALLOWED_ORIGINS: 'https://a.example, http://b.example:81',
    RESTANTE_ALLOWED_HOSTS: '["a.example"]',
    RESTANTE_PLUGINS: '{"introspection":{}}',
    RESTANTE_DATA: '007'
  }
  const { settings, origins } = loadSettings({ environment })
  t.is(settings.mqttPort, 0)
  t.deepEqual(settings.allowedOrigins, ['https://a.example', 'http://b.example:81'])
  t.deepEqual(settings.allowedHosts, ['a.example'])
  t.deepEqual(settings.plugins, { introspection: {} })
  t.is(settings.data, '007')
  t.is(originText(origins.data), 'environment variable RESTANTE_DATA')
})

test('flags are read as the type of their key, and the last of several counts', t => {
  const flags = { 'mqtt-port': ['1', '2'], 'allowed-hosts': ['a,b', 'c'], host: undefined }
  const { settings, origins } = loadSettings({ flags })
  t.is(settings.mqttPort, 2)
  t.deepEqual(settings.allowedHosts, ['a', 'b', 'c'])
  t.is(originText(origins.mqttPort), 'flag --mqtt-port')
  t.is(origins.host.kind, 'default')
})

test('an empty variable counts as not set', t => {
  const { settings, origins } = loadSettings({ environment: { RESTANTE_MQTT_PORT: '' } })
  t.is(settings.mqttPort, 1883)
  t.is(origins.mqttPort.kind, 'default')
})

test('an empty file changes nothing', t => {
  t.deepEqual(
    loadSettings({ file: fileWith(t, 'empty.yaml', '# nothing yet\n') }).settings,
    defaultSettings()
  )
})

test('variables with the prefix that are meant for others are ignored', t => {
  const names = [
    'RESTANTE_BOOT_ID',
    'RESTANTE_CONFIG',
    'RESTANTE_DIST',
    'RESTANTE_HTTP_URL',
    'RESTANTE_TEST_RUNS',
    'RESTANTE_URL',
    'RESTANTE_PORT',
    'RESTANTE_PORT_1883_TCP_ADDR',
    'RESTANTE_SERVICE_HOST',
    'RESTANTE_SERVICE_PORT_MQTT'
  ]
  const environment = Object.fromEntries(names.map(name => [name, 'x']))
  t.deepEqual(loadSettings({ environment }).settings, defaultSettings())
})

test('the highest source that sets a key wins, whatever the others say', t => {
  t.log(`seed ${SEED}`)
  const folder = temporaryFolder(t)
  let count = 0
  const subset = fc.record({ file: values(), environment: values(), flags: values() })
  fc.assert(
    fc.property(subset, given => {
      const file = join(folder, `${++count}.json`)
      writeFileSync(file, JSON.stringify(Object.fromEntries(given.file)))
      const { settings, origins } = loadSettings({
        file,
        environment: Object.fromEntries(
          [...given.environment].map(([key, value]) => [variableOf(key), written(value)])
        ),
        flags: Object.fromEntries([...given.flags].map(([key, value]) => [flagOf(key), written(value)]))
      })
      for (const key of SETTING_KEYS) {
        const sources = [
          ['flag', given.flags],
          ['environment', given.environment],
          ['file', given.file]
        ] as const
        const winner = sources.find(([, entries]) => entries.has(key))
        t.deepEqual(settings[key], winner ? winner[1].get(key) : defaultSettings()[key])
        t.is(origins[key].kind, winner ? winner[0] : 'default')
      }
    }),
    { numRuns: RUNS, seed: SEED }
  )
})

interface Refusal {
  readonly title: string
  readonly input: (t: ExecutionContext) => SettingsInput
  readonly key: string
  readonly origin: RegExp
  readonly problem: RegExp
}

const REFUSALS: readonly Refusal[] = [
  {
    title: 'a number out of bounds',
    input: () => ({ flags: { 'mqtt-port': '65536' } }),
    key: 'mqttPort',
    origin: /^flag --mqtt-port$/,
    problem: /^expected an integer from 0 to 65535, found 65536$/
  },
  {
    title: 'text in place of a number',
    input: () => ({ environment: { RESTANTE_MAX_INFLIGHT: 'many' } }),
    key: 'maxInflight',
    origin: /^environment variable RESTANTE_MAX_INFLIGHT$/,
    problem: /^expected an integer from 1 to 65535, found "many"$/
  },
  {
    title: 'a number in quotes in a file',
    input: t => ({ file: fileWith(t, 'a.yaml', 'mqttPort: "1883"') }),
    key: 'mqttPort',
    origin: /^file \/.*a\.yaml$/,
    problem: /^expected an integer from 0 to 65535, found "1883"$/
  },
  {
    title: 'a fraction',
    input: () => ({ flags: { 'checkpoint-ms': '12.5' } }),
    key: 'checkpointMs',
    origin: /flag/,
    problem: /found "12.5"$/
  },
  {
    title: 'a choice that does not exist',
    input: () => ({ flags: { fsync: 'never' } }),
    key: 'fsync',
    origin: /flag --fsync/,
    problem: /^expected one of always, interval, off, found "never"$/
  },
  {
    title: 'an empty text where one is needed',
    input: () => ({ flags: { data: '' } }),
    key: 'data',
    origin: /flag --data/,
    problem: /^expected a text that is not empty, found ""$/
  },
  {
    title: 'a list with a bad entry',
    input: () => ({ environment: { RESTANTE_ALLOWED_ORIGINS: 'https://a.example,b.example' } }),
    key: 'allowedOrigins',
    origin: /RESTANTE_ALLOWED_ORIGINS/,
    problem: /such as https:\/\/app\.example, found "b\.example"$/
  },
  {
    title: 'options that are not JSON',
    input: () => ({ flags: { plugins: 'introspection' } }),
    key: 'plugins',
    origin: /flag --plugins/,
    problem: /^expected options by name, such as \{"introspection": \{\}\}, found "introspection"$/
  },
  {
    title: 'a misspelt key in a file',
    input: t => ({ file: fileWith(t, 'a.yaml', 'mqtt-prot: 1') }),
    key: 'mqtt-prot',
    origin: /^file /,
    problem: /^there is no such setting \(did you mean mqttPort\?\)$/
  },
  {
    title: 'a misspelt variable',
    input: () => ({ environment: { RESTANTE_FSYNK: 'off' } }),
    key: 'RESTANTE_FSYNK',
    origin: /^environment variable RESTANTE_FSYNK$/,
    problem: /did you mean RESTANTE_FSYNC\?/
  },
  {
    title: 'a variable that is like no setting',
    input: () => ({ environment: { RESTANTE_COFFEE_MACHINE: '1' } }),
    key: 'RESTANTE_COFFEE_MACHINE',
    origin: /RESTANTE_COFFEE_MACHINE/,
    problem: /^there is no such setting$/
  },
  {
    title: 'a flag that is no setting',
    input: () => ({ flags: { 'http-prt': '1' } }),
    key: '--http-prt',
    origin: /^flag --http-prt$/,
    problem: /did you mean --http-port\?/
  },
  {
    title: 'a key that every object has',
    input: t => ({ file: fileWith(t, 'a.json', '{"__proto__": {"fsync": "off"}}') }),
    key: '__proto__',
    origin: /^file /,
    problem: /^there is no such setting/
  },
  {
    title: 'a file that is not there',
    input: t => ({ file: join(temporaryFolder(t), 'none.yaml') }),
    key: 'config',
    origin: /none\.yaml$/,
    problem: /^cannot be read: ENOENT/
  },
  {
    title: 'a file that is not YAML',
    input: t => ({ file: fileWith(t, 'a.yaml', 'mqttPort: [1') }),
    key: 'config',
    origin: /a\.yaml$/,
    problem: /^cannot be read: .*line 1/
  },
  {
    title: 'a file that is not JSON',
    input: t => ({ file: fileWith(t, 'a.json', '{') }),
    key: 'config',
    origin: /a\.json$/,
    problem: /^cannot be read: .*JSON/
  },
  {
    title: 'a file with a list',
    input: t => ({ file: fileWith(t, 'a.yaml', '- mqttPort') }),
    key: 'config',
    origin: /a\.yaml$/,
    problem: /^expected settings in the form "key: value"$/
  },
  {
    title: 'one port for two listeners',
    input: () => ({ environment: { RESTANTE_MQTT_PORT: '8080' } }),
    key: 'mqttPort',
    origin: /RESTANTE_MQTT_PORT/,
    problem: /^expected another port than httpPort, found 8080 for both$/
  }
]

for (const { title, input, key, origin, problem } of REFUSALS) {
  test(`${title} is refused with its key and origin`, t => {
    const error = t.throws(() => loadSettings(input(t)), { instanceOf: QueueError })
    t.is(error.code, 'QUEUE_CONFIG_INVALID')
    t.is(error.detail.key, key)
    t.regex(String(error.detail.origin), origin)
    t.regex(String(error.detail.problem), problem)
    t.true(error.message.startsWith(`${key} (`))
  })
}

test('all bad values are told at once', t => {
  const flags = { 'mqtt-port': 'x', fsync: 'y' }
  const error = t.throws(() => loadSettings({ flags, environment: { RESTANTE_STORE: 'z' } }), {
    instanceOf: QueueError
  })
  const problems = error.detail.problems as { key: string }[]
  t.deepEqual(problems.map(problem => problem.key).sort(), ['fsync', 'mqttPort', 'store'])
})

test('the table names every setting with its flag, variable and default', t => {
  const lines = settingsMarkdown().split('\n').slice(2)
  t.is(lines.length, SETTING_KEYS.length)
  t.true(lines.every(line => line.split(/(?<!\\)\|/).length === 8))
  t.true(
    lines.some(line => line.startsWith('| `mqttPort` | `--mqtt-port` | `RESTANTE_MQTT_PORT` | `1883` |'))
  )
})

test('README has the table of the schema', t => {
  const file = new URL('../../README.md', import.meta.url)
  const readme = existsSync(file) ? readFileSync(file, 'utf8') : ''
  if (!readme.includes(SETTINGS_MARKERS.begin)) {
    t.pass('it has no place for it yet')
    return
  }
  t.is(withSettingsTable(readme), readme, 'make it anew with withSettingsTable of src/config/markdown.ts')
})

test('a page without markers has no table to make anew', t => {
  t.is(withSettingsTable('# Restante'), null)
  const page = `a\n${SETTINGS_MARKERS.begin}\nold\n${SETTINGS_MARKERS.end}\nb`
  t.is(
    withSettingsTable(page),
    page.replace('old', () => settingsMarkdown())
  )
})

function fileWith(t: ExecutionContext, name: string, text: string): string {
  const file = join(temporaryFolder(t), name)
  writeFileSync(file, text)
  return file
}

/** As it is typed in a flag or variable. */
function written(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Legal values for any set of keys; ports are apart from each other. */
function values(): fc.Arbitrary<Map<SettingKey, unknown>> {
  const arbitraries = SETTING_KEYS.map(key =>
    fc.option(fc.tuple(fc.constant(key), legalValue(key)), { nil: null, freq: 2 })
  )
  return fc.tuple(...arbitraries).map(entries => new Map(entries.filter(entry => entry !== null)))
}

function legalValue(key: SettingKey): fc.Arbitrary<unknown> {
  const schema = schemaOf(key)
  if (key === 'mqttPort') return fc.integer({ min: 1, max: 5000 })
  if (key === 'httpPort') return fc.integer({ min: 5001, max: 65_535 })
  if (schema.type === 'integer') return fc.integer({ min: schema.minimum, max: schema.maximum })
  if (schema.type === 'boolean') return fc.boolean()
  if ('enum' in schema) return fc.constantFrom(...schema.enum)
  if (schema.type === 'string') return fc.string({ minLength: 1, maxLength: 20 })
  return fc.constant(schema.default)
}

// not checked at every start: that would take longer than all else there
test('the schema of the settings is a schema', t => {
  const ajv = new Ajv({ strict: true })
  t.true(ajv.validateSchema(SETTINGS_SCHEMA), ajv.errorsText())
})
