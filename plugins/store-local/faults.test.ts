import { readFile, stat } from 'node:fs/promises'
import test from 'ava'
import { batchOf, payloadOf, plainBatch, range, readLane, sequencesOf } from '../../test/helpers/batches.ts'
import { faultyLevel, LocalFolder } from '../../test/helpers/local-folder.ts'

async function readAll(folder: LocalFolder, to: number): Promise<number[]> {
  return sequencesOf(await readLane(folder.store.lane, 1, to))
}

for (const fsync of ['always', 'interval', 'off'] as const) {
  test(`a full disk refuses a commit and leaves the journal as it was, fsync ${fsync}`, async t => {
    const folder = await LocalFolder.create(t)
    await folder.open({ fsync })
    await folder.commit(plainBatch(1, 10))
    const [path] = await folder.segments()
    const before = await readFile(path!)
    for (const bytesBefore of [0, 1, 20, 100, 700]) {
      const isOver = folder.files.fail({ operation: 'write', path: '.seg', code: 'ENOSPC', bytesBefore })
      await t.throwsAsync(folder.commit(plainBatch(11, 10)), { code: 'QUEUE_STORE_FULL' })
      t.deepEqual(await readFile(path!), before)
      isOver()
    }
    t.deepEqual(await readAll(folder, 10), range(1, 10))
    await folder.commit(plainBatch(11, 10))
    t.deepEqual(await readAll(folder, 20), range(1, 20))
    t.is((await folder.reopen({ fsync })).nextSequence, 21)
    t.deepEqual(await readAll(folder, 20), range(1, 20))
  })
}

test('a full disk while a segment is begun refuses a commit, and a later one passes', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 1, { payload: Buffer.alloc(60_000) }))
  for (const operation of ['open', 'write', 'sync', 'syncDirectory'] as const) {
    const isOver = folder.files.fail({ operation, path: 'journal', code: 'ENOSPC', times: 1 })
    await t.throwsAsync(folder.commit(plainBatch(2, 1, { payload: Buffer.alloc(60_000) })), {
      code: 'QUEUE_STORE_FULL'
    })
    isOver()
    t.is((await folder.segments()).length, 1)
  }
  await folder.commit(plainBatch(2, 1, { payload: Buffer.alloc(60_000) }))
  t.is((await folder.reopen()).nextSequence, 3)
  t.deepEqual(await readAll(folder, 2), [1, 2])
})

test('a journal that cannot be cut back after a full disk takes nothing more', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 10))
  folder.files.fail({ operation: 'write', path: '.seg', code: 'ENOSPC', bytesBefore: 300, times: 1 })
  folder.files.fail({ operation: 'truncate', code: 'EIO', times: 1 })
  await t.throwsAsync(folder.commit(plainBatch(11, 10)), { code: 'QUEUE_STORE_FAILED' })
  await t.throwsAsync(folder.commit(plainBatch(11, 10)), { code: 'QUEUE_STORE_FAILED' })
  t.deepEqual(await readAll(folder, 10), range(1, 10))
  await folder.reopen()
  const { nextSequence } = folder.contents
  await folder.commit(plainBatch(nextSequence, 1))
  t.deepEqual(await readAll(folder, nextSequence), range(1, nextSequence))
})

test('short writes are written to their end', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  folder.files.mostWriteBytes = 7
  await folder.commit(batchOf(1, Array(10).fill({}), 3))
  await folder.store.notes.append(Buffer.from('a note of some length'), { sync: false })
  folder.files.mostWriteBytes = Number.POSITIVE_INFINITY
  await folder.reopen()
  t.deepEqual(
    (await readLane(folder.store.lane, 1, 10)).map(message => message.payload()),
    range(1, 10).map(payloadOf)
  )
  t.deepEqual(folder.contents.notes.map(String), ['a note of some length'])
})

test('after a failed write nothing more is accepted, reading goes on, and a restart finds what was accepted', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 10))
  folder.files.fail({ operation: 'write', path: '.seg', code: 'EIO', bytesBefore: 300, times: 1 })
  await t.throwsAsync(folder.commit(plainBatch(11, 10)), { code: 'QUEUE_STORE_FAILED' })
  const operations = folder.files.operations
  await t.throwsAsync(folder.commit(plainBatch(11, 10)), { code: 'QUEUE_STORE_FAILED' })
  t.is(folder.files.operations, operations, 'nothing is tried again')
  t.deepEqual(await readAll(folder, 10), range(1, 10))
  t.is(folder.lines('error').length, 1)
  const { lastStop, nextSequence } = await folder.reopen()
  t.is(lastStop, 'process')
  t.is(nextSequence, 11)
})

test('with fsync interval a failed sync is final, and the next open acts as after a power cut', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open({ fsync: 'interval' })
  await folder.commit(plainBatch(1, 10))
  folder.files.fail({ operation: 'sync', path: '.seg', code: 'EIO', times: 1 })
  folder.tick()
  await folder.files.idle()
  await t.throwsAsync(folder.commit(plainBatch(11, 10)), { code: 'QUEUE_STORE_FAILED' })
  const { operations } = folder.files
  folder.tick()
  t.is(folder.files.operations, operations, 'the sync is not tried again')
  t.deepEqual(await readAll(folder, 10), range(1, 10))
  const { lastStop, nextSequence } = await folder.reopen({ fsync: 'interval' })
  t.is(lastStop, 'machine')
  t.true(nextSequence > 1_000_000)
})

