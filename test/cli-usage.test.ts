import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { Arguments, Command } from '../src/commands/command.ts'
import { describeFailure } from '../src/commands/failure.ts'
import { publishCommand } from '../src/commands/publish.ts'
import { sessionsCommand } from '../src/commands/sessions.ts'
import { subscribeCommand } from '../src/commands/subscribe.ts'
import { defaultSettings, SETTING_KEYS } from '../src/config/settings.ts'
import { temporaryFolder } from './helpers/cli-folder.ts'
import { runCommand } from './helpers/cli-process.ts'

test('help names every command', async t => {
  const { code, stdout, stderr } = await runCommand(t, ['--help'])
  t.is(code, 0)
  t.is(stderr, '')
  for (const name of 'start config publish subscribe clients sessions queues subscriptions'.split(' ')) {
    t.regex(stdout, new RegExp(`^  restante ${name}\\b`, 'm'))
  }
})

test('help of start names every setting with its default', async t => {
  const { code, stdout } = await runCommand(t, ['start', '--help'])
  t.is(code, 0)
  t.regex(stdout, /--mqtt-port .*\[default: 1883\]/)
  for (const flag of ['--config', '--host', '--http-port', '--data', '--store', '--fsync', '--ready-file']) {
    t.regex(stdout, new RegExp(`^ +${flag} `, 'm'))
  }
})

test('version is that of the package', async t => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  t.deepEqual(await runCommand(t, ['--version']), {
    code: 0,
    signal: null,
    stdout: `${version}\n`,
    stderr: ''
  })
})

const WRONG: readonly (readonly [readonly string[], RegExp])[] = [
  [[], /^restante: expected a command: start, config, /m],
  [['strat'], /^restante: there is no command strat \(did you mean start\?\)$/m],
  [
    ['start', '--mqtt-prot', '1'],
    /^restante: there is no option --mqtt-prot \(did you mean --mqtt-port\?\)$/m
  ],
  [['sessions', '--jsno'], /^restante: there is no option --jsno \(did you mean --json\?\)$/m],
  [['start', 'now'], /^restante: now is one argument too many$/m],
  [['start', '--data'], /^restante: --data needs a value$/m],
  [['publish'], /^restante: expected: restante publish <topic> \[payload\]$/m]
]

for (const [words, line] of WRONG) {
  test(`"restante ${words.join(' ')}" is refused with help and exit code 2`, async t => {
    const { code, stdout, stderr } = await runCommand(t, words)
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, /^restante/)
    t.regex(stderr, /--help/)
    t.regex(stderr, line)
  })
}

test('a bad value is refused with one line and exit code 2', async t => {
  const { code, stdout, stderr } = await runCommand(t, ['start', '--mqtt-port', 'x'])
  t.deepEqual([code, stdout], [2, ''])
  t.is(stderr, 'restante: mqttPort (flag --mqtt-port): expected an integer from 0 to 65535, found "x"\n')
})

const BAD_ARGUMENTS: readonly (readonly [Command, Arguments, RegExp])[] = [
  [publishCommand, { topic: 'DB/+', payload: 'x' }, /^topic name "DB\/\+": has a wildcard/],
  [
    publishCommand,
    { topic: 'a', payload: 'x', qos: '7' },
    /^flag --qos: expected an integer from 0 to 2, found "7"$/
  ],
  [
    publishCommand,
    { topic: 'a', payload: 'x', protocol: '3' },
    /^flag --protocol: expected .* from 4 to 5, found "3"$/
  ],
  [
    publishCommand,
    { topic: 'a', payload: 'x', url: 'nowhere' },
    /^the server's URL: expected one such as mqtt:/
  ],
  [publishCommand, { topic: 'a', payload: 'x', file: 'y' }, /^the payload was given twice/],
  [publishCommand, { topic: 'a', payload: 'x', _: ['publish', 'y'] }, /^expected one payload/],
  [subscribeCommand, { filter: ['DB/#/x'] }, /^topic filter "DB\/#\/x": has # before its last level$/],
  [subscribeCommand, { filter: ['DB/#'], clean: true }, /^--clean needs --id/],
  [subscribeCommand, { filter: ['DB/#'], count: '0' }, /^flag --count: expected an integer from 1 /],
  [sessionsCommand, { http: 'mqtt://x' }, /^the server's address: expected one such as http:/]
]

for (const [command, args, line] of BAD_ARGUMENTS) {
  test(`"${command.usage}" refuses ${JSON.stringify(args)} with exit code 2`, async t => {
    const { lines, exitCode } = describeFailure(await t.throwsAsync(async () => command.run(args)))
    t.is(exitCode, 2)
    t.is(lines.length, 1)
    t.regex(lines[0] ?? '', line)
  })
}

test('config prints every setting with its origin as JSON', async t => {
  const file = join(temporaryFolder(t), 'restante.yaml')
  writeFileSync(file, 'maxInflight: 7\nfsync: off\n')
  const env = { RESTANTE_FSYNC: 'interval', RESTANTE_MQTT_PORT: '1', RESTANTE_URL: 'mqtt://elsewhere' }
  const words = ['config', '--json', '--config', file, '--mqtt-port', '2']
  const { code, stdout } = await runCommand(t, words, { env })
  t.is(code, 0)
  const { settings, origins } = JSON.parse(stdout)
  t.deepEqual(settings, { ...defaultSettings(), maxInflight: 7, fsync: 'interval', mqttPort: 2 })
  t.deepEqual(origins.maxInflight, { kind: 'file', name: file })
  t.deepEqual(origins.fsync, { kind: 'environment', name: 'RESTANTE_FSYNC' })
  t.deepEqual(origins.mqttPort, { kind: 'flag', name: '--mqtt-port' })
  t.is(Object.keys(origins).length, SETTING_KEYS.length)
})

test('config prints a table, and takes the file from the environment', async t => {
  const file = join(temporaryFolder(t), 'restante.json')
  writeFileSync(file, '{"data":"/var/lib/restante"}')
  const { code, stdout } = await runCommand(t, ['config'], { env: { RESTANTE_CONFIG: file } })
  t.is(code, 0)
  t.regex(stdout, /^SETTING\s+VALUE\s+FROM$/m)
  t.true(
    stdout
      .split('\n')
      .some(line => line.startsWith('data ') && line.endsWith(`/var/lib/restante  file ${file}`))
  )
})

test('every bad value is told, each in a line with its origin', async t => {
  const file = join(temporaryFolder(t), 'restante.yaml')
  writeFileSync(file, 'fsnyc: off\n')
  const env = { RESTANTE_MQTT_PORT: '99999' }
  const { code, stderr } = await runCommand(t, ['config', '--config', file], { env })
  t.is(code, 2)
  t.deepEqual(stderr.trimEnd().split('\n'), [
    `restante: fsnyc (file ${file}): there is no such setting (did you mean fsync?)`,
    'restante: mqttPort (environment variable RESTANTE_MQTT_PORT): expected an integer from 0 to 65535, found 99999'
  ])
})

test('a stack is shown only at log level debug', async t => {
  const words = ['start', '--mqtt-port', 'x']
  t.notRegex((await runCommand(t, words)).stderr, /\n +at /)
  t.regex((await runCommand(t, [...words, '--log-level', 'debug'])).stderr, /\n +at /)
})
