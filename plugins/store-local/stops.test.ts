import { appendFile, copyFile, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { plainBatch, range, readLane, sequencesOf } from '../../test/helpers/batches.ts'
import { FaultyFiles } from '../../test/helpers/faulty-files.ts'
import { faultyLevel, LocalFolder } from '../../test/helpers/local-folder.ts'
import { bootId } from './boot.ts'

test('a stop is told apart: new, closed, killed, and another boot of the machine', async t => {
  const folder = await LocalFolder.create(t)
  t.is((await folder.open()).lastStop, 'new')
  t.is((await folder.reopen()).lastStop, 'clean')
  await folder.kill()
  t.is((await folder.open()).lastStop, 'process')
  await folder.kill()
  t.is((await folder.open({ boot: 'another' })).lastStop, 'machine')
  await folder.store.notes.checkpoint(() => [])
  await folder.kill()
  t.is((await folder.open({ boot: 'another' })).lastStop, 'process')
  await folder.store.close()
  t.is((await folder.open({ boot: 'a third' })).lastStop, 'clean')
})

test('after a power cut every open says so until a checkpoint', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open({ boot: 'first' })
  await folder.kill()
  for (let round = 0; round < 3; round++) {
    t.is((await folder.open({ boot: 'second' })).lastStop, 'machine')
    await folder.kill()
  }
  t.is((await folder.open({ boot: 'second' })).lastStop, 'machine')
  await folder.store.close()
  t.is((await folder.open({ boot: 'second' })).lastStop, 'machine')
  await folder.store.notes.checkpoint(() => [])
  t.is((await folder.reopen({ boot: 'second' })).lastStop, 'clean')
})

test('an open that is stopped at any step loses nothing', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 901; first += 100) await folder.commit(plainBatch(first, 100))
  await folder.store.state.write([{ table: 'meta', key: 'row', row: { value: 1 } }], { sync: true })
  await folder.store.notes.append(Buffer.from('note'), { sync: false })
  let isOpen = false
  let steps = 0
  for (; !isOpen; steps++) {
    await folder.kill()
    // work for every part of the recovery
    for (const path of await folder.segments('.idx')) await rm(path)
    for (const path of await folder.segments()) await copyFile(path, `${path}.tmp`)
    await appendFile((await folder.segments()).at(-1)!, 'torn')
    const files = new FaultyFiles(folder.files)
    files.lastOperation = steps
    isOpen = await folder.open({ files, boot: `${steps}` }).then(
      () => true,
      () => false
    )
    await files.kill()
    await folder.kill()
    const { nextSequence, notes, meta, lastStop } = await folder.open({ boot: `${steps}` })
    t.is(nextSequence, 1_001, `after ${steps} steps`)
    t.is(lastStop, 'machine')
    t.deepEqual(notes.map(String), ['note'])
    t.deepEqual(meta.get('row'), { value: 1 })
    t.deepEqual(sequencesOf(await readLane(folder.store.lane, 1, 1_000)), range(1, 1_000))
  }
  t.true(steps > 15, `${steps} steps`)
})

test('journal files without their state are opened as after a power cut', async t => {
  const folder = await LocalFolder.create(t)
  const { lane } = await folder.open()
  await folder.commit(plainBatch(1, 10))
  await folder.store.close()
  await rm(join(folder.directory, 'state'), { recursive: true })
  const contents = await folder.open()
  t.is(contents.lastStop, 'machine')
  t.is(contents.lane, lane)
  t.is(contents.nextSequence, 11)
})