test('with fsync interval a sync follows what was written, and only that', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open({ fsync: 'interval' })
  const [path] = await folder.segments()
  await folder.commit(plainBatch(1, 10))
  t.is(folder.files.durableBytes(path!), 128)
  folder.tick()
  await folder.files.idle()
  t.is(folder.files.durableBytes(path!), (await stat(path!)).size)
  const { operations } = folder.files
  folder.tick()
  t.is(folder.files.operations, operations)
})

test('with fsync always a commit is on stable storage when it is accepted', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first < 3_000; first += 100) {
    await folder.commit(plainBatch(first, 100))
    const path = (await folder.segments()).at(-1)!
    t.is(folder.files.durableBytes(path), (await stat(path)).size)
  }
  t.true((await folder.segments()).length > 3)
  const unsynced = await folder.files.unsynced()
  t.deepEqual(
    unsynced.filter(({ path }) => path.includes('journal')),
    []
  )
})

for (const fsync of ['interval', 'off'] as const) {
  test(`close puts everything on stable storage, fsync ${fsync}`, async t => {
    const folder = await LocalFolder.create(t)
    await folder.open({ fsync })
    for (let first = 1; first < 1_000; first += 100) await folder.commit(plainBatch(first, 100))
    await folder.store.notes.append(Buffer.from('note'), { sync: false })
    t.not((await folder.files.unsynced()).length, 0)
    await folder.store.close()
    t.deepEqual(await folder.files.unsynced(), [])
  })
}

test('what a killed server had written is synced before it is shown', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open({ fsync: 'off' })
  for (let first = 1; first < 1_000; first += 100) await folder.commit(plainBatch(first, 100))
  await folder.kill()
  t.not((await folder.files.unsynced()).length, 0)
  t.is((await folder.open()).nextSequence, 1_001)
  t.deepEqual(await folder.files.unsynced(), [])
})

test('a state write that finds no space is refused, and a later one goes to a database opened anew', async t => {
  const folder = await LocalFolder.create(t)
  const { faults, openDatabase } = faultyLevel(folder.openDatabase)
  await folder.open({ openDatabase })
  const write = (value: number) =>
    folder.store.state.write([{ table: 'meta', key: 'row', row: { value } }], { sync: true })
  await write(1)
  faults.failure = new Error('IO error: state/000003.log: No space left on device')
  for (let i = 0; i < 3; i++) await t.throwsAsync(write(2), { code: 'QUEUE_STORE_FULL' })
  t.is(folder.lines('error').length, 1, 'told of once')
  faults.failure = null
  const { opened } = faults
  await write(3)
  t.is(faults.opened, opened + 1)
  t.deepEqual((await folder.reopen()).meta.get('row'), { value: 3 })
})

test('a state write that fails otherwise is the last one', async t => {
  const folder = await LocalFolder.create(t)
  const { faults, openDatabase } = faultyLevel(folder.openDatabase)
  await folder.open({ openDatabase })
  const write = () => folder.store.state.write([{ table: 'meta', key: 'row', row: {} }], { sync: true })
  faults.failure = new Error('IO error: state/000003.log: Input/output error')
  await t.throwsAsync(write(), { code: 'QUEUE_STORE_FAILED' })
  faults.failure = null
  await t.throwsAsync(write(), { code: 'QUEUE_STORE_FAILED' })
  t.false((await folder.reopen()).meta.has('row'))
  await folder.store.state.write([{ table: 'meta', key: 'row', row: {} }], { sync: true })
})

test('state writes of one turn are one write, synced when one of them asks for it', async t => {
  const folder = await LocalFolder.create(t)
  const { faults, openDatabase } = faultyLevel(folder.openDatabase)
  await folder.open({ openDatabase })
  const before = faults.syncs
  const writes = range(1, 50).map(value =>
    folder.store.state.write([{ table: 'meta', key: `${value}`, row: { value } }], { sync: value % 10 === 0 })
  )
  await Promise.all(writes)
  t.is(faults.syncs, before + 1)
})

test('a second store on a folder is refused and the first one goes on', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 10))
  const error = await t.throwsAsync(folder.createStore().open(), { code: 'QUEUE_DATA_IN_USE' })
  t.true(error!.message.includes(folder.directory))
  await folder.commit(plainBatch(11, 10))
  t.is((await folder.reopen()).nextSequence, 21)
})

test('a store that cannot be opened lets go of the folder', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.store.close()
  let failures = 0
  for (let isOpen = false; !isOpen; ) {
    folder.files.lastOperation = folder.files.operations + failures
    try {
      folder.store = folder.createStore()
      await folder.store.open()
      isOpen = true
    } catch {
      failures++
    }
    folder.files.lastOperation = Number.POSITIVE_INFINITY
  }
  t.true(failures > 4)
})
