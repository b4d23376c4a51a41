import type { SessionRow, StateChange, StoreContents, SubscriptionRow } from '../../src/store/store.ts'
import { range } from '../helpers/batches.ts'
import type { Definers } from './under-test.ts'

const ODD_NAMES = [
  '',
  'constructor',
  '__proto__',
  'toString',
  'a!b',
  '0',
  'é日本💡',
  '\u0001',
  'x'.repeat(65_535)
]

/** Rows that change. */
export function defineState({ defineKept, manyRows }: Definers): void {
  defineKept('rows come back as they were written, whatever the names', async (t, under) => {
    const changes = ODD_NAMES.flatMap((name, place) => rowsOf(name, place + 1))
    await under.store.state.write(changes, { sync: true })
    const contents = await under.reopen()
    t.deepEqual(
      sorted(contents.sessions, row => row.sessionId).map(row => row.clientId),
      ODD_NAMES
    )
    t.deepEqual(
      sorted(contents.subscriptions, row => row.sessionId).map(row => row.filter),
      ODD_NAMES
    )
    t.deepEqual(
      sorted(contents.streams, row => row.streamId).map(row => row.filter),
      ODD_NAMES
    )
    t.deepEqual([...contents.meta.keys()].sort(), [...ODD_NAMES].sort())
    for (const [place, name] of ODD_NAMES.entries()) {
      t.deepEqual(contents.meta.get(name), { place: place + 1, text: name, is: true, none: null })
      t.deepEqual(contents.cursors.get(place + 1), Buffer.from([0, 255, place + 1]))
      t.deepEqual(contents.retained.get(name), Buffer.from([1, 255, place + 1]))
      t.deepEqual(contents.wills.get(place + 1), Buffer.from([2, 255, place + 1]))
      t.deepEqual(contents.topics.get(name), Buffer.from([3, 255, place + 1]))
    }
    t.is(contents.retained.size, ODD_NAMES.length)
    t.is(contents.wills.size, ODD_NAMES.length)
    t.is(contents.topics.size, ODD_NAMES.length)
  })

  defineKept('a row that was written as null is gone', async (t, under) => {
    const { state } = under.store
    await state.write([...rowsOf('a', 1), ...rowsOf('b', 2)], { sync: false })
    await state.write(
      rowsOf('a', 1).map(change => ({ ...change, row: null })),
      { sync: false }
    )
    const contents = await under.reopen()
    t.deepEqual([...contents.meta.keys()], ['b'])
    t.deepEqual([...contents.cursors.keys()], [2])
    t.deepEqual([...contents.retained.keys()], ['b'])
    t.deepEqual([...contents.wills.keys()], [2])
    t.deepEqual([...contents.topics.keys()], ['b'])
    t.deepEqual(
      contents.sessions.map(row => row.clientId),
      ['b']
    )
    t.deepEqual(
      contents.subscriptions.map(row => row.filter),
      ['b']
    )
    t.deepEqual(
      contents.streams.map(row => row.filter),
      ['b']
    )
  })

  defineKept('of several writes of a row the last call counts', async (t, under) => {
    const { state } = under.store
    const meta = (value: number): StateChange[] => [
      { table: 'meta', key: 'row', row: { value: -1 } },
      { table: 'meta', key: 'row', row: { value } }
    ]
    await Promise.all(range(1, 50).map(value => state.write(meta(value), { sync: value % 3 === 0 })))
    t.deepEqual((await under.reopen()).meta.get('row'), { value: 50 })
  })

  defineKept(
    'a retained message and a will that were replaced are the later ones, and large ones are whole',
    async (t, under) => {
      const { state } = under.store
      const large = Buffer.alloc(2_000_000, 7)
      const both = (row: Buffer): StateChange[] => [
        { table: 'retained', key: 'a/b', row },
        { table: 'will', key: 4_294_967_295, row }
      ]
      await state.write(both(Buffer.from('old')), { sync: true })
      await state.write(both(large), { sync: false })
      await state.write([{ table: 'retained', key: 'a', row: Buffer.alloc(0) }], { sync: false })
      const { retained, wills } = await under.reopen()
      t.true(retained.get('a/b')?.equals(large))
      t.true(wills.get(4_294_967_295)?.equals(large))
      t.is(retained.get('a')?.length, 0)
    }
  )

  defineKept('a row is as it was when the write was called', async (t, under) => {
    const row = Buffer.from([1, 2, 3])
    const written = under.store.state.write([{ table: 'topic', key: 'a', row }], { sync: false })
    row.fill(9)
    await written
    t.deepEqual((await under.reopen()).topics.get('a'), Buffer.from([1, 2, 3]))
  })

  defineKept('many rows come back', async (t, under) => {
    await under.store.state.write(
      range(1, manyRows).flatMap(i => rowsOf(`client ${i}`, i)),
      { sync: true }
    )
    const contents = await under.reopen()
    t.is(contents.sessions.length, manyRows)
    t.is(contents.cursors.size, manyRows)
    t.is(contents.retained.size, manyRows)
    t.is(contents.wills.size, manyRows)
    t.is(new Set(contents.subscriptions.map(row => row.filter)).size, manyRows)
  })
}

