import test, { type ExecutionContext } from 'ava'
import {
  type Collection,
  MongoBulkWriteError,
  MongoClient,
  MongoServerError,
  MongoWriteConcernError
} from 'mongodb'
import { startMongodb } from '../helpers/mongodb.ts'
import { MongodbProxy, targetOf, throughProxy } from '../helpers/mongodb-proxy.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

interface Numbered {
  readonly _id: number
  readonly text?: string
}

const MAJORITY = { writeConcern: { w: 'majority', j: true } } as const
/** `insertMany` wraps the network error in one of its own. */
const RESET = { message: /ECONNRESET/ } as const
const THREE: readonly Numbered[] = [{ _id: 1 }, { _id: 2 }, { _id: 3 }]

test('without a fault everything passes unchanged, and is counted', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  const text = 'ä'.repeat(100_000)
  await through.insertMany([...THREE, { _id: 4, text }], MAJORITY)
  t.is((await through.findOne({ _id: 4 }))?.text, text)
  t.deepEqual(await ids(through), [1, 2, 3, 4])
  await through.updateOne({ _id: 1 }, { $set: { text: 'changed' } })
  t.is((await direct.findOne({ _id: 1 }))?.text, 'changed')
  t.is(proxy.counts.get('insert'), 1)
  t.is(proxy.counts.get('insert numbers'), 1)
  t.is(proxy.counts.get('update numbers'), 1)
})

test('an answer that is lost after the write is a network error, and the documents are there', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  const injection = proxy.inject({ command: 'insert', collection: 'numbers', fault: { kind: 'lost-after' } })
  await t.throwsAsync(through.insertMany(THREE, MAJORITY), RESET)
  const { body } = await injection.happened
  t.is(body.documents.length, 3)
  t.deepEqual(await ids(direct), [1, 2, 3])
  // one command only
  await through.insertOne({ _id: 4 })
  t.deepEqual(await ids(through), [1, 2, 3, 4])
})

test('an answer that is lost before the write is a network error, and nothing is there', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  const injection = proxy.inject({ command: 'insert', collection: 'numbers', fault: { kind: 'lost-before' } })
  await t.throwsAsync(through.insertMany(THREE, MAJORITY), RESET)
  t.true(injection.hasHappened)
  t.deepEqual(await ids(direct), [])
})

test('a fault comes at the n-th command of its name on its collection', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  const rule = { command: 'insert', collection: 'numbers', nth: 3, fault: { kind: 'lost-before' } } as const
  const injection = proxy.inject(rule)
  const taken = proxy.inject({ ...rule, nth: 1 })
  taken.remove()
  await through.insertOne({ _id: 1 })
  await through.findOne({ _id: 1 })
  await through.db.collection<Numbered>('others').insertOne({ _id: 1 })
  await through.insertOne({ _id: 2 })
  t.false(injection.hasHappened)
  await t.throwsAsync(through.insertOne({ _id: 3 }), RESET)
  await through.insertOne({ _id: 4 })
  t.deepEqual(await ids(direct), [1, 2, 4])
  t.false(taken.hasHappened)
})

for (const answer of ['reset', 'not-primary'] as const) {
  test(`an insert that stops half way has written its first documents only (${answer})`, async t => {
    const scene = await start(t)
    if (!scene) return
    const { proxy, through, direct } = scene
    proxy.inject({ command: 'insert', fault: { kind: 'partial', documents: 2, answer } })
    const error = await t.throwsAsync(through.insertMany(THREE, MAJORITY))
    t.deepEqual(await ids(direct), [1, 2])
    if (answer === 'reset') t.regex(String(error), RESET.message)
    else t.like(serverError(t, error), { code: 10107, labels: ['RetryableWriteError'] })
    proxy.inject({ command: 'insert', fault: { kind: 'partial', documents: 0, answer } })
    await t.throwsAsync(through.insertMany([{ _id: 9 }], MAJORITY))
    t.deepEqual(await ids(direct), [1, 2])
  })
}

test('a write concern error is told although the documents are there', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  const fault = { kind: 'write-concern-error' } as const
  proxy.inject({ command: 'insert', fault })
  const error = await t.throwsAsync(through.insertMany(THREE, MAJORITY))
  t.true(error instanceof MongoBulkWriteError, String(error))
  const { result } = error as MongoBulkWriteError
  t.is(result.getWriteConcernError()?.code, 64)
  t.is(result.insertedCount, 3)
  t.deepEqual(await ids(direct), [1, 2, 3])
  proxy.inject({ command: 'findAndModify', fault })
  const update = through.findOneAndUpdate({ _id: 1 }, { $set: { text: 'changed' } }, MAJORITY)
  const second = await t.throwsAsync(update)
  t.true(second instanceof MongoWriteConcernError, String(second))
  t.is((await direct.findOne({ _id: 1 }))?.text, 'changed')
})

