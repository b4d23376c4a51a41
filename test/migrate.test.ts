import test, { type ExecutionContext } from 'ava'
import { systemFiles } from '../plugins/store-local/files.ts'
import { MemoryStore } from '../plugins/store-memory/memory-store.ts'
import { type MigrateOptions, migrate } from '../src/migrate/migrate.ts'
import type { LaneStore, Store } from '../src/store/store.ts'
import { plainBatch } from './helpers/batches.ts'
import { startCore } from './helpers/core.ts'
import { contentsOf, fillStore } from './helpers/filled-store.ts'
import { LocalFolder } from './helpers/local-folder.ts'
import { type Random, randomOf, testRandom, testRuns } from './helpers/tools-random.ts'

const SIZE = { messages: 400, sessions: 12 }

test('all that is in a store is in the other one afterwards, with the same sequences', async t => {
  const random = testRandom(t)
  for (let run = 0; run < testRuns(5); run++) {
    const source = await filled(random)
    const target = new MemoryStore()
    const { isDone, isResumed, counts } = await migrate(between(source, target))
    t.true(isDone)
    t.false(isResumed)
    const wanted = await contentsOf(source, await source.open())
    t.deepEqual(await contentsOf(target, await target.open()), wanted)
    t.like(counts, { messages: wanted.messages.length, sessions: 12, retained: 1, wills: 1 })
    t.is(counts!.subscriptions, wanted.subscriptions.length)
    t.true(counts!.bytes > 100 * wanted.messages.length)
  }
})

test('a local store takes messages with gaps between them, and all is there after a kill', async t => {
  const random = testRandom(t)
  const source = await filled(random)
  const folder = await LocalFolder.create(t)
  await migrate(between(source, () => folder.createStore()))
  const wanted = await contentsOf(source, await source.open())
  t.true(wanted.messages.length < SIZE.messages - 5)
  await folder.open()
  t.deepEqual(await contentsOf(folder.store, folder.contents), wanted)
  await folder.store.lane.commit(plainBatch(folder.contents.nextSequence, 3))
  await folder.kill()
  t.is((await folder.open()).nextSequence, wanted.nextSequence + 3)
})

test('sequences go on behind those of the source also when its last messages are gone', async t => {
  const source = new MemoryStore()
  await source.open()
  await source.lane.commit(plainBatch(1, 20))
  await source.lane.release({ above: () => Number.POSITIVE_INFINITY, pending: [3] })
  await source.close()
  const folder = await LocalFolder.create(t)
  const { counts } = await migrate(between(source, () => folder.createStore()))
  t.is(counts!.messages, 1)
  t.is((await folder.open()).nextSequence, 21)
})

test('a migration that was ended anywhere goes on where it was', async t => {
  const seed = testRandom(t).seed
  const source = await filled(randomOf(seed))
  const wanted = await contentsOf(source, await source.open())
  for (let failing = 0; ; failing++) {
    const target = new MemoryStore()
    const broken = new BreakingStore(target, failing)
    const isBroken = await migrate(between(source, broken)).then(
      () => false,
      (error: Error) => error.message === 'broken'
    )
    if (!isBroken) {
      t.true(failing > 20)
      break
    }
    const commits = broken.commits
    const again = new BreakingStore(target, Number.POSITIVE_INFINITY)
    const { isDone, isResumed } = await migrate(between(source, again))
    t.true(isDone)
    t.is(isResumed, failing > 1) // opened, then marked
    t.deepEqual(await contentsOf(target, await target.open()), wanted)
    t.true(again.commits <= broken.total - commits + 1, 'nothing is committed twice')
  }
})

test('a migration that is asked to stop leaves off and goes on later', async t => {
  const source = await filled(testRandom(t))
  const target = new MemoryStore()
  let calls = 0
  const first = await migrate({ ...between(source, target), isStopped: () => ++calls > 1 })
  t.like(first, { isDone: false, counts: null })
  const second = await migrate(between(source, target))
  t.like(second, { isDone: true, isResumed: true })
  t.deepEqual(await contentsOf(target, await target.open()), await contentsOf(source, await source.open()))
})

test('what the target does not keep as it was is found', async t => {
  const source = await filled(testRandom(t))
  for (const spoil of SPOILERS) {
    const target = new BreakingStore(new MemoryStore(), Number.POSITIVE_INFINITY, spoil)
    const error = await t.throwsAsync(migrate(between(source, target)))
    t.like(error, { code: 'QUEUE_DATA_CORRUPT', detail: { isDifferent: true } })
  }
})

test('a target that holds something is refused, and left alone', async t => {
  const source = await filled(testRandom(t))
  const target = new MemoryStore()
  await target.open()
  await target.lane.commit(plainBatch(1, 1))
  await target.close()
  await refused(t, between(source, target), /^target holds messages or sessions already/)
  t.is((await target.open()).meta.size, 0)
})

test('an interrupted migration is refused with another source, or when the source has changed', async t => {
  const random = testRandom(t)
  const source = await filled(random)
  const target = new MemoryStore()
  await t.throwsAsync(migrate(between(source, new BreakingStore(target, 5))))
  await refused(t, between(await filled(random), target, 'other'), /^target holds a part of source: /)
  await source.open()
  await source.state.write([{ table: 'meta', key: 'sessions', row: { next: 99 } }], { sync: true })
  await source.close()
  await refused(t, between(source, target), /^source has changed since/)
})

