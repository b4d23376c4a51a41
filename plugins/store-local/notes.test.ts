import { readdir, readFile, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { silentLog } from '../../src/log.ts'
import { range } from '../../test/helpers/batches.ts'
import { faultyLevel, flipBit, LocalFolder } from '../../test/helpers/local-folder.ts'
import { testRandom, testRuns } from '../../test/helpers/tools-random.ts'
import { systemFiles } from './files.ts'
import { LocalNotes } from './notes.ts'
import { FRAME_BYTES } from './notes-file.ts'
import { LocalState, openLevel } from './state.ts'

/** Notes without the rest of a store. */
function notesIn(directory: string): LocalNotes {
  const state = new LocalState({
    ...{ openDatabase: openLevel, files: systemFiles, directory: '', dataDirectory: '', log: silentLog }
  })
  return new LocalNotes({ files: systemFiles, directory, log: silentLog, state, isSynced: true, onLost() {} })
}

/** Frames that are whole in the first `bytes` of a file of notes. */
function wholeFrames(file: Buffer, bytes: number): number {
  let frames = 0
  for (let at = 0; at < file.length; frames++) {
    at += FRAME_BYTES + file.readUInt32LE(at)
    if (at > bytes) break
  }
  return frames
}

test('notes that were cut or damaged anywhere come back up to there, and more can be written', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  const texts = range(1, 12).map(i => `note ${i} ${'.'.repeat(i)}`)
  for (const text of texts.slice(0, 6)) await folder.store.notes.append(Buffer.from(text), { sync: false })
  await folder.reopen()
  for (const text of texts.slice(6)) await folder.store.notes.append(Buffer.from(text), { sync: false })
  await folder.kill()
  const names = (await readdir(folder.notes)).sort()
  t.is(names.length, 2)
  const whole = await Promise.all(names.map(name => readFile(join(folder.notes, name))))
  const directory = folder.notes
  for (const damaged of [0, 1]) {
    for (let at = 0; at <= whole[damaged]!.length; at++) {
      for (const isCut of [true, false]) {
        if (!isCut && at === whole[damaged]!.length) continue
        await restore()
        const path = join(directory, names[damaged]!)
        await (isCut ? truncate(path, at) : flipBit(path, at))
        const notes = notesIn(directory)
        const found = await notes.open({ generation: 0, number: 1 })
        const good = wholeFrames(whole[damaged]!, at)
        const kept = damaged === 0 && !(isCut && at === whole[0]!.length) ? good : 6 + good
        const expected = damaged === 0 && isCut && at === whole[0]!.length ? texts : texts.slice(0, kept)
        t.deepEqual(
          found.notes.map(String),
          expected,
          `${names[damaged]} ${isCut ? 'cut' : 'flipped'} at ${at}`
        )
        if (!isCut) t.true(found.isLost || damaged === 1)
        await notes.append(Buffer.from('more'), { sync: false })
        await notes.close()
        const again = notesIn(directory)
        const more = await again.open({ generation: 0, number: 1 })
        t.deepEqual(more.notes.map(String), [...expected, 'more'])
        await again.close()
      }
    }
  }

  async function restore() {
    for (const name of await readdir(directory)) await unlink(join(directory, name))
    for (const [place, name] of names.entries()) await writeFile(join(directory, name), whole[place]!)
  }
})

test('without a file of notes in the middle those behind it do not count', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  for (let round = 0; round < 3; round++) {
    await folder.store.notes.append(Buffer.from(`note ${round}`), { sync: false })
    await folder.reopen()
  }
  await folder.kill()
  const names = (await readdir(folder.notes)).sort()
  await unlink(join(folder.notes, names[1]!))
  const contents = await folder.open()
  t.deepEqual(contents.notes.map(String), ['note 0'])
  t.is(contents.lastStop, 'machine')
})

test('a note that cannot be written is no error, but the next open acts as after a power cut', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  const { notes } = folder.store
  await notes.append(Buffer.from('first'), { sync: false })
  const isOver = folder.files.fail({ operation: 'write', path: 'notes', code: 'ENOSPC', bytesBefore: 9 })
  await notes.append(Buffer.from('second'), { sync: false })
  await notes.append(Buffer.from('third'), { sync: false })
  isOver()
  await notes.append(Buffer.from('another'), { sync: false })
  t.is(folder.lines('error').length, 1)
  await folder.kill()
  const contents = await folder.open()
  t.is(contents.lastStop, 'machine')
  t.deepEqual(contents.notes.map(String), ['first'])
  t.true((await readdir(folder.notes)).some(name => name.endsWith('.cut')))
  await folder.store.notes.checkpoint(() => [])
  await folder.store.notes.append(Buffer.from('fourth'), { sync: false })
  t.false((await readdir(folder.notes)).some(name => name.endsWith('.cut')))
  const next = await folder.reopen()
  t.is(next.lastStop, 'clean')
  t.deepEqual(next.notes.map(String), ['fourth'])
})

