import { appendFile, copyFile, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import test from 'ava'
import { silentLog } from '../../src/log.ts'
import { batchOf, payloadOf, plainBatch, range, readLane, sequencesOf } from '../../test/helpers/batches.ts'
import { flipBit, LocalFolder } from '../../test/helpers/local-folder.ts'
import { readBlock } from './block-reader.ts'
import { systemFiles } from './files.ts'
import { openJournal } from './recovery.ts'

/** Sequences that can be read, with their payloads checked. */
async function readable(folder: LocalFolder, to: number): Promise<number[]> {
  const messages = await readLane(folder.store.lane, 1, to)
  for (const message of messages) {
    if (!message.payload().equals(payloadOf(message.sequence))) throw new Error(`wrong ${message.sequence}`)
  }
  return sequencesOf(messages)
}

/** Opens the journal of a folder without the rest of a store, and reads all of it. */
async function openJournalOnly(folder: LocalFolder) {
  const place = { files: systemFiles, directory: folder.journal, log: silentLog }
  const journal = await openJournal(place, { lane: null, wasClean: false, mayHaveHoles: false })
  const sequences: number[] = []
  for (const segment of journal.segments) {
    const block = await readBlock(systemFiles, silentLog, segment, segment.firstSequence)
    sequences.push(...sequencesOf(block!.messages))
  }
  return { sequences, nextSequence: journal.nextSequence }
}

test('a journal cut at any byte of its last batch opens with all before', async t => {
  const folder = await LocalFolder.create(t)
  const { path, begin, whole } = await withLastBatch(folder)
  const ends = [begin]
  for (let at = begin + 20; at < whole.length; at += 8 + whole.readUInt32LE(at))
    ends.push(at + 8 + whole.readUInt32LE(at))
  for (let bytes = begin; bytes <= whole.length; bytes++) {
    await writeFile(path, whole.subarray(0, bytes))
    const kept = 5 + ends.filter(end => end <= bytes).length - 1
    const { sequences, nextSequence } = await openJournalOnly(folder)
    t.is(nextSequence, kept + 1, `${bytes} bytes`)
    t.deepEqual(sequences, range(1, kept))
    t.is((await stat(path)).size, bytes < ends[1]! ? begin : ends[kept - 5]!)
  }
})

test('a flipped bit in the last batch costs that record and those behind it, nothing else', async t => {
  const folder = await LocalFolder.create(t)
  const { path, begin, whole } = await withLastBatch(folder)
  for (let offset = begin; offset < whole.length; offset++) {
    await writeFile(path, whole)
    await flipBit(path, offset)
    const { sequences, nextSequence } = await openJournalOnly(folder)
    t.true(nextSequence >= 6 && nextSequence <= 8, `byte ${offset}`)
    t.deepEqual(sequences, range(1, nextSequence - 1))
  }
})

test('a journal with a torn end goes on behind what was kept', async t => {
  const folder = await LocalFolder.create(t)
  const { path, begin, whole } = await withLastBatch(folder)
  for (const [bytes, kept] of [
    [begin + 7, 5],
    [begin + 20, 5],
    [begin + 21, 5],
    [whole.length - 1, 7]
  ] as const) {
    await writeFile(path, whole.subarray(0, bytes))
    const { nextSequence } = await folder.open()
    await folder.commit(plainBatch(nextSequence, 2))
    await folder.kill()
    t.is((await folder.open()).nextSequence, nextSequence + 2)
    const expected = [...range(1, kept), nextSequence, nextSequence + 1]
    t.deepEqual(await readable(folder, nextSequence + 1), expected)
    await folder.kill()
  }
  t.deepEqual(folder.lines('error'), [])
  t.is(folder.lines('warn').length, 4, 'a cut is told of')
})

/** A journal of 5 messages and a last batch of 3, left as by a kill. */
async function withLastBatch(folder: LocalFolder) {
  await folder.open()
  await folder.commit(plainBatch(1, 5))
  const path = (await folder.segments())[0]!
  const begin = (await stat(path)).size
  await folder.commit(plainBatch(6, 3))
  await folder.kill()
  return { path, begin, whole: await readFile(path) }
}

test('bytes that are no record at the end of the journal are cut off', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 5))
  await folder.kill()
  const [path] = await folder.segments()
  const { size } = await stat(path!)
  for (const garbage of [Buffer.alloc(5_000), Buffer.alloc(5_000, 0xff), Buffer.alloc(3, 1)]) {
    await appendFile(path!, garbage)
    t.is((await folder.open()).nextSequence, 6)
    t.is((await stat(path!)).size, size)
    await folder.kill()
  }
})

