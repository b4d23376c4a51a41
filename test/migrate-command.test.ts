import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { LocalStore } from '../plugins/store-local/local-store.ts'
import { silentLog } from '../src/log.ts'
import { storeAt } from '../src/migrate/open-store.ts'
import { placeOf } from '../src/migrate/place.ts'
import { plainBatch } from './helpers/batches.ts'
import { MAIN, runCommand, startProgram, startServer, testFolder } from './helpers/process.ts'
import { RawClient } from './helpers/raw-client.ts'

test('clients go on with a moved folder as if nothing had been: backlog, inflight, retained, wills', async t => {
  const folder = testFolder(t)
  const first = await startServer(t, { dataDirectory: join(folder, 'old') })
  const { away, will } = await leaveSessions(first.mqttPort)
  await first.program.kill('SIGKILL') // what was sent stands in notes, not in cursors
  const moved = await move(t, join(folder, 'old'), join(folder, 'new'))
  t.is(moved.exit?.code, 0)
  // the retained message follows from a message of the journal: no row says so yet
  t.regex(moved.stdout, /^messages +6\n.*sessions +1\nsubscriptions +1\nretained +0\nwills +1\n/s)

  const args = ['--will-grace-seconds', '0']
  const second = await startServer(t, { dataDirectory: join(folder, 'new'), args })
  const client = await RawClient.connect(second.mqttPort, { clientId: 'away', clean: false })
  t.true(client.connack?.sessionPresent)
  const messages = await client.messages(5)
  t.deepEqual(
    messages.map(({ payload, dup }) => [payload.toString(), dup]),
    [
      ['0', true],
      ['1', true],
      ['2', false],
      ['3', false],
      ['4', false]
    ]
  )
  t.deepEqual(
    messages.slice(0, 2).map(({ messageId }) => messageId),
    away.map(({ messageId }) => messageId)
  )
  const watcher = await RawClient.connect(second.mqttPort)
  await watcher.subscribe('state')
  t.is((await watcher.next('publish')).payload.toString(), 'kept')
  await client.next('publish', ({ topic }) => topic === will)
})

test('a migration of a killed process goes on where it was', async t => {
  const folder = testFolder(t)
  const source = await openLocal(join(folder, 'old'))
  const total = 60_000
  for (let sequence = 1; sequence <= total; sequence += 2_000) {
    await source.lane.commit(plainBatch(sequence, 2_000))
  }
  await source.close()
  const words = [
    MAIN,
    'migrate',
    '--from',
    `local:${join(folder, 'old')}`,
    '--to',
    join(folder, 'new'),
    '--json'
  ]
  const killed = startProgram(t, process.execPath, words)
  await killed.until(() => killed.stderr.includes('messages: '))
  await killed.kill('SIGKILL')
  const early = await runCommand(t, [
    'start',
    '--data',
    join(folder, 'new'),
    '--mqtt-port',
    '0',
    '--http-port',
    '0'
  ])
  t.is(early.exit?.code, 1)
  t.regex(early.stderr, /^restante: the store holds only a part of .*old: finish it with the same command/m)
  const program = startProgram(t, process.execPath, words)
  t.is((await program.exited()).code, 0, program.story())
  t.like(JSON.parse(program.stdout), { isResumed: true, counts: { messages: total } })
  t.regex(program.stderr, /^messages: \d+ of 60000 \(\d+ %\)$/m)
  t.regex(program.stderr, /^check: 120000 of 120000 \(100 %\)$/m)
})

test('SIGINT stops a migration so that it can go on', async t => {
  const folder = testFolder(t)
  const source = await openLocal(join(folder, 'old'))
  for (let sequence = 1; sequence <= 60_000; sequence += 2_000) {
    await source.lane.commit(plainBatch(sequence, 2_000))
  }
  await source.close()
  const words = [MAIN, 'migrate', '--from', join(folder, 'old'), '--to', join(folder, 'new')]
  const stopped = startProgram(t, process.execPath, words)
  await stopped.until(() => stopped.stderr.includes('messages: '))
  t.is((await stopped.kill('SIGINT')).code, 1)
  t.regex(stopped.stderr, /the same command goes on where it was\n$/)
  t.is((await move(t, join(folder, 'old'), join(folder, 'new'))).exit?.code, 0)
})

test('a folder on which a server runs is neither source nor target', async t => {
  const folder = testFolder(t)
  const { dataDirectory, mqttPort } = await startServer(t)
  await leaveSessions(mqttPort)
  const from = await move(t, dataDirectory, join(folder, 'new'))
  t.is(from.exit?.code, 3)
  t.is(from.stderr, `restante: a server runs on ${dataDirectory}: stop it first\n`)
  t.deepEqual(readdirSync(folder), [])
  await (await openLocal(join(folder, 'old'))).close()
  const to = await move(t, join(folder, 'old'), dataDirectory)
  t.is(to.exit?.code, 3)
  t.regex(to.stderr, /a server runs on/)
})

test('what cannot be moved is said, and nothing is made', async t => {
  const folder = testFolder(t)
  mkdirSync(join(folder, 'empty'))
  const old = join(folder, 'old')
  await (await openLocal(old)).close()
  const cases = [
    [join(folder, 'nowhere'), 'x', 2, /nowhere is no data folder of Restante/],
    [join(folder, 'empty'), 'x', 2, /empty is no data folder of Restante/],
    ['redis://host/1', 'x', 2, /"redis:\/\/host\/1" names no store: expected local:/],
    ['mongodb://user:secret@host', 'x', 2, /mongodb:\/\/user:\*\*\*@host has no name of a database/],
    [old, `local:${old}`, 2, /source and target are the same/]
  ] as const
  for (const [from, to, code, says] of cases) {
    const program = await move(t, from, to)
    t.is(program.exit?.code, code)
    t.regex(program.stderr, says)
  }
  t.deepEqual(readdirSync(join(folder, 'empty')), [])
})

/** A session with five messages, two of them inflight; a retained message; a client with a will that is connected. */
async function leaveSessions(port: number) {
  const client = await RawClient.connect(port, {
    clientId: 'away',
    clean: false,
    protocolVersion: 5,
    expirySeconds: 0xffff_ffff,
    receiveMaximum: 2,
    isAcking: false
  })
  await client.subscribe('#')
  const publisher = await RawClient.connect(port, {
    clientId: 'publisher',
    will: { topic: 'gone', payload: Buffer.from('will'), qos: 1, retain: false }
  })
  for (let i = 0; i < 5; i++) await publisher.publish({ topic: 'DB/CREATE', payload: `${i}`, qos: 1 })
  await publisher.publish({ topic: 'state', payload: 'kept', qos: 1, retain: true })
  return { away: await client.messages(2), will: 'gone' }
}

function move(t: ExecutionContext, from: string, to: string) {
  return runCommand(t, ['migrate', '--from', from, '--to', to])
}

async function openLocal(folder: string): Promise<LocalStore> {
  const store = await storeAt(placeOf(folder), { brokerName: '', log: silentLog })
  await store.open()
  return store as LocalStore
}
