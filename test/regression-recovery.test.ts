import test from 'ava'
import { encodeCursor } from '../src/delivery/cursor.ts'
import { Session } from '../src/delivery/session.ts'
import type { StateChange } from '../src/store/store.ts'
import { startCore } from './helpers/core.ts'
import { ModelStore } from './helpers/model-store.ts'
import { idleHost } from './helpers/stand-ins.ts'

const host = idleHost

/** Rows of a session with one subscription. */
function rowsOf(sessionId: number, filter: string, streamId: number, frontier = 0): StateChange[] {
  const clientId = `session-${sessionId}`
  const session = { sessionId, clientId, createdAt: 1, expirySeconds: null }
  const live = new Session(session, host)
  live.frontiers.set(frontier)
  const subscription = { sessionId, filter, streamId, qos: 1, fromSequence: 0, createdAt: 1 }
  return [
    { table: 'session', key: sessionId, row: session },
    { table: 'cursor', key: sessionId, row: encodeCursor(live) },
    { table: 'stream', key: streamId, row: { streamId, filter } },
    { table: 'subscription', key: { sessionId, filter }, row: subscription }
  ]
}

test('a store with 100,000 sessions opens', async t => {
  const store = new ModelStore()
  const changes: StateChange[] = []
  for (let i = 1; i <= 100_000; i++) changes.push(...rowsOf(i, 'a', 1, i))
  await store.state.write(changes, { sync: true })
  const { core, connect } = await startCore(t, { store: store.crash('process') })
  t.is([...core.directory.sessions()].length, 100_000)
  t.is(core.directory.server().headSequence, 100_000, 'no sequence that a cursor knows comes again')
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: 'x', qos: 1 })
  const session = await connect({ clientId: 'session-77777', clean: false })
  t.deepEqual(await session.payloads(1), ['x'])
})

test('a row of a stream without subscriptions does not hide the stream that has them', async t => {
  const store = new ModelStore()
  const stale: StateChange = { table: 'stream', key: 3, row: { streamId: 3, filter: 'a' } }
  await store.state.write([stale, ...rowsOf(1, 'a', 7)], { sync: true })
  const first = await startCore(t, { store: store.crash('process') })
  const publisher = await first.connect()
  await publisher.publish({ topic: 'a', payload: 'kept', qos: 1 })
  const second = await startCore(t, { store: first.store.crash('process') })
  t.deepEqual(await (await second.connect({ clientId: 'session-1', clean: false })).payloads(1), ['kept'])
})

test('rows of a session that is gone are taken out, and their ids are not given out again', async t => {
  const store = new ModelStore()
  const [, cursor, stream, subscription] = rowsOf(40, 'b', 9)
  await store.state.write([...rowsOf(1, 'a', 7), cursor!, stream!, subscription!], { sync: true })
  const { core, store: opened } = await startCore(t, { store: store.crash('process') })
  await core.close()
  const found = await opened.crash('process').open()
  t.deepEqual([...found.cursors.keys()], [1])
  t.deepEqual(
    found.streams.map(row => row.streamId),
    [7]
  )
  t.deepEqual(
    found.subscriptions.map(row => row.sessionId),
    [1]
  )
})

test('a cursor ahead of the journal is served with what comes after it', async t => {
  const store = new ModelStore()
  await store.state.write(rowsOf(1, 'a', 7, 50), { sync: true })
  const { connect } = await startCore(t, { store: store.crash('machine') })
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: 'new', qos: 1 })
  t.deepEqual(await (await connect({ clientId: 'session-1', clean: false })).payloads(1), ['new'])
})