test('a message that looks like a journal cannot add records when its own record is torn', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 5))
  const forged = plainBatch(900, 20, { topic: 'forged' })
  await folder.commit(batchOf(6, [{ payload: Buffer.concat([...forged.buffers, Buffer.alloc(100)]) }]))
  const [path] = await folder.segments()
  await folder.kill()
  await truncate(path!, (await stat(path!)).size - 50)
  t.is((await folder.open()).nextSequence, 6)
  t.deepEqual(await readable(folder, 5), range(1, 5))
})

test('a lost or damaged index is made again and says the same', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 1_901; first += 100)
    await folder.commit(
      batchOf(
        first,
        range(1, 100).map(i => ({ streamIds: i % 3 ? [1, i] : [] }))
      )
    )
  const before = await folder.reopen()
  const expected = [...before.postings].map(({ streamId, sequences }) => [streamId, [...sequences]])
  await folder.store.close()
  const indexes = await folder.segments('.idx')
  t.true(indexes.length >= 2)
  const contents = await Promise.all(indexes.map(path => readFile(path)))
  await rm(indexes[0]!)
  await flipBit(indexes[1]!, 100)
  for (let round = 0; round < 2; round++) {
    const { postings } = await folder.open()
    t.deepEqual(
      [...postings].map(({ streamId, sequences }) => [streamId, [...sequences]]),
      expected
    )
    t.deepEqual(await readable(folder, 2_000), range(1, 2_000))
    await folder.store.close()
    t.deepEqual(await Promise.all(indexes.map(path => readFile(path))), contents)
    // each beside the other's segment
    await copyFile(indexes[1]!, `${indexes[0]}`)
    await writeFile(indexes[1]!, contents[0]!)
  }
  t.deepEqual(folder.lines('error'), [])
})

test('a segment whose making was cut short is removed', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 10))
  await folder.kill()
  const [path] = await folder.segments()
  const header = (await readFile(path!)).subarray(0, 128)
  const unborn = path!.replace('0001.seg', '0011.seg')
  for (const bytes of [Buffer.alloc(0), header.subarray(0, 60), Buffer.alloc(128)]) {
    await writeFile(unborn, bytes)
    t.is((await folder.open()).nextSequence, 11)
    t.deepEqual(await folder.segments(), [path])
    await folder.kill()
  }
})

test('a segment of a newer version is refused and nothing is touched', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 10))
  await folder.kill()
  const [path] = await folder.segments()
  const { crc32 } = await import('node:zlib')
  const bytes = await readFile(path!)
  bytes.writeUInt16LE(2, 8)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 124)), 124)
  await writeFile(path!, bytes)
  const left = path!.replace('.seg', '.idx.tmp')
  await writeFile(left, 'left over')
  await t.throwsAsync(folder.open(), { code: 'QUEUE_DATA_VERSION' })
  t.deepEqual(await readFile(path!), bytes)
  t.is(await readFile(left, 'utf8'), 'left over')
})

test('a folder of a newer version is refused', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.store.close()
  await writeFile(`${folder.directory}/format.json`, '{"format": 2}')
  await t.throwsAsync(folder.open(), { code: 'QUEUE_DATA_VERSION' })
  await writeFile(`${folder.directory}/format.json`, '{"format": 1}')
  t.is((await folder.open()).lastStop, 'clean')
})

test('a segment of another lane is refused', async t => {
  const folder = await LocalFolder.create(t)
  const other = await LocalFolder.create(t)
  for (const each of [folder, other]) {
    await each.open()
    await each.commit(plainBatch(1, 10))
    await each.store.close()
  }
  await copyFile((await other.segments())[0]!, (await folder.segments())[0]!.replace('0001.seg', '0011.seg'))
  await t.throwsAsync(folder.open(), { code: 'QUEUE_DATA_CORRUPT' })
})
