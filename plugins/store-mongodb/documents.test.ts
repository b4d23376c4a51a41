import test from 'ava'
import { LANE_SPAN } from '../../src/lane.ts'
import type { StateChange } from '../../src/store/store.ts'
import { batchOf, payloadOf, plainBatch, readLane, sequencesOf } from '../../test/helpers/batches.ts'
import { startScene } from '../../test/helpers/mongo-scene.ts'
import { mongodbOfFile } from '../../test/helpers/mongodb.ts'

const mongodb = mongodbOfFile(test)

test.serial('a batch that leaves numbers out says so, and is read back', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { store } = scene
  await store.lane.commit(plainBatch(1, 2))
  await store.lane.commit(plainBatch(1_000, 2))
  const skip = await scene.messages.findOne({ _id: 999 })
  t.is(skip?.skip, 3)
  t.deepEqual(sequencesOf(await readLane(store.lane, 1, 1_001)), [1, 2, 1_000, 1_001])
  t.is((await scene.reopen()).nextSequence, 1_002)
})

test.serial('a damaged record is told of when it is asked for, and not before', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { store, messages } = scene
  await store.lane.commit(plainBatch(1, 5))
  await messages.updateOne({ _id: 3 }, { $set: { record: Buffer.from('no record') } })
  t.deepEqual(sequencesOf((await store.lane.read(1)).messages), [1, 2])
  await t.throwsAsync(store.lane.read(3), { code: 'QUEUE_DATA_CORRUPT' })
  t.deepEqual(sequencesOf((await store.lane.read(4)).messages), [4, 5])
})

test.serial('messages of another lane are read like those of the own one', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { store, messages } = scene
  const first = 3 * LANE_SPAN + 1
  const { buffers } = batchOf(first, [{}, {}], 1)
  await messages.insertMany(buffers.map((record, place) => ({ _id: first + place, record })))
  const block = await store.lane.read(first)
  t.deepEqual(
    block.messages.map(message => message.payload()),
    [payloadOf(first), payloadOf(first + 1)]
  )
})

test.serial('a seal between freed messages stays', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  await scene.store.lane.commit(plainBatch(1, 3))
  await scene.messages.insertOne({ _id: 4, seal: { by: 'another', incarnation: 0 } })
  const { nextSequence } = await scene.reopen()
  t.is(nextSequence, 5)
  await scene.store.lane.commit(plainBatch(5, 3))
  await scene.store.lane.release({ above: () => Number.POSITIVE_INFINITY, pending: [] })
  const left = await scene.messages.find().sort({ _id: 1 }).toArray()
  t.deepEqual(
    left.map(({ _id }) => _id),
    [4, 7]
  )
})

test.serial('a row that an earlier incarnation writes late changes nothing', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { state } = scene.store
  const rows = (value: number): StateChange[] => [
    { table: 'meta', key: 'a', row: { value } },
    { table: 'topic', key: 'a', row: Buffer.from(`${value}`) }
  ]
  await state.write(rows(1), { sync: true })
  for (const name of ['restante_meta', 'restante_topics'])
    await scene.collection(name).updateMany({ incarnation: 1 }, { $set: { incarnation: 2 } })
  for (const row of rows(2)) await state.write([row], { sync: true })
  await state.write(rows(3), { sync: true })
  const { meta, topics } = await scene.reopen()
  t.deepEqual(meta.get('a'), { value: 1 })
  t.is(`${topics.get('a')}`, '1')
})