for (const fsync of ['interval', 'off'] as const) {
  test(`after a power cut no sequence comes again that may have been used, fsync ${fsync}`, async t => {
    const folder = await LocalFolder.create(t)
    await folder.open({ fsync })
    const [path] = await folder.segments()
    await folder.commit(plainBatch(1, 10))
    const { size } = await stat(path!)
    await folder.commit(plainBatch(11, 10))
    await folder.kill()
    await truncate(path!, size)
    // the mode of the run that lost something counts, not that of the next
    const { nextSequence } = await folder.open({ boot: 'another', fsync: 'always' })
    t.true(nextSequence > 20)
    t.deepEqual(sequencesOf(await readLane(folder.store.lane, 1, nextSequence - 1)), range(1, 10))
    await folder.kill()
    t.is((await folder.open({ boot: 'a third', fsync: 'always' })).nextSequence, nextSequence)
    await folder.commit(plainBatch(nextSequence, 10))
    t.is((await folder.reopen()).nextSequence, nextSequence + 10)
    t.is((await readLane(folder.store.lane, 1, nextSequence + 9)).length, 20)
  })

  test(`after a kill counting goes on without a gap, fsync ${fsync}`, async t => {
    const folder = await LocalFolder.create(t)
    await folder.open({ fsync })
    await folder.commit(plainBatch(1, 10))
    await folder.kill()
    t.is((await folder.open({ fsync })).nextSequence, 11)
  })
}

test('a reservation is written down before a sequence behind it is used', async t => {
  const folder = await LocalFolder.create(t)
  const { faults, openDatabase } = faultyLevel(folder.openDatabase)
  await folder.open({ fsync: 'off', openDatabase })
  const far = 5_000_000
  faults.failure = new Error('IO error: No space left on device')
  await t.throwsAsync(folder.commit(plainBatch(far, 10)), { code: 'QUEUE_STORE_FULL' })
  faults.failure = null
  await folder.commit(plainBatch(far, 10))
  await folder.kill()
  await truncate((await folder.segments())[0]!, 128)
  t.true((await folder.open({ fsync: 'off', boot: 'another' })).nextSequence > far + 9)
})

test('a reservation is renewed before it is used up', async t => {
  const folder = await LocalFolder.create(t)
  const { faults, openDatabase } = faultyLevel(folder.openDatabase)
  await folder.open({ fsync: 'off', openDatabase })
  await folder.commit(plainBatch(600_000, 1))
  await folder.store.state.write([], { sync: false })
  faults.failure = new Error('IO error: No space left on device')
  await t.notThrowsAsync(folder.commit(plainBatch(1_500_000, 1)))
  faults.failure = null
})

test('with weak fsync a hole in what was not synced is reported and the rest is kept', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open({ fsync: 'off' })
  for (let first = 1; first <= 91; first += 10) await folder.commit(plainBatch(first, 10))
  const [path] = await folder.segments()
  await folder.kill()
  const bytes = await readFile(path!)
  bytes.fill(0, 2_000, 3_000)
  await writeFile(path!, bytes)
  await folder.open({ fsync: 'off', boot: 'another' })
  const left = sequencesOf(await readLane(folder.store.lane, 1, 100))
  t.true(left.length > 60 && left.length < 100 && left.at(-1) === 100)
  const { fields } = folder.lines('error')[0]!
  const lost = range(1, 100).filter(sequence => !left.includes(sequence))
  t.deepEqual([fields.fromSequence, fields.toSequence], [lost[0], lost.at(-1)])
})

test('folders and files are for the owner only', async t => {
  const folder = await LocalFolder.create(t)
  const dataDirectory = join(folder.directory, 'deep', 'data')
  const store = folder.createStore({ dataDirectory })
  await store.open()
  await store.lane.commit(plainBatch(1, 1))
  await store.notes.append(Buffer.from('note'), { sync: false })
  for (const name of ['.', 'journal', 'state', 'notes', 'lock'])
    t.is((await stat(join(dataDirectory, name))).mode & 0o777, 0o700, name)
  for (const name of ['journal', 'notes']) {
    for (const file of await readdir(join(dataDirectory, name)))
      t.is((await stat(join(dataDirectory, name, file))).mode & 0o777, 0o600, file)
  }
  t.is((await stat(join(dataDirectory, 'format.json'))).mode & 0o777, 0o600)
  await store.close()
})

test('a boot has a name that lasts, and tests may give another', async t => {
  const clock = { now: () => 0, after: () => ({ cancel() {} }), every: () => ({ cancel() {} }) }
  const name = await bootId(clock)
  t.true(name.length > 0)
  t.is(await bootId(clock), name)
  process.env.RESTANTE_BOOT_ID = 'given'
  t.teardown(() => delete process.env.RESTANTE_BOOT_ID)
  t.is(await bootId(clock), 'given')
})
