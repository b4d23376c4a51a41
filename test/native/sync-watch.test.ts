import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { cutPower } from '../helpers/power-cut.ts'
import { startProgram, testFolder } from '../helpers/process.ts'
import { type SyncWatch, watchSyncs } from '../helpers/sync-watch.ts'
import { type ByteRange, readWatchLog } from '../helpers/sync-watch-model.ts'
import { needs, needsLinux } from '../helpers/tools.ts'
import { randomOf } from '../helpers/tools-random.ts'

/** The start of every program: the folder, a file opened for writing, and what the tests look at. */
const PRELUDE = `
  import * as fs from 'node:fs'
  const root = process.argv[1]
  const open = (name, flags) => fs.openSync(root + '/' + name, flags)
  const text = bytes => Buffer.alloc(bytes, 'x')
  const attempt = action => { try { return action() } catch (error) { return error.code } }
  const { O_CREAT, O_WRONLY, O_DSYNC, O_SYNC } = fs.constants
  const print = value => process.stdout.write(JSON.stringify(value) + '\\n')
`

function canWatch(t: ExecutionContext): boolean {
  return needsLinux(t) && needs(t, 'cc')
}

/** Runs a script under a watch, to its end; returns what it printed. */
async function run(t: ExecutionContext, watch: SyncWatch, script: string): Promise<unknown[]> {
  const args = ['--input-type=module', '-e', PRELUDE + script, watch.root]
  const program = startProgram(t, process.execPath, args, watch.env)
  const exit = await program.exited()
  t.is(exit.code, 0, program.story())
  return program.stdout
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as unknown)
}

/** What a power cut may take of a file. */
function unsynced(watch: SyncWatch, name: string): ByteRange[] {
  const { ino, size } = statSync(join(watch.root, name))
  return readWatchLog(watch.lines()).files.get(ino)?.unsynced(size) ?? []
}

function newWatch(t: ExecutionContext): SyncWatch {
  return watchSyncs(join(testFolder(t), 'data'))
}

test('a write counts as unsynced until fdatasync', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  await run(t, watch, `const file = open('a', 'w'); fs.writeSync(file, text(100))`)
  t.deepEqual(unsynced(watch, 'a'), [{ from: 0, to: 100 }])
  await run(
    t,
    watch,
    `const file = open('a', 'r+'); fs.writeSync(file, text(100), 0, 100, 100); fs.fdatasyncSync(file)
    fs.writeSync(file, text(7), 0, 7, 200)`
  )
  t.deepEqual(unsynced(watch, 'a'), [{ from: 200, to: 207 }])
})

test('an asynchronous write and fsync in the thread pool are seen', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  await run(
    t,
    watch,
    `const file = await fs.promises.open(root + '/a', 'w')
    await file.writev([text(10), text(20)]); await file.sync(); await file.write(text(5))`
  )
  t.deepEqual(unsynced(watch, 'a'), [{ from: 30, to: 35 }])
})

test('a write through O_DSYNC is synced, one behind a gap leaves the gap unsynced', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  await run(
    t,
    watch,
    `const file = open('a', O_CREAT | O_WRONLY | O_DSYNC); fs.writeSync(file, text(50), 0, 50, 0)`
  )
  t.deepEqual(unsynced(watch, 'a'), [])
  await run(
    t,
    watch,
    `const file = open('b', O_CREAT | O_WRONLY | O_DSYNC); fs.writeSync(file, text(50), 0, 50, 10)`
  )
  t.is(unsynced(watch, 'b')[0]?.from, 0)
})

test('overwriting synced bytes makes them unsynced again', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  await run(
    t,
    watch,
    `const file = open('a', 'w'); fs.writeSync(file, text(100)); fs.fsyncSync(file)
    fs.writeSync(file, text(10), 0, 10, 40)`
  )
  t.deepEqual(unsynced(watch, 'a'), [{ from: 40, to: 50 }])
})

test('bytes whose sync failed are not saved by a later sync', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  watch.setFaults({ kind: 'eio-sync', path: '/a' })
  const printed = await run(
    t,
    watch,
    `const file = open('a', 'w'); fs.writeSync(file, text(10))
    print(attempt(() => fs.fdatasyncSync(file))); fs.rmSync(process.env.SYNC_WATCH_CONTROL)
    fs.writeSync(file, text(10)); print(attempt(() => fs.fdatasyncSync(file)) ?? 'ok')`
  )
  t.deepEqual(printed, ['EIO', 'ok'])
  t.deepEqual(unsynced(watch, 'a'), [{ from: 0, to: 10 }])
  t.is(watch.injected('eio-sync'), 1)
})