test('one command fails with an error of the server', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  await through.insertMany(THREE)
  const injection = proxy.inject({ command: 'delete', fault: { kind: 'error', code: 50 } })
  const error = await t.throwsAsync(through.deleteMany({}))
  t.like(serverError(t, error), { code: 50, labels: [] })
  t.is((await injection.happened).collection, 'numbers')
  t.deepEqual(await ids(direct), [1, 2, 3])
})

test('while a primary steps down all commands fail, and none is done', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  await through.insertMany(THREE)
  for (const code of [189, 11602]) {
    proxy.failAll(code)
    const write = await t.throwsAsync(through.insertOne({ _id: 4 }, MAJORITY))
    t.like(serverError(t, write), { code, labels: ['RetryableWriteError'] })
    const read = await t.throwsAsync(through.find().toArray())
    t.is(serverError(t, read).code, code)
    proxy.heal()
    t.deepEqual(await ids(through), [1, 2, 3])
  }
  t.deepEqual(await ids(direct), [1, 2, 3])
})

test('a late insert reaches the server long after its connection was closed', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  const injection = proxy.inject({ command: 'insert', fault: { kind: 'late' } })
  await t.throwsAsync(through.insertMany(THREE, MAJORITY), RESET)
  await injection.happened
  t.deepEqual(await ids(through), [])
  t.like(await injection.deliver(), { ok: 1, n: 3 })
  t.deepEqual(await ids(direct), [1, 2, 3])
})

test('a late insert of numbers that are taken is refused by the server', async t => {
  const scene = await start(t)
  if (!scene) return
  const { proxy, through, direct } = scene
  const injection = proxy.inject({ command: 'insert', fault: { kind: 'late' } })
  await t.throwsAsync(through.insertMany(THREE, MAJORITY), RESET)
  await direct.insertOne({ _id: 1, text: 'seal' })
  const answer = await injection.deliver()
  t.is(answer.n, 0)
  t.is(answer.writeErrors[0].code, 11000)
  t.deepEqual(await ids(direct), [1])
})

test('it works behind a link that fails, and goes on afterwards', async t => {
  const scene = await start(t, true)
  if (!scene) return
  const { link, through, direct } = scene
  await through.insertOne({ _id: 1 })
  link!.drop()
  await t.throwsAsync(through.insertOne({ _id: 2 }))
  await link!.resume()
  await through.insertOne({ _id: 3 })
  t.deepEqual(await ids(direct), [1, 3])
})

interface Scene {
  readonly proxy: MongodbProxy
  readonly link: TcpProxy | null
  /** The same collection, through the proxy and past it. */
  readonly through: Collection<Numbered>
  readonly direct: Collection<Numbered>
}

async function start(t: ExecutionContext, isLinked = false): Promise<Scene | undefined> {
  const mongodb = await startMongodb(t)
  if (!mongodb) return undefined
  const proxy = await MongodbProxy.start(t, targetOf(mongodb.url))
  const link = isLinked ? await TcpProxy.start(t, proxy) : null
  // errors come through, and no retry of the driver hides them
  const url = throughProxy(mongodb.url, (link ?? proxy).port)
  const client = new MongoClient(url, {
    retryReads: false,
    retryWrites: false,
    serverSelectionTimeoutMS: 2_000
  })
  t.teardown(() => client.close())
  await client.connect()
  const collection = (of: MongoClient) => of.db().collection<Numbered>('numbers')
  return { proxy, link, through: collection(client), direct: collection(mongodb.client) }
}

async function ids(collection: Collection<Numbered>): Promise<number[]> {
  const documents = await collection.find().sort({ _id: 1 }).toArray()
  return documents.map(({ _id }) => _id)
}

function serverError(t: ExecutionContext, error: unknown): { code: unknown; labels: string[] } {
  t.true(error instanceof MongoServerError, String(error))
  const { code, errorLabels } = error as MongoServerError
  return { code, labels: errorLabels.filter(label => label === 'RetryableWriteError') }
}
