import test from 'ava'
import { startMongodb } from '../helpers/mongodb.ts'

interface Counter {
  readonly _id: string
  readonly value: number
}

test('a test has an empty database of its own, also beside another', async t => {
  const first = await startMongodb(t)
  const second = first && (await startMongodb(t))
  if (!first || !second) return
  await first.client.db().collection<Counter>('counters').insertOne({ _id: 'a', value: 1 })
  t.is(first.client.db().databaseName, first.databaseName)
  t.is(await second.client.db().collection<Counter>('counters').countDocuments(), 0)
})

test('the database of a test keeps what was written over a kill', async t => {
  const mongodb = await startMongodb(t)
  if (!mongodb) return
  if (process.env.MONGODB_URL) {
    t.pass('it is not ours to kill')
    return
  }
  const counters = mongodb.client.db().collection<Counter>('counters')
  const write = { upsert: true, returnDocument: 'after', writeConcern: { w: 'majority', j: true } } as const
  await counters.findOneAndUpdate({ _id: 'a' }, { $inc: { value: 1 } }, write)
  await mongodb.stop()
  await mongodb.restart()
  t.deepEqual(await counters.findOneAndUpdate({ _id: 'a' }, { $inc: { value: 1 } }, write), {
    _id: 'a',
    value: 2
  })
})
