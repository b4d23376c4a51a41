import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import test from 'ava'
import { payloadOf, plainBatch, range, readLane, sequencesOf } from '../../test/helpers/batches.ts'
import { flipBit, LocalFolder } from '../../test/helpers/local-folder.ts'

/** Sequences that can be read, with their payloads checked. */
async function readable(folder: LocalFolder, to: number): Promise<number[]> {
  const messages = await readLane(folder.store.lane, 1, to)
  for (const message of messages) {
    if (!message.payload().equals(payloadOf(message.sequence))) throw new Error(`wrong ${message.sequence}`)
  }
  return sequencesOf(messages)
}

test('damage before a later batch is reported and costs only what it hit', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 91; first += 10) await folder.commit(plainBatch(first, 10))
  const [path] = await folder.segments()
  await folder.kill()
  const bytes = await readFile(path!)
  const offset = bytes.indexOf(payloadOf(35))
  await flipBit(path!, offset)
  const contents = await folder.open()
  t.is(contents.nextSequence, 101)
  const lost = [35]
  t.deepEqual(
    await readable(folder, 100),
    range(1, 100).filter(sequence => !lost.includes(sequence))
  )
  const [line, ...others] = folder.lines('error')
  t.deepEqual(others, [])
  t.is(line!.fields.file, path)
  t.is(line!.fields.fromSequence, 35)
  t.is(line!.fields.toSequence, 35)
  t.true((line!.fields.offset as number) <= offset)
  t.is((await stat(path!)).size, bytes.length, 'the file is kept')
  await folder.commit(plainBatch(101, 10))
  t.is((await folder.reopen()).nextSequence, 111)
  t.is((await readable(folder, 110)).length, 109)
})

test('a damaged length costs the rest of its batch, a damaged batch header nothing', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  const begins: number[] = []
  for (let first = 1; first <= 91; first += 10) {
    begins.push((await stat((await folder.segments())[0]!)).size)
    await folder.commit(plainBatch(first, 10))
  }
  const [path] = await folder.segments()
  await folder.kill()
  const whole = await readFile(path!)
  await flipBit(path!, begins[4]! + 3) // in the salt of the batch of 41
  await folder.open()
  t.deepEqual(await readable(folder, 100), range(1, 100))
  await folder.kill()
  for (const name of await folder.segments()) await rm(name)
  for (const name of await folder.segments('.idx')) await rm(name)
  await writeFile(path!, whole)
  await flipBit(path!, begins[4]! + 20) // in the length of record 41
  await folder.open()
  const left = await readable(folder, 100)
  t.deepEqual(
    left.filter(sequence => sequence <= 40 || sequence > 50),
    [...range(1, 40), ...range(51, 100)]
  )
})

test('what cannot be read at the end of a journal that was closed is damage and not an unfinished write', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 10))
  await folder.store.close()
  const [path] = await folder.segments()
  const bytes = await readFile(path!)
  await flipBit(path!, bytes.indexOf(payloadOf(10)))
  const { nextSequence } = await folder.open()
  t.is((await stat(path!)).size, bytes.length, 'the file is kept')
  t.true(nextSequence > 10, 'the sequence of a message that was acked does not come again')
  t.is(folder.lines('error')[0]!.fields.fromSequence, 10)
  await folder.commit(plainBatch(nextSequence, 3))
  t.deepEqual(await readable(folder, nextSequence + 2), [
    ...range(1, 9),
    ...range(nextSequence, nextSequence + 2)
  ])
})

test('the missing end of a journal that was closed is reported, and its sequences do not come again', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 10))
  const [path] = await folder.segments()
  const { size } = await stat(path!)
  await folder.commit(plainBatch(11, 10))
  await folder.store.close()
  await truncate(path!, size)
  t.is((await folder.open()).nextSequence, 21)
  const { fields } = folder.lines('error')[0]!
  t.deepEqual([fields.fromSequence, fields.toSequence], [11, 20])
})

test('damage in a full segment is reported when it is read, once, and the rest is read', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 1_901; first += 100) await folder.commit(plainBatch(first, 100))
  await folder.store.close()
  const [path] = await folder.segments()
  const bytes = await readFile(path!)
  await flipBit(path!, bytes.indexOf(payloadOf(150)))
  await flipBit(path!, bytes.indexOf(payloadOf(200)) - 60) // its head
  const { nextSequence } = await folder.open()
  t.is(nextSequence, 2_001)
  t.deepEqual(folder.lines('error'), [])
  for (let round = 0; round < 2; round++) {
    const left = new Set(await readable(folder, 2_000))
    const lost = range(1, 2_000).filter(sequence => !left.has(sequence))
    t.is(lost[0], 150)
    t.true(
      lost.length < 70 && lost.every(sequence => sequence === 150 || (sequence >= 199 && sequence < 265))
    )
    t.is(folder.lines('error').length, 2)
  }
})

test('a damaged header of a full segment does not cost its records', async t => {
  for (const [hasIndex, damagedBytes] of [
    [true, 1],
    [true, 200],
    [false, 1]
  ] as const) {
    const folder = await LocalFolder.create(t)
    await folder.open()
    for (let first = 1; first <= 1_901; first += 100) await folder.commit(plainBatch(first, 100))
    await folder.store.close()
    const [path] = await folder.segments()
    const bytes = await readFile(path!)
    await writeFile(path!, bytes.fill(0xee, 30, 30 + damagedBytes))
    if (!hasIndex) await rm((await folder.segments('.idx'))[0]!)
    await folder.open()
    t.is(folder.lines('error').length, 1)
    const left = await readable(folder, 2_000)
    t.true(left[0]! <= (damagedBytes > 1 ? 70 : 1))
    t.is(left.length, 2_000 - left[0]! + 1)
  }
})

test('no sequence comes again that may have been in a newest segment of which nothing can be read', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.commit(plainBatch(1, 100))
  const [path] = await folder.segments()
  const { size } = await stat(path!)
  await folder.kill()
  await writeFile(path!, Buffer.alloc(size, 0xaa))
  const { nextSequence } = await folder.open()
  t.true(nextSequence > 100)
  t.is(folder.lines('error').length, 2)
  await folder.commit(plainBatch(nextSequence, 1))
  t.is((await folder.reopen()).nextSequence, nextSequence + 1)
  t.is((await stat(path!)).size, size, 'the file is kept')
})

test('a full segment of which nothing can be read costs its own messages only, and is kept', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let first = 1; first <= 1_901; first += 100) await folder.commit(plainBatch(first, 100))
  await folder.store.close()
  const [path, next] = await folder.segments()
  await writeFile(path!, Buffer.alloc(60_000, 0xaa))
  await rm((await folder.segments('.idx'))[0]!)
  t.is((await folder.open()).nextSequence, 2_001)
  const first = Number(/(\d{16})\.seg$/.exec(next!)![1])
  t.deepEqual(await readable(folder, 2_000), range(first, 2_000))
  t.is(folder.lines('error').at(-1)!.fields.toSequence, first - 1)
  await folder.store.lane.release({ above: () => Number.POSITIVE_INFINITY, pending: [] })
  t.true((await folder.segments()).includes(path!))
})
