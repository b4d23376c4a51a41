import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { startOutbox } from '../../examples/api-server/outbox.ts'
import { SqliteStore } from '../../examples/api-server/sqlite-store.ts'
import type { Customer } from '../../examples/shared/customer.ts'
import { testFolder } from '../helpers/process.ts'
import { Signal } from '../helpers/signal.ts'

/** A queue server that notes what it is given; `take` says what becomes of it. */
class FakePublisher {
  readonly numbers: number[] = []
  readonly signal = new Signal()
  take: () => Promise<void> = async () => {}

  async publish(_queue: string, _event: string, payload: unknown): Promise<void> {
    this.numbers.push((payload as Customer).number)
    this.signal.notify()
    await this.take()
  }

  /** Waits for so many publishes. */
  async times(count: number): Promise<number[]> {
    const describe = () => `${count} publishes, not ${this.numbers}`
    await this.signal.until(() => this.numbers.length >= count, { describe })
    return this.numbers
  }
}

async function storeWith(t: ExecutionContext, count: number): Promise<SqliteStore> {
  const store = new SqliteStore(join(testFolder(t), 'customers.db'))
  t.teardown(() => store.close())
  for (let index = 1; index <= count; index++) await add(store, index)
  return store
}

async function add(store: SqliteStore, index: number): Promise<void> {
  const createdAt = '2026-01-02T03:04:05.678Z'
  await store.add({
    id: `id-${index}`,
    name: 'Ann',
    email: `${index}@example.com`,
    createdBy: 'ann',
    createdAt
  })
}

test('publish that fails is repeated, and is not overtaken', async t => {
  const store = await storeWith(t, 3)
  const publisher = new FakePublisher()
  publisher.take = async () => {
    publisher.take = async () => {}
    throw new Error('quota exceeded')
  }
  const outbox = startOutbox(store, publisher, 1)
  t.deepEqual(await publisher.times(4), [1, 1, 2, 3])
  await outbox.stop(1_000)
  t.deepEqual(await store.pending(10), [])
})

test('event stays pending until the queue server has it', async t => {
  const store = await storeWith(t, 1)
  const publisher = new FakePublisher()
  let ack = () => {}
  publisher.take = () => new Promise(resolve => (ack = resolve))
  const outbox = startOutbox(store, publisher)
  await publisher.times(1)
  t.is((await store.pending(10)).length, 1)
  const stopped = outbox.stop(20_000)
  ack()
  await stopped
  t.deepEqual(await store.pending(10), [])
})

test('stop does not wait for ever for a queue server that is away', async t => {
  const store = await storeWith(t, 1)
  const publisher = new FakePublisher()
  publisher.take = () => new Promise(() => {})
  const outbox = startOutbox(store, publisher)
  await publisher.times(1)
  await outbox.stop(1)
  t.is((await store.pending(10)).length, 1)
})

test('more events than one batch, and those that come meanwhile, are all published', async t => {
  const store = await storeWith(t, 250)
  const publisher = new FakePublisher()
  const outbox = startOutbox(store, publisher)
  await publisher.times(120)
  await add(store, 251)
  outbox.notify()
  await publisher.times(251)
  await add(store, 252)
  outbox.notify()
  t.deepEqual(
    await publisher.times(252),
    Array.from({ length: 252 }, (_, index) => index + 1)
  )
  await outbox.stop(1_000)
})