test('a failing sync inside a write is reported by the write', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  watch.setFaults({ kind: 'eio-sync', path: '/a' })
  const printed = await run(
    t,
    watch,
    `const file = open('a', O_CREAT | O_WRONLY | O_DSYNC)
    print(attempt(() => fs.writeSync(file, text(10), 0, 10, 0)))`
  )
  t.deepEqual(printed, ['EIO'])
  t.deepEqual(unsynced(watch, 'a'), [{ from: 0, to: 10 }])
})

test('a full disk takes a part, then nothing, until there is room again', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  watch.setFaults({ kind: 'full', path: '/a', number: 30 })
  const printed = await run(
    t,
    watch,
    `const file = open('a', 'w'), other = open('b', 'w')
    print(fs.writeSync(file, text(20))); print(fs.writeSync(file, text(20)))
    print(attempt(() => fs.writeSync(file, text(1)))); print(fs.writeSync(other, text(99)))
    fs.writeFileSync(process.env.SYNC_WATCH_CONTROL, ''); print(fs.writeSync(file, text(20)))`
  )
  t.deepEqual(printed, [20, 10, 'ENOSPC', 99, 20])
})

test('short writes and failing writes are injected', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  watch.setFaults({ kind: 'short', path: '/a', number: 3 }, { kind: 'eio-write', path: '/b' })
  const printed = await run(
    t,
    watch,
    `const a = open('a', 'w'), b = open('b', 'w')
    print(fs.writevSync(a, [text(2), text(2)])); print(attempt(() => fs.writeSync(b, text(2))))`
  )
  t.deepEqual(printed, [4, 'EIO'])
  t.is(statSync(join(watch.root, 'b')).size, 0)
  const written = watch
    .lines()
    .filter(line => line.startsWith('w '))
    .map(line => line.split(' ')[2])
  t.deepEqual(written, ['3', '1']) // Node itself goes on after a short write
})

test('a held sync ends when the fault is taken away', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  watch.setFaults({ kind: 'hold-sync', path: '/a' })
  const script = `const file = await fs.promises.open(root + '/a', 'w'); await file.write(text(5))
    const synced = file.datasync().then(() => print('synced')); print('waiting')
    await synced`
  const args = ['--input-type=module', '-e', PRELUDE + script, watch.root]
  const program = startProgram(t, process.execPath, args, watch.env)
  await program.until(() => program.stdout.includes('waiting'))
  t.deepEqual(unsynced(watch, 'a'), [{ from: 0, to: 5 }])
  t.false(program.stdout.includes('synced'))
  watch.setFaults()
  await program.until(() => program.stdout.includes('synced'))
  t.deepEqual(unsynced(watch, 'a'), [])
})

test('a name is stable when its folder was synced after the change', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  mkdirSync(join(watch.root, 'sub'))
  await run(
    t,
    watch,
    `const write = (name) => fs.writeFileSync(root + '/sub/' + name, name)
    write('a'); write('b'); fs.renameSync(root + '/sub/b', root + '/sub/a'); write('gone')
    const folder = open('sub', 'r'); fs.fsyncSync(folder)
    fs.unlinkSync(root + '/sub/gone'); write('new')`
  )
  const changes = readWatchLog(watch.lines()).nameChanges.map(change => `${change.kind} ${change.path}`)
  t.deepEqual(changes, [`remove ${watch.root}/sub/gone`, `create ${watch.root}/sub/new`])
})

test('a power cut undoes unsynced names and keeps synced ones', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  const seen = new Set<string>()
  for (let seed = 0; seed < 40; seed++) {
    writeFileSync(join(watch.root, 'old'), 'old')
    writeFileSync(join(watch.root, 'gone'), 'gone')
    await run(
      t,
      watch,
      `fs.writeFileSync(root + '/tmp', 'new'); fs.renameSync(root + '/tmp', root + '/old')
      fs.unlinkSync(root + '/gone')`
    )
    const { undoneNames } = cutPower(watch, { random: randomOf(seed), mayUndo: () => true })
    seen.add(undoneNames.join())
    const isUndone = undoneNames.length >= 2
    t.is(statSync(join(watch.root, 'gone'), { throwIfNoEntry: false }) !== undefined, undoneNames.length > 0)
    if (isUndone) t.is(readFileSync(join(watch.root, 'old'), 'utf8'), 'old')
    if (seen.size === 4) break
  }
  t.deepEqual([...seen].map(names => names.split(',').filter(Boolean).length).sort(), [0, 1, 2, 3])
})