/** Notes and checkpoints. */
export function defineNotes({ defineKept }: Definers): void {
  const texts = (contents: StoreContents) => contents.notes.map(note => note.toString())

  defineKept('notes come back in order', async (t, under) => {
    const given = ['first', '', 'x'.repeat(100_000), 'last']
    for (const text of given) await under.store.notes.append(Buffer.from(text), { sync: false })
    t.true(under.store.notes.sizeBytes() >= 100_000)
    t.deepEqual(texts(await under.reopen()), given)
    await under.store.notes.append(Buffer.from('more'), { sync: false })
    t.deepEqual(texts(await under.reopen()), [...given, 'more'])
  })

  defineKept('synced notes and others come back in one order, over every checkpoint', async (t, under) => {
    const expected: string[] = []
    for (let i = 1; i <= 40; i++) {
      const { notes } = under.store
      await notes.append(Buffer.from(`${i}`), { sync: i % 3 === 0 })
      expected.push(`${i}`)
      if (i % 16 === 0) {
        await notes.checkpoint(() => [])
        expected.length = 0
      }
      if (i % 7 === 0) t.deepEqual(texts(await under.reopen()), expected)
    }
    t.deepEqual(texts(await under.reopen()), expected)
  })

  defineKept('a checkpoint writes its changes and ends the notes before it', async (t, under) => {
    const { notes } = under.store
    await notes.append(Buffer.from('before'), { sync: false })
    await notes.checkpoint(() => [{ table: 'meta', key: 'state', row: { value: 1 } }])
    t.is(notes.sizeBytes(), 0)
    await notes.append(Buffer.from('after'), { sync: false })
    const contents = await under.reopen()
    t.deepEqual(texts(contents), ['after'])
    t.deepEqual(contents.meta.get('state'), { value: 1 })
  })

  defineKept('notes given while a checkpoint is made belong behind it', async (t, under) => {
    const { notes } = under.store
    for (let round = 0; round < 20; round++) {
      const before = notes.append(Buffer.from(`before ${round}`), { sync: false })
      const checkpoint = notes.checkpoint(() => [{ table: 'meta', key: 'state', row: { round } }])
      await before
      await notes.append(Buffer.from(`during ${round}`), { sync: false })
      await checkpoint
      await notes.append(Buffer.from(`after ${round}`), { sync: false })
    }
    t.deepEqual(texts(await under.reopen()), ['during 19', 'after 19'])
  })
}

function rowsOf(name: string, id: number): StateChange[] {
  const session: SessionRow = { sessionId: id, clientId: name, createdAt: 1.5, expirySeconds: null }
  const subscription: SubscriptionRow = {
    ...{ sessionId: id, filter: name, streamId: id, qos: 1, fromSequence: 2 ** 48 - 1, createdAt: 2 }
  }
  return [
    { table: 'meta', key: name, row: { place: id, text: name, is: true, none: null } },
    { table: 'stream', key: id, row: { streamId: id, filter: name } },
    { table: 'session', key: id, row: session },
    { table: 'subscription', key: { sessionId: id, filter: name }, row: subscription },
    { table: 'cursor', key: id, row: Buffer.from([0, 255, id & 255]) },
    { table: 'retained', key: name, row: Buffer.from([1, 255, id & 255]) },
    { table: 'will', key: id, row: Buffer.from([2, 255, id & 255]) },
    { table: 'topic', key: name, row: Buffer.from([3, 255, id & 255]) }
  ]
}

function sorted<Row>(rows: readonly Row[], key: (row: Row) => number): Row[] {
  return [...rows].sort((a, b) => key(a) - key(b))
}
