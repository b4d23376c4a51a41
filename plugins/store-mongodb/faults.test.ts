import test from 'ava'
import type { QueueError } from '../../src/errors.ts'
import { plainBatch, range, readLane, sequencesOf } from '../../test/helpers/batches.ts'
import { isWhole, startScene } from '../../test/helpers/mongo-scene.ts'
import { aloneStore } from '../../test/helpers/mongo-store.ts'
import { mongodbOfFile } from '../../test/helpers/mongodb.ts'
import type { MongodbFault } from '../../test/helpers/mongodb-faults.ts'

const mongodb = mongodbOfFile(test)

/** Ways in which the outcome of an insert of ten documents stays unknown to the one who made it. */
const UNKNOWN: readonly { name: string; fault: MongodbFault }[] = [
  { name: 'its answer is lost after the write', fault: { kind: 'lost-after' } },
  { name: 'it is lost before the write', fault: { kind: 'lost-before' } },
  {
    name: 'it stops half way and the connection is reset',
    fault: { kind: 'partial', documents: 4, answer: 'reset' }
  },
  {
    name: 'it stops half way as the primary steps down',
    fault: { kind: 'partial', documents: 4, answer: 'not-primary' }
  },
  { name: 'its write concern is not met', fault: { kind: 'write-concern-error' } },
  { name: 'the primary steps down', fault: { kind: 'error', code: 189 } }
]

for (const { name, fault } of UNKNOWN) {
  test.serial(`a commit is whole, once and in order when ${name}`, async t => {
    const scene = await startScene(t, mongodb)
    if (!scene) return
    const { store, proxy } = scene
    await store.lane.commit(plainBatch(1, 3))
    const injection = proxy.inject({ command: 'insert', collection: 'restante_messages', fault })
    await store.lane.commit(plainBatch(4, 10))
    t.true(injection.hasHappened)
    t.is(store.problem, null)
    await store.lane.commit(plainBatch(14, 2))
    await isWhole(t, scene, 15)
  })

  test.serial(`rows of several kinds are all written when ${name}`, async t => {
    const scene = await startScene(t, mongodb)
    if (!scene) return
    scene.proxy.inject({ command: 'insert', collection: 'restante_changes', fault })
    // of an update there is no half
    const ofUpdate = fault.kind === 'partial' ? ({ kind: 'lost-after' } as const) : fault
    for (const collection of ['restante_changes', 'restante_sessions', 'restante_subscriptions'])
      scene.proxy.inject({ command: 'update', collection, fault: ofUpdate })
    await scene.store.state.write(
      [
        { table: 'session', key: 7, row: { sessionId: 7, clientId: 'a', createdAt: 1, expirySeconds: null } },
        {
          table: 'subscription',
          key: { sessionId: 7, filter: 'f' },
          row: { sessionId: 7, filter: 'f', streamId: 1, qos: 1, fromSequence: 0, createdAt: 1 }
        },
        { table: 'meta', key: 'row', row: { value: 1 } }
      ],
      { sync: true }
    )
    const { sessions, subscriptions, meta } = await scene.reopen()
    t.deepEqual(
      sessions.map(row => row.clientId),
      ['a']
    )
    t.deepEqual(
      subscriptions.map(row => row.filter),
      ['f']
    )
    t.deepEqual(meta.get('row'), { value: 1 })
  })

  test.serial(`a note is there once when ${name}`, async t => {
    const scene = await startScene(t, mongodb)
    if (!scene) return
    const { notes } = scene.store
    await notes.append(Buffer.from('1'), { sync: false })
    scene.proxy.inject({ command: 'insert', collection: 'restante_notes', fault })
    await notes.append(Buffer.from('2'), { sync: true })
    await notes.append(Buffer.from('3'), { sync: false })
    t.deepEqual((await scene.reopen()).notes.map(String), ['1', '2', '3'])
  })
}

test.serial('a commit that fails again and again is whole, once and in order', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  for (const { fault } of UNKNOWN)
    scene.proxy.inject({ command: 'insert', collection: 'restante_messages', fault })
  await scene.store.lane.commit(plainBatch(1, 50))
  await isWhole(t, scene, 50)
})

test.serial('an insert that arrives late, after it was made again, changes nothing', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const rule = { command: 'insert', collection: 'restante_messages', fault: { kind: 'late' } } as const
  const injection = scene.proxy.inject(rule)
  await scene.store.lane.commit(plainBatch(1, 10))
  const answer = await injection.deliver()
  t.is(answer.writeErrors[0].code, 11_000)
  await scene.store.lane.commit(plainBatch(11, 1))
  await isWhole(t, scene, 11)
})

test.serial('a seal at the next number fences the broker for good', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { store, messages } = scene
  await store.lane.commit(plainBatch(1, 3))
  await messages.insertOne({ _id: 4, seal: { by: 'another', incarnation: 1 } })
  const error = await t.throwsAsync(store.lane.commit(plainBatch(4, 2)), { code: 'QUEUE_BROKER_FENCED' })
  t.regex(error?.message ?? '', /taken for dead by another/)
  await t.throwsAsync(store.lane.commit(plainBatch(4, 2)), { code: 'QUEUE_BROKER_FENCED' })
  await t.throwsAsync(store.state.write([{ table: 'meta', key: 'a', row: {} }], { sync: true }), {
    code: 'QUEUE_BROKER_FENCED'
  })
  t.deepEqual(sequencesOf(await readLane(store.lane, 1, 3)), [1, 2, 3])
  t.is((store.problem as { code?: string } | null)?.code, 'QUEUE_BROKER_FENCED')
})