test('a power cut keeps what was synced to the byte, and takes or spoils the rest in some runs', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  const outcomes = { kept: 0, cut: 0, spoiled: 0 }
  await run(t, watch, `fs.writeFileSync(root + '/a', '')`)
  watch.forget()
  for (let seed = 0; seed < 24; seed++) {
    await run(
      t,
      watch,
      `const file = open('a', 'w'); fs.writeSync(file, text(5_000)); fs.fsyncSync(file)
      fs.writeSync(file, text(20_000))`
    )
    cutPower(watch, { random: randomOf(seed), mayUndo: () => true })
    const bytes = readFileSync(join(watch.root, 'a'))
    t.true(bytes.length >= 5_000 && bytes.subarray(0, 5_000).every(byte => byte === 120))
    if (bytes.length < 25_000) outcomes.cut++
    else if (bytes.every(byte => byte === 120)) outcomes.kept++
    if (!bytes.every(byte => byte === 120)) outcomes.spoiled++
  }
  t.true(outcomes.kept > 0 && outcomes.cut > 0 && outcomes.spoiled > 0, JSON.stringify(outcomes))
})

test('a synced batch of LevelDB survives a power cut, an unsynced one may not', async t => {
  if (!canWatch(t)) return
  const { random, watch } = { random: randomOf(7), watch: newWatch(t) }
  const module = JSON.stringify(import.meta.resolve('classic-level'))
  let lost = 0
  for (let round = 0; round < 12; round++) {
    const printed = await run(
      t,
      watch,
      `const { ClassicLevel } = await import(${module})
      const db = new ClassicLevel(root + '/db'); await db.open()
      const has = async key => (await db.get(key)) !== undefined
      print([await has('synced${round - 1}'), await has('lazy${round - 1}')])
      await db.put('synced${round}', 'x'.repeat(1000), { sync: true })
      await db.put('lazy${round}', 'x'.repeat(1000))
      process.reallyExit(0)`
    )
    const [hasSynced, hasLazy] = printed[0] as [boolean, boolean]
    t.is(hasSynced, round > 0)
    if (round > 0 && !hasLazy) lost++
    cutPower(watch, { random, mayUndo: () => false })
  }
  t.true(lost > 0)
})

test('a descriptor that was closed and is used again for something else is not taken for the file', async t => {
  if (!canWatch(t)) return
  const watch = newWatch(t)
  await run(
    t,
    watch,
    `import { connect, createServer } from 'node:net'
      const file = open('a', 'w'); fs.writeSync(file, text(10)); fs.fsyncSync(file); fs.closeSync(file)
      const server = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
      await new Promise(resolve => server.on('listening', resolve))
      const client = connect(server.address().port, '127.0.0.1')
      await new Promise(resolve => client.on('connect', resolve))
      client.write('ping'); await new Promise(resolve => client.on('data', resolve))
      client.end(); server.close()`
  )
  t.deepEqual(unsynced(watch, 'a'), [])
  t.is(watch.lines().filter(line => line.startsWith('W ')).length, 1)
})

test('a sync covers what a killed process had begun to write to the file before', t => {
  const lines = ['C 5 /data/a', 'W 1.1 5 0 10', 'O 5 10 /data/a', 'S 2.1 5 10', 's 2.1 1']
  t.deepEqual(readWatchLog(lines).files.get(5)?.unsynced(10), [])
  t.deepEqual(readWatchLog(lines.slice(0, -1)).files.get(5)?.unsynced(10), [{ from: 0, to: 10 }])
})

test('a sync does not cover what the same process began to write before and ended after', t => {
  const lines = ['C 5 /data/a', 'W 1.1 5 0 10', 'S 1.2 5 10', 'w 1.1 10 0', 's 1.2 1']
  t.deepEqual(readWatchLog(lines).files.get(5)?.unsynced(10), [{ from: 0, to: 10 }])
})
