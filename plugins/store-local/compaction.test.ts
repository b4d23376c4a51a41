import { cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { systemClock } from '../../src/clock.ts'
import { silentLog } from '../../src/log.ts'
import type { Owed, Posting } from '../../src/store/store.ts'
import { batchOf, payloadOf, plainBatch, range, readLane, sequencesOf } from '../../test/helpers/batches.ts'
import { FaultyFiles } from '../../test/helpers/faulty-files.ts'
import { flipBit, LocalFolder } from '../../test/helpers/local-folder.ts'
import { LocalLane } from './lane.ts'
import { openJournal } from './recovery.ts'

/** Owed are these sequences and nothing else. */
function only(pending: readonly number[]): Owed {
  return { above: () => Number.POSITIVE_INFINITY, pending }
}

/** A lane on a journal folder, without the rest of a store. */
async function openLane(directory: string, files: FaultyFiles, segmentBytes = 65_536) {
  const folder = { files, directory, log: silentLog }
  const journal = await openJournal(folder, { lane: 'lane', wasClean: false, mayHaveHoles: false })
  const lane = new LocalLane({
    ...{ ...folder, clock: systemClock, fsync: 'always', fsyncIntervalMs: 200, segmentBytes },
    compactBelowPercent: 25,
    onFailed() {}
  })
  await lane.open({ lane: 'lane', journal, nextSequence: journal.nextSequence, reservation: null })
  return { lane, journal }
}

/** A journal folder with ten segments of about a hundred messages; owed are a few in some of them. */
async function filledJournal(t: ExecutionContext, files: FaultyFiles) {
  const directory = await mkdtemp(join(tmpdir(), 'restante-journal-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const { lane } = await openLane(directory, files)
  for (let first = 1; first <= 1_001; first += 10) {
    const streamIds = (sequence: number) => (OWED.includes(sequence) ? [1, sequence] : [])
    await lane.commit(
      batchOf(
        first,
        range(first, first + 9).map(sequence => ({
          payload: filler(sequence),
          streamIds: streamIds(sequence)
        }))
      )
    )
  }
  await lane.close()
  return directory
}

const OWED = [3, 111, 112, 250, 260, 270, 555, 999]

function filler(sequence: number): Buffer {
  return Buffer.concat([payloadOf(sequence), Buffer.alloc(500, sequence)])
}

function sequencesIn(postings: Iterable<Posting>, streamId: number): number[] {
  return [...postings]
    .filter(posting => posting.streamId === streamId)
    .flatMap(({ sequences }) => [...sequences])
}

test('a release that stops at any step loses nothing that is owed', async t => {
  const filled = await filledJournal(t, new FaultyFiles())
  let isWhole = false
  let steps = 0
  for (; !isWhole; steps++) {
    const directory = await mkdtemp(join(tmpdir(), 'restante-journal-'))
    t.teardown(() => rm(directory, { recursive: true }))
    await cp(filled, directory, { recursive: true })
    const files = new FaultyFiles()
    const { lane } = await openLane(directory, files)
    files.lastOperation = files.operations + steps
    await lane.release(only(OWED))
    isWhole = files.lastOperation > 0
    await files.kill()

    const again = await openLane(directory, new FaultyFiles())
    t.deepEqual(sequencesIn(again.journal.postings, 1), OWED, `after ${steps} steps`)
    for (const sequence of OWED)
      t.deepEqual(sequencesIn(again.journal.postings, sequence), [sequence], `after ${steps} steps`)
    const left = await readLane(again.lane, 1, 1_010)
    for (const message of left) t.deepEqual(message.payload(), filler(message.sequence))
    const owedLeft = left.filter(message => OWED.includes(message.sequence))
    t.deepEqual(sequencesOf(owedLeft), OWED)
    t.is(again.journal.nextSequence, 1_011)
    await again.lane.release(only(OWED))
    t.true(again.lane.sizeBytes() < 90_000, `${again.lane.sizeBytes()} bytes after ${steps} steps`)
    t.deepEqual(
      (await readdir(directory)).filter(name => name.endsWith('.tmp')),
      []
    )
    await again.lane.close()
  }
  t.true(steps > 30, `${steps} steps`)
})

test('a release that cannot write goes on without, and the next one makes up for it', async t => {
  const files = new FaultyFiles()
  const directory = await filledJournal(t, files)
  for (const operation of ['write', 'sync', 'rename', 'open'] as const) {
    for (const code of ['ENOSPC', 'EIO']) {
      const { lane } = await openLane(directory, files)
      const isOver = files.fail({ operation, path: '.tmp', code })
      await lane.release(only(OWED))
      isOver()
      const owedLeft = (await readLane(lane, 1, 1_010)).filter(({ sequence }) => OWED.includes(sequence))
      t.deepEqual(sequencesOf(owedLeft), OWED)
      await lane.commit(plainBatch(lane.nextSequence, 1))
      await lane.close()
    }
  }
  const { lane } = await openLane(directory, files)
  await lane.release(only(OWED))
  t.true(lane.sizeBytes() < 90_000)
  await lane.close()
})

test('one message that is not acked does not keep the acked ones around it on disk', async t => {
  const folder = await LocalFolder.create(t)
  const segmentBytes = 1024 * 1024
  await folder.open({ segmentBytes, fsync: 'off' })
  const payload = Buffer.alloc(10_000, 1)
  let most = 0
  for (let first = 1; first <= 2_951; first += 50) {
    await folder.commit(plainBatch(first, 50, { payload }))
    if (first % 250 === 1) await folder.store.lane.release(only([7]))
    most = Math.max(most, folder.store.lane.sizeBytes())
  }
  await folder.store.lane.release(only([7]))
  t.true(most < 6 * segmentBytes, `${most} bytes at most of 30 million`)
  const sizes = await Promise.all((await folder.segments()).map(async path => (await stat(path)).size))
  t.is(sizes.length, 2)
  t.true(sizes[0]! < 11_000 && sizes[1]! <= segmentBytes)
  t.deepEqual(sequencesOf((await folder.store.lane.read(7)).messages), [7])
  await folder.reopen({ segmentBytes })
  t.deepEqual(sequencesOf((await folder.store.lane.read(7)).messages), [7])
  t.is(folder.contents.nextSequence, 3_001)
})

test('a rewritten segment is not rewritten again as long as the same is owed', async t => {
  const files = new FaultyFiles()
  const directory = await filledJournal(t, files)
  const { lane } = await openLane(directory, files)
  await lane.release(only(OWED))
  const { operations } = files
  for (let round = 0; round < 3; round++) await lane.release(only(OWED))
  t.is(files.operations, operations)
  await lane.close()
})

test('many small rewritten segments are put together', async t => {
  const files = new FaultyFiles()
  const directory = await filledJournal(t, files)
  const { lane } = await openLane(directory, files)
  // one after the other becomes sparse, as when sessions go on at different speeds
  for (let from = 1; from <= 1_001; from += 100) {
    await lane.release({
      above: () => Number.POSITIVE_INFINITY,
      pending: range(1, 1_010).filter(i => i >= from || i % 50 === 0)
    })
  }
  const names = (await readdir(directory)).filter(name => name.endsWith('.seg'))
  t.true(names.length < 6, names.join(' '))
  const left = sequencesOf(await readLane(lane, 1, 1_010))
  t.true(range(1, 20).every(i => left.includes(i * 50)))
  await lane.close()
  const again = await openLane(directory, new FaultyFiles())
  t.deepEqual(sequencesOf(await readLane(again.lane, 1, 1_010)), left)
  await again.lane.close()
})

test('a segment of which much is owed by one session is not looked at again before that session goes on', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 1_901; first += 100) await folder.commit(plainBatch(first, 100))
  await folder.store.lane.release({ above: () => 0, pending: [] })
  for (const path of await folder.segments('.idx')) await rm(path)
  const removed = (await folder.segments('.idx')).length
  await folder.store.lane.release({ above: () => 0, pending: [] })
  t.is((await folder.segments('.idx')).length, removed, 'no index was needed')
  await folder.store.lane.release({ above: () => 1_990, pending: [] })
  t.true((await folder.segments()).length <= 2)
  t.deepEqual(sequencesOf(await readLane(folder.store.lane, 1_991, 2_000)), range(1_991, 2_000))
})

test('a damaged segment is neither moved nor removed', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 1_901; first += 100) await folder.commit(plainBatch(first, 100))
  await folder.store.lane.release({ above: () => 0, pending: [] })
  const [path] = await folder.segments()
  const bytes = await readFile(path!)
  await flipBit(path!, bytes.indexOf(payloadOf(10)))
  for (let round = 0; round < 2; round++) {
    await folder.store.lane.release(only([10, 20]))
    t.true((await folder.segments()).includes(path!))
    t.is((await stat(path!)).size, bytes.length)
  }
  t.is(folder.lines('error').length, 1)
  t.true(sequencesOf(await readLane(folder.store.lane, 1, 100)).includes(20))
})

test('a store can be closed while records are released', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 1_901; first += 100) await folder.commit(plainBatch(first, 100))
  const released = folder.store.lane.release(only([10, 500, 1_500]))
  await folder.store.close()
  await released
  await folder.open()
  const left = sequencesOf(await readLane(folder.store.lane, 1, 2_000))
  t.true([10, 500, 1_500].every(sequence => left.includes(sequence)))
})
