import { type MessageExpiry, REPLAY_STREAM } from '../../src/store/store.ts'
import { ORIGIN } from '../../src/wire/message.ts'
import { batchOf, payloadOf, plainBatch, range, readLane, sequencesOf } from '../helpers/batches.ts'
import { type Definers, postings } from './under-test.ts'

/** Commits and reads. */
export function defineLane({ define, defineKept }: Definers): void {
  define('a new store is empty and begins with sequence 1', async (t, { contents }) => {
    t.is(contents.lastStop, 'new')
    t.is(contents.nextSequence, 1)
    t.regex(contents.lane, /^[\w-]{1,64}$/)
    t.deepEqual([...contents.postings], [])
    t.is(contents.meta.size + contents.cursors.size, 0)
    t.is(contents.streams.length + contents.sessions.length + contents.subscriptions.length, 0)
    t.deepEqual(contents.notes, [])
  })

  define('a committed message is read back as it was given', async (t, { store }) => {
    const specs = [
      {
        topic: 'DB/CREATE',
        payload: Buffer.from('{"id":1}'),
        publisher: 'api',
        streamIds: [1, 7, 4_294_967_295]
      },
      { topic: 'é/日本', payload: Buffer.alloc(0), publisher: '', streamIds: [], isV5: true, qos: 2 },
      { topic: 'a', payload: Buffer.alloc(300_000, 7), publisher: 'x'.repeat(65_535), expiresAt: 12.5 }
    ]
    const batch = batchOf(1, specs, 1)
    await store.lane.commit(batch)
    const found = await readLane(store.lane, 1, 3)
    t.is(found.length, 3)
    for (const [place, message] of found.entries()) {
      const given = batch.messages[place]!.message
      t.is(message.topic(), specs[place]!.topic)
      t.deepEqual(message.payload(), specs[place]!.payload)
      for (const key of ['sequence', 'publisher', 'expiresAt', 'acceptedAt', 'isV5', 'qos'] as const)
        t.is(message[key], given[key], key)
    }
  })

  define('a message keeps where it came from, and may be in no stream but 0', async (t, { store }) => {
    const specs = [
      { origin: ORIGIN.inbound, originId: 4_294_967_295, streamIds: [REPLAY_STREAM, 3], qos: 2 },
      { origin: ORIGIN.will, originId: 7, streamIds: [REPLAY_STREAM], isV5: true },
      { streamIds: [REPLAY_STREAM], qos: 0 },
      { streamIds: [3] }
    ]
    await store.lane.commit(batchOf(1, specs))
    const found = await readLane(store.lane, 1, 4)
    t.deepEqual(
      found.map(({ origin, originId }) => [origin, originId]),
      specs.map(({ origin = 0, originId = 0 }) => [origin, originId])
    )
    t.deepEqual(
      found.map(message => message.payload()),
      range(1, 4).map(payloadOf)
    )
  })

  defineKept('when messages expire is handed over for those that are kept', async (t, under) => {
    const at = 1_800_000_000_000
    const payload = Buffer.alloc(1_000)
    for (let batch = 0; batch < 20; batch++) {
      const specs = range(1, 50).map(i => ({
        ...{ payload, streamIds: [i % 2] },
        expiresAt: i % 5 === 0 ? at + batch * 50 + i : 0
      }))
      await under.store.lane.commit(batchOf(batch * 50 + 1, specs))
    }
    const times = async (again: Promise<{ expiries: Iterable<MessageExpiry> }>) =>
      [...(await again).expiries].map(({ sequence, expiresAt }) => [sequence, expiresAt - at])
    const all = range(1, 1_000).filter(sequence => sequence % 5 === 0)
    t.deepEqual(
      await times(under.reopen()),
      all.map(sequence => [sequence, sequence])
    )
    for (let round = 0; round < 3; round++) {
      await under.store.lane.release({
        above: id => (id === 1 ? 500 : Number.POSITIVE_INFINITY),
        pending: [],
        heads: [1_000]
      })
    }
    const left = (await times(under.reopen())).map(([sequence]) => sequence!)
    const owed = all.filter(sequence => sequence > 500 && sequence % 2 === 1)
    t.deepEqual(
      owed.filter(sequence => !left.includes(sequence)),
      []
    )
    t.true(left.length < all.length)
  })

  defineKept('stream 0 comes back like any other', async (t, under) => {
    const specs = range(1, 100).map(i => ({ streamIds: i % 3 === 0 ? [REPLAY_STREAM, 9] : [9] }))
    await under.store.lane.commit(batchOf(1, specs))
    const thirds = range(1, 33).map(i => i * 3)
    t.deepEqual(postings((await under.reopen()).postings), { 0: thirds, 9: range(1, 100) })
    const above = (id: number) => (id === REPLAY_STREAM ? 90 : 100)
    await under.store.lane.release({ above, pending: [], heads: [100] })
    const left = postings((await under.reopen()).postings)[REPLAY_STREAM] ?? []
    t.deepEqual(
      left.filter(sequence => sequence > 90),
      [93, 96, 99]
    )
  })

  define('the bytes of a batch may be used again once it is committed', async (t, { store }) => {
    const batch = plainBatch(1, 10)
    await store.lane.commit(batch)
    for (const buffer of batch.buffers) buffer.fill(0)
    const payloads = (await readLane(store.lane, 1, 10)).map(message => message.payload())
    t.deepEqual(payloads, range(1, 10).map(payloadOf))
  })

  define('every sequence is in the block that answers for it', async (t, under) => {
    await under.fill(3_000, { batch: 70 })
    await under.store.lane.commit(batchOf(3_001, [{ payload: Buffer.alloc(2_000_000, 1) }, {}, {}]))
    t.deepEqual(sequencesOf(await readLane(under.store.lane, 1, 3_003)), range(1, 3_003))
    for (const sequence of [1, 2, 64, 65, 1_499, 2_999, 3_001, 3_002, 3_003]) {
      const block = await under.store.lane.read(sequence)
      t.true(block.messages.some(message => message.sequence === sequence))
      t.true(block.from <= sequence && sequence <= block.to)
      t.true(block.bytes > 0)
    }
  })

  define('a block may be read while another batch is committed', async (t, under) => {
    await under.fill(200)
    const { lane } = under.store
    const reads = [lane.read(1), lane.read(200), lane.commit(plainBatch(201, 50)), lane.read(100)] as const
    const blocks = await Promise.all(reads)
    t.true(blocks[0].to >= 1 && blocks[1].to >= 200)
    t.deepEqual(sequencesOf(await readLane(lane, 1, 250)), range(1, 250))
  })

  defineKept('a store that is opened again has what it had', async (t, under) => {
    await under.fill(500, { streamIds: [1] })
    await under.fill(0)
    await under.store.lane.commit(
      batchOf(501, [{ streamIds: [2, 1] }, { streamIds: [] }, { streamIds: [2] }])
    )
    const { lane } = under.contents
    const contents = await under.reopen()
    t.is(contents.lastStop, 'clean')
    t.is(contents.lane, lane)
    t.is(contents.nextSequence, 504)
    t.deepEqual(postings(contents.postings), { 1: range(1, 501), 2: [501, 503] })
    t.deepEqual(sequencesOf(await readLane(under.store.lane, 1, 503)), range(1, 503))
  })

  defineKept('what was committed after opening again comes behind what was there', async (t, under) => {
    await under.fill(100)
    await under.reopen()
    await under.fill(100)
    t.is((await under.reopen()).nextSequence, 201)
    const found = await readLane(under.store.lane, 1, 200)
    t.deepEqual(
      found.map(message => message.payload()),
      range(1, 200).map(payloadOf)
    )
  })
}
