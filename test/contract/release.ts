import type { Owed } from '../../src/store/store.ts'
import { batchOf, plainBatch, range, readLane, sequencesOf } from '../helpers/batches.ts'
import { type Definers, postings } from './under-test.ts'

/** The last of the messages that each test begins with. */
const HEAD = 2_000
const NOTHING_OWED: Owed = { above: () => Number.POSITIVE_INFINITY, pending: [], heads: [HEAD] }

/** What is freed, and what is not. */
export function defineRelease({ define, defineKept }: Definers): void {
  const payload = Buffer.alloc(1_000, 1)

  define('release frees what is owed to nobody', async (t, under) => {
    await under.fill(HEAD, { payload })
    const { lane } = under.store
    const before = lane.sizeBytes()
    t.true(before > 2_000_000)
    const report = await lane.release(NOTHING_OWED)
    t.true(lane.sizeBytes() <= under.emptyLaneBytes, `${lane.sizeBytes()} bytes are left`)
    t.is(report.freedBytes, before - lane.sizeBytes())
    t.is(report.keptBytes, lane.sizeBytes())
  })

  define('release keeps every record that is owed', async (t, under) => {
    for (let batch = 0; batch < 40; batch++) {
      const specs = range(1, 50).map(i => ({
        payload,
        streamIds: i % 10 === 0 ? [1, 2] : i % 2 === 0 ? [1] : []
      }))
      await under.store.lane.commit(batchOf(batch * 50 + 1, specs))
    }
    // of stream 1 all above 1900, of stream 2 all above 500, and some that were sent and not acked
    const pending = [3, 4, 777, 1_234]
    const owed: Owed = {
      above: id => (id === 1 ? 1_900 : id === 2 ? 500 : Number.POSITIVE_INFINITY),
      pending,
      heads: [HEAD]
    }
    const isOwed = (sequence: number) =>
      pending.includes(sequence) ||
      (sequence > 1_900 && sequence % 2 === 0) ||
      (sequence > 500 && sequence % 10 === 0)
    for (let round = 0; round < 3; round++) {
      await under.store.lane.release(owed)
      const left = await readLane(under.store.lane, 1, 2_000)
      const owedLeft = left.filter(message => isOwed(message.sequence))
      t.deepEqual(sequencesOf(owedLeft), range(1, 2_000).filter(isOwed))
      t.true(owedLeft.every(message => message.payload().equals(payload)))
    }
    t.true(under.store.lane.sizeBytes() < 500_000 + under.emptyLaneBytes)
    if (!under.isReopened) return
    const kept = postings((await under.reopen()).postings)
    t.true(range(501, 2_000).every(sequence => sequence % 10 !== 0 || kept[2]!.includes(sequence)))
  })

  define('one message that is owed does not keep those around it', async (t, under) => {
    await under.fill(HEAD, { payload })
    for (let round = 0; round < 3; round++)
      await under.store.lane.release({ ...NOTHING_OWED, pending: [1_000] })
    t.true(under.store.lane.sizeBytes() <= under.emptyLaneBytes + 10_000)
    const left = await readLane(under.store.lane, 1, 2_000)
    t.true(left.some(message => message.sequence === 1_000))
  })

  define('a released sequence is answered for as gone', async (t, under) => {
    await under.fill(HEAD, { payload })
    await under.store.lane.release(NOTHING_OWED)
    const block = await under.store.lane.read(1)
    t.is(block.from, 1)
    t.deepEqual(block.messages, [])
    t.true(block.to >= 1_000, 'the answer is as wide as the gap')
  })

  define('reads and commits go on while records are released', async (t, under) => {
    await under.fill(HEAD, { payload })
    const { lane } = under.store
    const owed: Owed = { ...NOTHING_OWED, pending: range(1, 20).map(i => i * 100) }
    const released = lane.release(owed)
    for (let i = 1; i <= 20; i++) {
      const block = await lane.read(i * 100)
      t.true(block.messages.some(message => message.sequence === i * 100))
      await lane.commit(plainBatch(2_000 + i, 1))
    }
    await released
    t.deepEqual(sequencesOf(await readLane(lane, 2_001, 2_020)), range(2_001, 2_020))
  })

  defineKept('no sequence comes again after everything was released', async (t, under) => {
    await under.fill(HEAD, { payload })
    await under.store.lane.release(NOTHING_OWED)
    t.is((await under.reopen()).nextSequence, 2_001)
  })
}