test('a missing note is written down in the state when the file cannot be renamed', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  folder.files.fail({ operation: 'write', path: 'notes', code: 'ENOSPC' })
  folder.files.fail({ operation: 'rename', path: 'notes', code: 'EIO' })
  await folder.store.notes.append(Buffer.from('first'), { sync: false })
  await folder.store.state.write([], { sync: true })
  await folder.kill()
  t.is((await folder.open()).lastStop, 'machine')
})

test('a checkpoint that fails keeps all notes', async t => {
  const folder = await LocalFolder.create(t)
  const { faults, openDatabase } = faultyLevel(folder.openDatabase)
  await folder.open({ openDatabase })
  const { notes } = folder.store
  await notes.append(Buffer.from('first'), { sync: false })
  faults.failure = new Error('No space left on device')
  await t.throwsAsync(
    notes.checkpoint(() => [{ table: 'meta', key: 'a', row: {} }]),
    { code: 'QUEUE_STORE_FULL' }
  )
  await notes.append(Buffer.from('second'), { sync: false })
  faults.failure = null
  await folder.kill()
  const contents = await folder.open()
  t.deepEqual(contents.notes.map(String), ['first', 'second'])
  t.false(contents.meta.has('a'))
  const isOver = folder.files.fail({ operation: 'open', path: 'notes', code: 'ENOSPC' })
  await t.throwsAsync(
    folder.store.notes.checkpoint(() => []),
    { code: 'QUEUE_STORE_FULL' }
  )
  isOver()
  await folder.store.notes.append(Buffer.from('third'), { sync: false })
  t.deepEqual((await folder.reopen()).notes.map(String), ['first', 'second', 'third'])
})

// It could not be read back: notes are read up to the first that is missing.
test('a synced note is refused while one before it is missing, also in the file that a failed checkpoint began', async t => {
  const folder = await LocalFolder.create(t)
  const { faults, openDatabase } = faultyLevel(folder.openDatabase)
  await folder.open({ openDatabase })
  const { notes } = folder.store
  await notes.append(Buffer.from('first'), { sync: true })
  folder.files.fail({ operation: 'write', path: 'notes', code: 'ENOSPC', times: 1 })
  await notes.append(Buffer.from('missing'), { sync: false })
  await t.throwsAsync(notes.append(Buffer.from('behind'), { sync: true }), { code: 'QUEUE_STORE_FULL' })
  faults.failure = new Error('No space left on device')
  await t.throwsAsync(notes.checkpoint(() => []))
  await t.throwsAsync(notes.append(Buffer.from('far behind'), { sync: true }), { code: 'QUEUE_STORE_FULL' })
  faults.failure = null
  await notes.checkpoint(() => [])
  await notes.append(Buffer.from('after'), { sync: true })
  await folder.kill()
  t.deepEqual((await folder.open()).notes.map(String), ['after'])
})

test('a power cut takes no synced note and none before it, whatever file it is in', async t => {
  const random = testRandom(t)
  for (let run = 0; run < testRuns(25); run++) {
    const folder = await LocalFolder.create(t)
    await folder.open()
    let notes: string[] = []
    let synced = 0
    for (let i = 0; i < 12; i++) {
      const sync = random.chance(0.3)
      await folder.store.notes.append(Buffer.from(`${i} ${'.'.repeat(random.below(900))}`), { sync })
      notes.push(`${i}`)
      if (sync) synced = notes.length
      const draw = random.below(8)
      if (draw === 0) {
        await folder.store.notes.checkpoint(() => [])
        notes = []
        synced = 0
      } else if (draw === 1) await folder.kill().then(() => folder.open())
    }
    await folder.cutPower(random)
    const found = (await folder.open({ boot: 'another' })).notes.map(note => String(note).split(' ')[0]!)
    t.true(found.length >= synced, `run ${run}: ${found.length} of ${synced} synced notes are left`)
    t.deepEqual(found, notes.slice(0, found.length))
    // a note of this boot that is synced is behind all of these, and stays so
    await folder.store.notes.append(Buffer.from('last'), { sync: true })
    await folder.cutPower(random)
    const again = (await folder.open({ boot: 'a third' })).notes.map(note => String(note).split(' ')[0]!)
    t.deepEqual(again, [...found, 'last'])
    await folder.store.close()
  }
})