test('a target that is not complete is no source, nor is an empty store', async t => {
  const source = await filled(testRandom(t))
  const target = new MemoryStore()
  await t.throwsAsync(migrate(between(source, new BreakingStore(target, 5))))
  await refused(t, between(target, new MemoryStore()), /^source is not complete/)
  await refused(t, between(new MemoryStore(), target), /^there is nothing in source/)
})

test('a store that holds only a part of another one serves nobody until the rest is there', async t => {
  const source = new MemoryStore()
  await source.open()
  await source.lane.commit(plainBatch(1, 20))
  await source.close()
  const folder = await LocalFolder.create(t)
  const broken = () => new BreakingStore(folder.createStore(), 2) // opened, then marked
  await t.throwsAsync(migrate(between(source, broken)), { message: 'broken' })
  const started = startCore(t, { store: folder.createStore() })
  await t.throwsAsync(started, { code: 'QUEUE_STORE_INCOMPLETE', message: /a part of source: finish it/ })
  t.like(await migrate(between(source, () => folder.createStore())), { isDone: true, isResumed: true })
  await t.notThrowsAsync(startCore(t, { store: folder.createStore() }))
})

test('a source that may have lost notes in a power cut is refused', async t => {
  const folder = await LocalFolder.create(t)
  await folder.open()
  await folder.kill()
  const source = () => folder.createStore({ boot: 'another', files: systemFiles })
  await refused(t, between(source, new MemoryStore()), /start a server on it and stop it/)
})

test('messages of a second lane are refused, and an empty second lane is not', async t => {
  const source = await filled(testRandom(t))
  const second = 2 ** 40
  const withLane = (headSequence: number): Store => {
    const open = async () => {
      const contents = await source.open()
      const first = { lane: 0, name: 'a', headSequence: contents.nextSequence - 1 }
      return { ...contents, lanes: [first, { lane: 1, name: 'b', headSequence }] }
    }
    const { supports, lane, state, notes } = source
    return { supports, lane, state, notes, open, close: () => source.close() }
  }
  await migrate(between(withLane(second), new MemoryStore()))
  await source.open()
  await source.lane.commit(plainBatch(second + 1, 1))
  await refused(t, between(withLane(second + 1), new MemoryStore()), /several brokers \(b besides a\)/)
})

async function refused(t: ExecutionContext, options: MigrateOptions, message: RegExp): Promise<void> {
  await t.throwsAsync(migrate(options), { code: 'QUEUE_REQUEST_INVALID', message })
}

async function filled(random: Random): Promise<MemoryStore> {
  const store = new MemoryStore()
  await store.open()
  await fillStore(store, random, SIZE)
  await store.close()
  return store
}

type Stores = Store | (() => Store)

function between(source: Stores, target: Stores, name = 'source'): MigrateOptions {
  const maker = (store: Stores) => async () => (typeof store === 'function' ? store() : store)
  return {
    source: { name, make: maker(source) },
    target: { name: 'target', make: maker(target) },
    progress: () => {},
    isStopped: () => false
  }
}

type Spoil = Partial<Pick<Store, 'lane' | 'state' | 'notes'>>

/** Stores that do not do as they are told: each keeps something else. */
const SPOILERS: readonly ((store: Store) => Spoil)[] = [
  ({ lane }) => ({
    lane: {
      ...handedOn(lane),
      commit: batch => {
        const buffers = batch.buffers.map((bytes, i) => (i === 0 ? spoiled(bytes) : bytes))
        return lane.commit({ ...batch, buffers })
      }
    }
  }),
  ({ state }) => ({
    state: {
      write: (changes, options) =>
        state.write(
          changes.filter(({ table }) => table !== 'will'),
          options
        )
    }
  }),
  ({ notes }) => ({
    notes: {
      checkpoint: changes => notes.checkpoint(changes),
      sizeBytes: () => notes.sizeBytes(),
      append: (note, options) => notes.append(note.subarray(1), options)
    }
  })
]

function handedOn(lane: LaneStore): LaneStore {
  return {
    commit: batch => lane.commit(batch),
    read: sequence => lane.read(sequence),
    release: owed => lane.release(owed),
    sizeBytes: () => lane.sizeBytes()
  }
}

/** The last byte of a record is the last of its payload. */
function spoiled(record: Buffer): Buffer {
  const bytes = Buffer.from(record)
  bytes[bytes.length - 1]! ^= 1
  return bytes
}

/** A store of which one call, and all behind it, fails; made anew it goes on. */
class BreakingStore implements Store {
  readonly supports
  readonly lane: Store['lane']
  readonly state: Store['state']
  readonly notes: Store['notes']
  commits = 0
  readonly total = 400
  readonly #store: Store
  #left: number

  constructor(store: Store, calls: number, spoil: (store: Store) => Spoil = () => ({})) {
    this.#store = store
    this.#left = calls
    this.supports = store.supports
    const { lane, state, notes } = {
      lane: store.lane,
      state: store.state,
      notes: store.notes,
      ...spoil(store)
    }
    this.lane = {
      ...handedOn(lane),
      commit: async batch => {
        this.#step()
        await lane.commit(batch)
        this.commits++
      }
    }
    this.state = {
      write: async (changes, options) => {
        this.#step()
        await state.write(changes, options)
      }
    }
    this.notes = {
      checkpoint: changes => notes.checkpoint(changes),
      sizeBytes: () => notes.sizeBytes(),
      append: async (note, options) => {
        this.#step()
        await notes.append(note, options)
      }
    }
  }

  async open() {
    this.#step()
    return await this.#store.open()
  }

  close() {
    return this.#store.close()
  }

  #step(): void {
    if (this.#left-- <= 0) throw new Error('broken')
  }
}