test.serial('a document of somebody else in the middle of a batch fences the broker', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { store, messages } = scene
  await messages.insertOne({ _id: 3, batch: '9.1' })
  await t.throwsAsync(store.lane.commit(plainBatch(1, 5)), { code: 'QUEUE_BROKER_FENCED' })
  t.is(await messages.countDocuments({ _id: { $gt: 3 } }), 0)
})

test.serial('a full database refuses a commit, and a later one passes', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { proxy } = scene
  await scene.store.lane.commit(plainBatch(1, 3))
  const full = { kind: 'error', code: 14_031 } as const
  proxy.inject({ command: 'insert', collection: 'restante_messages', fault: full })
  await t.throwsAsync(scene.store.lane.commit(plainBatch(4, 3)), { code: 'QUEUE_STORE_FULL' })
  await isWhole(t, scene, 3)
  await scene.store.lane.commit(plainBatch(4, 3))
  await isWhole(t, scene, 6)
  proxy.inject({ command: 'insert', collection: 'restante_changes', fault: full })
  const rows = [
    { table: 'meta', key: 'a', row: { value: 1 } },
    { table: 'meta', key: 'b', row: { value: 1 } }
  ] as const
  await t.throwsAsync(scene.store.state.write(rows, { sync: true }), { code: 'QUEUE_STORE_FULL' })
  await scene.store.state.write(rows.slice(0, 1), { sync: true })
  t.deepEqual([...(await scene.reopen()).meta.keys()], ['a'])
})

test.serial(
  'a batch of which a part may be there is not refused when the database is full, but goes on later',
  async t => {
    const scene = await startScene(t, mongodb)
    if (!scene) return
    const rule = { command: 'insert', collection: 'restante_messages' } as const
    scene.proxy.inject({ ...rule, fault: { kind: 'partial', documents: 2, answer: 'reset' } })
    scene.proxy.inject({ ...rule, nth: 1, fault: { kind: 'error', code: 14_031 } })
    await scene.store.lane.commit(plainBatch(1, 6))
    await isWhole(t, scene, 6)
  }
)

test.serial('an insert that the database refuses for good is final, and reading goes on', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { store, proxy } = scene
  await store.lane.commit(plainBatch(1, 3))
  proxy.inject({ command: 'insert', collection: 'restante_messages', fault: { kind: 'error', code: 13 } })
  await t.throwsAsync(store.lane.commit(plainBatch(4, 3)), { code: 'QUEUE_STORE_FAILED' })
  await t.throwsAsync(store.lane.commit(plainBatch(4, 3)), { code: 'QUEUE_STORE_FAILED' })
  t.deepEqual(sequencesOf(await readLane(store.lane, 1, 3)), [1, 2, 3])
})

test.serial(
  'while the database is away the store says so, and all that waits is done when it is back',
  async t => {
    const scene = await startScene(t, mongodb)
    if (!scene) return
    const { store, proxy } = scene
    await store.lane.commit(plainBatch(1, 3))
    proxy.failAll(11_602)
    const commit = store.lane.commit(plainBatch(4, 3))
    const read = store.lane.read(1)
    const write = store.state.write([{ table: 'meta', key: 'a', row: { value: 1 } }], { sync: true })
    while (!store.problem) await new Promise(resolve => setImmediate(resolve))
    t.is((store.problem as QueueError).code, 'QUEUE_STORE_AWAY')
    proxy.heal()
    await commit
    t.deepEqual(sequencesOf((await read).messages).slice(0, 3), [1, 2, 3])
    await write
    t.falsy(store.problem)
    await isWhole(t, scene, 6)
    t.is(scene.log.texts('warn').filter(text => /answers again/.test(text)).length, 1)
  }
)

test.serial('a write of several rows that was cut short counts after the next open', async t => {
  const scene = await startScene(t, mongodb)
  if (!scene) return
  const { store, proxy } = scene
  proxy.inject({ command: 'insert', collection: 'restante_changes', fault: { kind: 'lost-after' } })
  const inserted = proxy.inject({
    command: 'update',
    collection: 'restante_meta',
    fault: { kind: 'lost-before' }
  })
  const rows = range(1, 3).map(value => ({ table: 'meta', key: `${value}`, row: { value } }) as const)
  void store.state.write(rows, { sync: true }).catch(() => {})
  await inserted.happened
  proxy.failAll(189) // as if it were killed now
  const other = aloneStore(scene.directUrl).store
  t.teardown(() => other.close())
  const { meta } = await other.open()
  t.deepEqual([...meta.keys()].sort(), ['1', '2', '3'])
  proxy.heal()
})

test.serial('a start without a database is given up with what to do about it', async t => {
  const { store, log } = aloneStore('mongodb://user:secret@127.0.0.1:9/restante', { storeTimeoutMs: 100 })
  const error = await t.throwsAsync(store.open(), { code: 'QUEUE_STORE_AWAY' })
  t.regex(error?.message ?? '', /no MongoDB at mongodb:\/\/user:\*\*\*@127.0.0.1:9\/restante within 100 ms/)
  t.regex(error?.message ?? '', /mongodbUrl/)
  t.false(JSON.stringify(log.lines).includes('secret'))
  t.true(log.texts('warn').some(text => /tried again/.test(text)))
})
