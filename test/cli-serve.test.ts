import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import type { FakeServer } from './helpers/cli-fake-server.ts'
import { temporaryFolder, untilThere } from './helpers/cli-folder.ts'
import { type RunningCommand, startCommand } from './helpers/cli-process.ts'

const SCRIPT = fileURLToPath(new URL('./helpers/cli-fake-server.js', import.meta.url))

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} stops the server with exit code 0 and a line`, async t => {
    const run = start(t, { behaviour: 'normal' })
    await run.output(/Ctrl-C/)
    run.child.kill(signal)
    const { code, stdout, stderr } = await run.outcome
    t.is(code, 0)
    t.regex(stdout, new RegExp(`${signal}: stopping`))
    t.regex(stdout, /Stopped/)
    t.is(stderr, '')
  })
}

test('a further signal ends a server that does not stop, with exit code 1', async t => {
  const run = start(t, { behaviour: 'never-stops' })
  await run.output(/Ctrl-C/)
  run.child.kill('SIGTERM')
  await run.output(/stopping/)
  const impatience = setInterval(() => run.child.kill('SIGINT'), 50)
  const { code, stdout } = await run.outcome
  clearInterval(impatience)
  t.is(code, 1)
  t.notRegex(stdout, /Stopped/)
})

test('a signal that comes twice at once, as from a terminal and npm, is one', async t => {
  const run = start(t, { behaviour: 'stops-after-two-signals' })
  await run.output(/Ctrl-C/)
  run.child.kill('SIGTERM')
  await run.output(/stopping/)
  run.child.kill('SIGINT')
  const { code, stdout } = await run.outcome
  t.is(code, 0)
  t.regex(stdout, /Stopped/)
})

test('a stop that fails ends with exit code 1 and a line', async t => {
  const run = start(t, { behaviour: 'fails-to-stop' })
  await run.output(/Ctrl-C/)
  run.child.kill('SIGTERM')
  const { code, stdout, stderr } = await run.outcome
  t.is(code, 1)
  t.regex(stderr, /^the server did not stop cleanly \(the disk is gone\)/)
  t.notRegex(stdout, /Stopped/)
})

test('ready file tells where the server listens while it does', async t => {
  const readyFile = join(temporaryFolder(t), 'ready.json')
  const run = start(t, { behaviour: 'normal', settings: { readyFile } })
  await run.output(/Ctrl-C/)
  await untilThere(t, readyFile)
  t.deepEqual(JSON.parse(readFileSync(readyFile, 'utf8')), {
    mqtt: { host: '127.0.0.1', port: 40_001 },
    http: { host: '127.0.0.1', port: 40_002 },
    pid: run.child.pid
  })
  run.child.kill('SIGTERM')
  t.is((await run.outcome).code, 0)
  t.false(existsSync(readyFile))
})

test('ready file of a server that was killed is removed by a start that fails', async t => {
  const readyFile = join(temporaryFolder(t), 'ready.json')
  const dead = startCommand(t, ['--version'])
  await dead.outcome
  writeFileSync(readyFile, JSON.stringify({ pid: dead.child.pid }))
  const run = start(t, {
    behaviour: 'normal',
    settings: { readyFile },
    failure: { code: 'QUEUE_DATA_IN_USE' }
  })
  t.is((await run.outcome).code, 1)
  t.false(existsSync(readyFile))
})

test('ready file of another living server is left alone by a start that fails', async t => {
  const readyFile = join(temporaryFolder(t), 'ready.json')
  writeFileSync(readyFile, JSON.stringify({ pid: process.pid }))
  const run = start(t, {
    behaviour: 'normal',
    settings: { readyFile },
    failure: { code: 'QUEUE_DATA_IN_USE' }
  })
  t.is((await run.outcome).code, 1)
  t.true(existsSync(readyFile))
})

test('ready file that cannot be written stops the server with a line', async t => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'file'), '')
  const run = start(t, { behaviour: 'normal', settings: { readyFile: join(folder, 'file', 'ready.json') } })
  const { code, stderr } = await run.outcome
  t.is(code, 1)
  t.regex(stderr, /^the ready file cannot be written \(.*\): name another with --ready-file/)
})

for (const [behaviour, text] of [
  ['throws-later', 'uncaught exception: nobody expected this'],
  ['rejects-later', 'unhandled rejection: nobody awaited this']
] as const) {
  test(`a server that ${behaviour} ends with exit code 70 and a fatal log`, async t => {
    const readyFile = join(temporaryFolder(t), 'ready.json')
    const { code, stderr } = await start(t, { behaviour, settings: { readyFile } }).outcome
    t.is(code, 70)
    const entry = JSON.parse(stderr) as { level: number; msg: string }
    t.deepEqual([entry.level, entry.msg], [60, text])
    t.false(existsSync(readyFile))
  })
}

test('a closed stdout does not stop the server', async t => {
  const readyFile = join(temporaryFolder(t), 'ready.json')
  const run = start(t, { behaviour: 'normal', settings: { readyFile } })
  run.child.stdout?.destroy()
  await untilThere(t, readyFile)
  run.child.kill('SIGTERM')
  t.is((await run.outcome).code, 0)
})

test('a start that fails is one clear line and exit code 1', async t => {
  const failure = { code: 'EADDRINUSE', syscall: 'listen', address: '127.0.0.1', port: 1883 }
  const { code, stdout, stderr } = await start(t, { behaviour: 'normal', failure }).outcome
  t.deepEqual([code, stdout], [1, ''])
  t.regex(stderr, /^127\.0\.0\.1 port 1883 is in use by another program: .* with --mqtt-port\n$/)
})

test('a configuration that a plugin refuses is exit code 2', async t => {
  const failure = { code: 'QUEUE_CONFIG_INVALID', key: 'plugins.x.y', origin: 'file /a', problem: 'is bad' }
  const { code, stderr } = await start(t, { behaviour: 'normal', failure }).outcome
  t.is(code, 2)
  t.is(stderr, 'plugins.x.y (file /a): is bad\n')
})

function start(t: ExecutionContext, fake: FakeServer): RunningCommand {
  return startCommand(t, [JSON.stringify(fake)], { script: SCRIPT })
}
