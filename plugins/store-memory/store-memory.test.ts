import test from 'ava'
import { storeContract } from '../../test/contract/store.ts'
import { plainBatch } from '../../test/helpers/batches.ts'
import { MemoryStore } from './memory-store.ts'

storeContract(test, {
  name: 'store-memory',
  create: async () => {
    const store = new MemoryStore()
    return { store, again: () => store, emptyLaneBytes: 0 }
  }
})

test('a memory store that was not closed says that its process was killed', async t => {
  const store = new MemoryStore()
  await store.open()
  await store.lane.commit(plainBatch(1, 3))
  const contents = await store.open()
  t.is(contents.lastStop, 'process')
  t.is(contents.nextSequence, 4)
})

test('release gives the memory of dropped messages back although one beside them is kept', async t => {
  const store = new MemoryStore()
  await store.open()
  await store.lane.commit(plainBatch(1, 1_000))
  await store.lane.release({ above: () => Number.POSITIVE_INFINITY, pending: [500] })
  t.true(store.lane.sizeBytes() < 300)
  t.is((await store.lane.read(500)).messages[0]!.bytes.length, store.lane.sizeBytes())
})
