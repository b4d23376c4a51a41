import test from 'ava'
import type { StateChange } from '../../src/store/store.ts'
import { range } from '../../test/helpers/batches.ts'
import { startScene } from '../../test/helpers/mongo-scene.ts'
import { mongodbOfFile } from '../../test/helpers/mongodb.ts'

const mongodb = mongodbOfFile(test)

/** More than a server may take in one command: FerretDB needs a connection of its database for each statement. */
const ROWS = 130

test.serial('any number of rows that are there already is written again, and removed', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const rowsOf = (value: number): StateChange[] =>
    range(1, ROWS).flatMap(id => {
      const row = Buffer.from(`${value}`)
      return [
        { table: 'topic', key: `topic ${id}`, row },
        { table: 'cursor', key: id, row },
        { table: 'meta', key: `${id}`, row: { value } },
        {
          ...{ table: 'session', key: id },
          row: { sessionId: id, clientId: `c${id}`, createdAt: value, expirySeconds: null }
        }
      ]
    })
  const { state } = scene.store
  for (const value of [1, 2]) await state.write(rowsOf(value), { sync: true })
  const found = await scene.reopen()
  t.is(found.topics.size, ROWS)
  t.true([...found.topics.values()].every(row => `${row}` === '2'))
  const written = found.sessions.filter(({ createdAt }) => createdAt === 2)
  t.is(written.length, ROWS)
  await scene.store.state.write(
    rowsOf(3).map(change => ({ ...change, row: null }) as StateChange),
    { sync: true }
  )
  const { topics, sessions, meta } = await scene.reopen()
  t.is(topics.size + sessions.length + meta.size, 0)
})

test.serial(
  'the later of two retained messages stays when another broker writes the first at the same moment',
  async t => {
    const scene = await startScene(t, mongodb)
    if (!scene) return
    const { proxy, store } = scene
    const retained = (acceptedAt: number): StateChange => ({
      ...{ table: 'retained', key: 'a', row: Buffer.from(`${acceptedAt}`) },
      order: { acceptedAt, sequence: 1 }
    })
    // the answer of a server that found no document, and then one of somebody else
    const fault = { kind: 'error', code: 11_000 } as const
    const rule = { command: 'update', collection: 'restante_retained', fault }
    proxy.inject(rule)
    await store.state.write([retained(1)], { sync: true })
    proxy.inject(rule)
    await store.state.write([retained(2), { table: 'meta', key: 'a', row: null }], { sync: true })
    await store.state.write([retained(1)], { sync: true })
    t.is(`${(await scene.reopen()).retained.get('a')}`, '2')
  }
)

test.serial('a row that is left alone keeps none of the others from being written', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const retained = (id: number, acceptedAt: number): StateChange => ({
    ...{ table: 'retained', key: `${id}`, row: Buffer.from(`${acceptedAt}`) },
    order: { acceptedAt, sequence: 1 }
  })
  const { state } = scene.store
  await state.write([retained(1, 9), retained(3, 9)], { sync: true })
  await state.write(
    range(1, 5).map(id => retained(id, 5)),
    { sync: true }
  )
  const found = [...(await scene.reopen()).retained].sort()
  t.deepEqual(
    found.map(([, row]) => `${row}`),
    ['9', '5', '9', '5', '5']
  )
})
