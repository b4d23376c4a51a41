import test from 'ava'
import { QueueError } from '../src/errors.ts'
import { BlockCache } from '../src/journal/block-cache.ts'
import { startCore } from './helpers/core.ts'

const logger = { clientId: 'logger', clean: false }

/** A session that was away while messages were published, in a server that has to read them back. */
async function sceneOf(t: Parameters<typeof startCore>[0], count: number, sessions = 1) {
  const first = await startCore(t)
  const publisher = await first.connect()
  for (let i = 0; i < sessions; i++) {
    const client = await first.connect({ clientId: `logger-${i}`, clean: false })
    await client.subscribe('a')
    await client.disconnect()
    if (i < count) await publisher.publish({ topic: 'a', payload: `${i}`, qos: 1 })
  }
  for (let i = sessions; i < count; i++) await publisher.publish({ topic: 'a', payload: `${i}`, qos: 1 })
  return await startCore(t, { store: first.store.crash('process'), settings: { cacheBytes: 0 } })
}

test('a message that the system cannot read for a while comes when it can', async t => {
  const { connect, store, core, log } = await sceneOf(t, 3)
  const read = store.lane.read
  let failures = 2
  store.lane.read = async sequence => {
    if (failures-- <= 0) return await read(sequence)
    const cause = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
    throw new QueueError('QUEUE_DATA_CORRUPT', {
      cause,
      detail: { file: 'x.seg', problem: 'cannot be read' }
    })
  }
  const client = await connect({ ...logger, clientId: 'logger-0' })
  t.deepEqual(await client.payloads(3), ['0', '1', '2'])
  t.is(log.texts('error').length, 2)
  t.is(await core.directory.session('logger-0')!.backlog(), 0)
})

test('a message that is damaged is told of and passed over', async t => {
  const { connect, store, log } = await sceneOf(t, 3)
  const read = store.lane.read
  store.lane.read = async sequence => {
    if (sequence !== 2) return await read(sequence)
    throw new QueueError('QUEUE_DATA_CORRUPT', { detail: { file: 'x.seg', problem: 'damaged' } })
  }
  const client = await connect({ ...logger, clientId: 'logger-0' })
  t.deepEqual(await client.payloads(2), ['0', '2'])
  t.true(log.texts('error').some(text => text.includes('message 2')))
})

test('sessions that catch up from different places all come through with the smallest cache', async t => {
  const sessions = 40
  const { connect } = await sceneOf(t, 60, sessions)
  const clients = await Promise.all(
    Array.from({ length: sessions }, (_, i) => connect({ clientId: `logger-${i}`, clean: false }))
  )
  for (const [i, client] of clients.entries()) {
    const expected = Array.from({ length: 60 - i }, (_, n) => `${i + n}`)
    t.deepEqual(await client.payloads(60 - i), expected)
  }
})

test('blocks without messages do not pile up in the cache', t => {
  const cache = new BlockCache(1_000_000)
  for (let sequence = 1; sequence <= 50_000; sequence++)
    cache.add({ from: sequence, to: sequence, messages: [], bytes: 0 })
  t.is(cache.get(50_000), null)
  t.is(cache.get(1), undefined)
})
