import test from 'ava'
import { systemClock } from '../src/clock.ts'
import { QueueError } from '../src/errors.ts'
import type { AppendFields, Pending, Receipt } from '../src/journal/batch.ts'
import { Journal } from '../src/journal/journal.ts'
import { silentLog } from '../src/log.ts'
import type { CommitBatch, LaneBlock, LaneStore } from '../src/store/store.ts'
import { Message } from '../src/wire/message.ts'
import { topicField } from '../src/wire/publish.ts'

const PACKET = Message.from({ topicField: topicField('a'), payload: Buffer.alloc(900), qos: 1 }).bytes
const turn = () => new Promise<void>(resolve => setImmediate(resolve))

/** A lane whose commits end when the test says so. */
class HandLane implements LaneStore {
  readonly batches: CommitBatch[] = []
  readonly #ends: { done: () => void; failed: (error: Error) => void }[] = []
  mostAtOnce = 0

  commit(batch: CommitBatch): Promise<void> {
    this.batches.push(batch)
    return new Promise((done, failed) => {
      this.#ends.push({ done, failed })
      this.mostAtOnce = Math.max(this.mostAtOnce, this.#ends.length)
    })
  }

  /** Ends the oldest commit under way. */
  async end(error?: Error): Promise<void> {
    const end = this.#ends.shift()
    if (error) end?.failed(error)
    else end?.done()
    await turn()
    await turn()
  }

  async read(sequence: number): Promise<LaneBlock> {
    return { from: sequence, to: sequence, messages: [], bytes: 0 }
  }

  async release() {
    return { freedBytes: 0, keptBytes: 0 }
  }

  sizeBytes(): number {
    return 0
  }
}

function open(maxPendingBytes = 64 * 1024) {
  const lane = new HandLane()
  const journal = new Journal({
    ...{ lane, clock: systemClock, log: silentLog, nextSequence: 1, cacheBytes: 1_000_000 },
    maxPendingBytes
  })
  const accepted: number[] = []
  const refused: [token: number, code: string][] = []
  const receipt: Receipt = {
    accepted: ({ message }: Pending) => accepted.push(message.sequence),
    refused: ({ token }: Pending, error) => refused.push([token, (error as QueueError).code])
  }
  const append = (token = 0, streamIds: readonly number[] = [1]) => {
    const route: AppendFields['route'] = { topic: 'a' }
    const fields = { expiresAt: 0, route, publisherId: 'p', publisher: Buffer.from('p'), header: 0x32 }
    const packet = { isV5: false, packet: PACKET, from: 0, to: PACKET.length, origin: 0, originId: 0 }
    journal.append({ ...fields, ...packet, streamIds }, receipt, token)
  }
  return { lane, journal, accepted, refused, append }
}

test('a publisher that goes on as soon as there is room does not start a second commit beside the first', async t => {
  const { lane, journal, accepted, append } = open(1_024)
  journal.listener = {
    committed() {},
    hasRoom() {
      append()
      queueMicrotask(append)
    }
  }
  append()
  append()
  append()
  await turn()
  append()
  for (let i = 0; i < 8; i++) await lane.end()
  t.is(lane.mostAtOnce, 1)
  t.deepEqual(
    accepted,
    accepted.map((_, i) => i + 1)
  )
})

test('what was appended before the journal closes is stored, whatever is appended afterwards', async t => {
  const { lane, journal, accepted, refused, append } = open()
  append(1)
  await turn()
  append(2)
  const closed = journal.close()
  append(3)
  t.deepEqual(refused, [[3, 'QUEUE_SERVER_STOPPING']])
  await lane.end()
  await lane.end()
  await closed
  t.deepEqual(accepted, [1, 2])
  t.is(refused.length, 1)
})

test('a message that cannot be written down leaves no gap in the sequence', async t => {
  const { lane, accepted, append } = open()
  append()
  t.throws(() =>
    append(
      0,
      Array.from({ length: 70_000 }, (_, i) => i)
    )
  )
  append()
  await turn()
  await lane.end()
  t.deepEqual(accepted, [1, 2])
})

test('what waits behind a refused commit is refused with it, and its sequences are given out again', async t => {
  const { lane, accepted, refused, append } = open()
  append(1)
  await turn()
  append(2)
  await lane.end(new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } }))
  append(3)
  await turn()
  await lane.end()
  t.deepEqual(refused, [
    [1, 'QUEUE_STORE_FULL'],
    [2, 'QUEUE_STORE_FULL']
  ])
  t.deepEqual(accepted, [1])
})
