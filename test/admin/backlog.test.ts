import test from 'ava'
import { kept } from '../helpers/conformance.ts'
import { startTimed, type TimedCore } from '../helpers/conformance-clock.ts'

const TOPICS = ['DB/CREATE', 'DB/DELETE', 'LOG/CREATE', 'LOG/x/y', 'plain']

/** A session that is away and has these filters; publishes go out before and behind it. */
async function away(core: TimedCore, clientId: string, ...filters: string[]): Promise<void> {
  const client = await core.connect(kept(5, clientId))
  await client.subscribe(filters, 1)
  await client.disconnect()
}

async function publish(core: TimedCore, topics: readonly string[], seconds?: number): Promise<void> {
  const client = await core.connect({ clientId: 'publisher', protocolVersion: 5 })
  const properties = seconds === undefined ? {} : { properties: { messageExpiryInterval: seconds } }
  for (const topic of topics) await client.publish({ topic, payload: 'x', qos: 1, ...properties })
  await client.disconnect()
}

async function counts(core: TimedCore, clientId: string): Promise<Record<string, number>> {
  const session = core.core.directory.session(clientId)!
  const queues = { all: undefined, DB: 'DB', LOG: 'LOG', plain: 'plain', none: 'none' }
  const found = await Promise.all(
    Object.entries(queues).map(async ([name, queue]) => [name, await session.backlog(queue)] as const)
  )
  return Object.fromEntries(found)
}

test('a backlog is exact for each queue, with wildcards and filters that overlap', async t => {
  const core = await startTimed(t)
  await away(core, 'everything', '#')
  await away(core, 'overlapping', '#', 'DB/#', '+/CREATE')
  await away(core, 'creations', '+/CREATE')
  await away(core, 'two', 'DB/+', 'LOG/x/#')
  await publish(core, [...TOPICS, ...TOPICS])
  const all = { all: 10, DB: 4, LOG: 4, plain: 2, none: 0 }
  t.deepEqual(await counts(core, 'everything'), all)
  t.deepEqual(await counts(core, 'overlapping'), all)
  t.deepEqual(await counts(core, 'creations'), { all: 4, DB: 2, LOG: 2, plain: 0, none: 0 })
  t.deepEqual(await counts(core, 'two'), { all: 6, DB: 4, LOG: 2, plain: 0, none: 0 })
})

test('what has expired is in no backlog, and not the oldest', async t => {
  const core = await startTimed(t)
  await away(core, 'one', 'DB/#')
  await away(core, 'wild', '#', '+/CREATE')
  await publish(core, TOPICS, 10)
  await core.clock.pass(5)
  await publish(core, TOPICS)
  t.deepEqual(await counts(core, 'wild'), { all: 10, DB: 4, LOG: 4, plain: 2, none: 0 })
  const later = core.clock.now()
  await core.clock.pass(6)
  t.deepEqual(await counts(core, 'one'), { all: 2, DB: 2, LOG: 0, plain: 0, none: 0 })
  t.deepEqual(await counts(core, 'wild'), { all: 5, DB: 2, LOG: 2, plain: 1, none: 0 })
  t.is(await core.core.directory.session('one')!.oldestAt(), later)
})

test('backlogs are as exact after a restart', async t => {
  const before = await startTimed(t)
  await away(before, 'wild', '#', '+/CREATE')
  await away(before, 'one', 'DB/#')
  await publish(before, TOPICS, 10)
  await publish(before, TOPICS)
  const core = await before.restart()
  t.deepEqual(await counts(core, 'wild'), { all: 10, DB: 4, LOG: 4, plain: 2, none: 0 })
  await publish(core, TOPICS, 20)
  await core.clock.pass(11)
  t.deepEqual(await counts(core, 'wild'), { all: 10, DB: 4, LOG: 4, plain: 2, none: 0 })
  t.deepEqual(await counts(core, 'one'), { all: 4, DB: 4, LOG: 0, plain: 0, none: 0 })
  await core.clock.pass(10)
  t.deepEqual(await counts(core, 'wild'), { all: 5, DB: 2, LOG: 2, plain: 1, none: 0 })
})

test('messages of a queue are counted from the subscription on, also from one that was made later', async t => {
  const core = await startTimed(t)
  await away(core, 'first', '#')
  await publish(core, TOPICS)
  t.is(await core.core.directory.session('first')!.backlog('DB'), 2)
  await away(core, 'second', '#')
  await publish(core, TOPICS)
  t.is(await core.core.directory.session('first')!.backlog('DB'), 4)
  t.is(await core.core.directory.session('second')!.backlog('DB'), 2)
})

test('a queue is counted without what was received meanwhile', async t => {
  const core = await startTimed(t)
  await away(core, 'wild', '#')
  await publish(core, TOPICS)
  const client = await core.connect(kept(5, 'wild'))
  await client.messages(5)
  await client.ping()
  await publish(core, ['DB/CREATE'])
  await client.messages(1)
  await client.disconnect()
  await core.core.settle()
  await publish(core, ['DB/CREATE', 'LOG/CREATE'])
  t.deepEqual(await counts(core, 'wild'), { all: 2, DB: 1, LOG: 1, plain: 0, none: 0 })
})
