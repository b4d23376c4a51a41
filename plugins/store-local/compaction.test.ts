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
import { IndexBuilder } from './segment-index.ts'
import { owedBytes, owedPlaces } from './weigh.ts'

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

test('small segments that come to stand beside each other are put together, once', async t => {
  const files = new FaultyFiles()
  const directory = await filledJournal(t, files)
  const { lane } = await openLane(directory, files)
  // of every second segment nearly all is acked first; then all of those in between
  const firsts = (await readdir(directory))
    .filter(name => name.endsWith('.seg'))
    .map(name => Number.parseInt(name, 10))
  const segmentOf = (sequence: number) => firsts.filter(first => first <= sequence).length - 1
  const last = firsts.length - 1
  const few = range(1, 1_010).filter(i => segmentOf(i) % 2 === 0 && segmentOf(i) < last && i % 20 === 0)
  const between = range(1, 1_010).filter(i => segmentOf(i) % 2 === 1)
  await lane.release(only([...few, ...between].sort((a, b) => a - b)))
  const countFiles = async () => (await readdir(directory)).filter(name => name.endsWith('.seg')).length
  t.is(await countFiles(), firsts.length)
  t.true(lane.sizeBytes() < 0.7 * 65_536 * firsts.length)
  await lane.release(only(few))
  t.is(await countFiles(), 2)
  const { operations } = files
  await lane.release(only(few))
  t.is(files.operations, operations)
  t.deepEqual(sequencesOf(await readLane(lane, 1, firsts[last]! - 1)), few)
  await lane.close()
})

test('rewritten records of many segments fill files of the usual size', async t => {
  const files = new FaultyFiles()
  const directory = await filledJournal(t, files)
  const { lane } = await openLane(directory, files)
  const fifth = range(1, 900).filter(i => i % 5 === 0)
  await lane.release(only(fifth))
  const names = (await readdir(directory)).filter(name => name.endsWith('.seg'))
  const sizes = await Promise.all(names.map(async name => (await stat(join(directory, name))).size))
  t.true(names.length <= 5, `${names.length} files`)
  t.true(
    sizes.every(size => size <= 66_000),
    `${sizes}`
  )
  const left = sequencesOf(await readLane(lane, 1, 900))
  t.true(fifth.every(sequence => left.includes(sequence)))
  await lane.close()
})

test('a read that finds its segment gone looks where its records are now', async t => {
  const files = new FaultyFiles()
  const directory = await filledJournal(t, files)
  const { lane } = await openLane(directory, files)
  for (const sequence of [3, 111, 4]) {
    const held = files.hold('open', '.seg')
    const read = lane.read(sequence)
    await held.reached
    await lane.release(only(sequence === 111 ? [111] : [3, 111]))
    held.release()
    const block = await read
    t.true(block.from <= sequence && sequence <= block.to)
    t.is(
      block.messages.some(message => message.sequence === sequence),
      sequence !== 4
    )
  }
  await lane.close()
})

test('a file that is missing is an error, and the rest goes on', async t => {
  const files = new FaultyFiles()
  const directory = await filledJournal(t, files)
  const { lane } = await openLane(directory, files)
  const [name] = (await readdir(directory)).filter(each => each.endsWith('.seg')).sort()
  await rm(join(directory, name!))
  await t.throwsAsync(lane.read(1), { code: 'QUEUE_DATA_CORRUPT' })
  t.deepEqual(sequencesOf(await readLane(lane, 900, 1_010)), range(900, 1_010))
  const isOver = files.fail({ operation: 'read', path: '.seg', code: 'EIO' })
  await t.throwsAsync(lane.read(900), { code: 'QUEUE_DATA_CORRUPT' })
  isOver()
  t.is((await lane.read(900)).messages.length > 0, true)
  await lane.close()
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

test('a damaged segment is neither moved nor removed, and hinders no other', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 1_901; first += 100) await folder.commit(plainBatch(first, 100))
  await folder.store.lane.release({ above: () => 0, pending: [] })
  const [path, ...others] = await folder.segments()
  t.true(others.length > 2)
  const bytes = await readFile(path!)
  await flipBit(path!, bytes.indexOf(payloadOf(10)))
  for (let round = 0; round < 2; round++) {
    await folder.store.lane.release(only([10, 20, 1_000]))
    t.is((await stat(path!)).size, bytes.length)
  }
  const [first, moved, ...growing] = await folder.segments()
  t.is(first, path)
  t.true((await stat(moved!)).size < 1_000)
  t.deepEqual(growing, [others.at(-1)])
  t.is(folder.lines('error').length, 1)
  t.true(sequencesOf(await readLane(folder.store.lane, 1, 100)).includes(20))
})

test('owed is what is above the cursor of a stream, and what is pending', t => {
  const index = new IndexBuilder()
  for (const sequence of range(11, 20)) index.add(sequence, sequence * 100, 90, sequence % 2 ? [1] : [2])
  const owed = { above: (id: number) => (id === 1 ? 15 : Number.POSITIVE_INFINITY), pending: [3, 12, 14, 99] }
  const places = owedPlaces(index, owed)
  t.deepEqual(
    range(11, 20).filter((_, place) => places[place]),
    [12, 14, 17, 19]
  )
  t.is(owedBytes(index, places), 400)
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
