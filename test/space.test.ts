import { join } from 'node:path'
import test from 'ava'
import { storeLocal } from '../plugins/store-local/index.ts'
import { storeMemory } from '../plugins/store-memory/index.ts'
import { systemClock } from '../src/clock.ts'
import { defaultSettings } from '../src/config/settings.ts'
import { silentLog } from '../src/log.ts'
import type { Store } from '../src/store/store.ts'
import { startCore } from './helpers/core.ts'
import { testFolder } from './helpers/process.ts'
import type { RawClient } from './helpers/raw-client.ts'

const PAYLOAD_BYTES = 16 * 1024
/** The quick suite writes 24 MB; RESTANTE_TEST_SPACE_MB=1000 is the real thing. */
const MEGABYTES = Number(process.env.RESTANTE_TEST_SPACE_MB ?? 24)
const SEGMENT_BYTES = 1024 * 1024

function localStore(dataDirectory: string): Store {
  const settings = { dataDirectory, fsync: 'off' as const, fsyncIntervalMs: 200 }
  const context = { log: silentLog, clock: systemClock, settings, directory: undefined as never }
  const options = { segmentBytes: SEGMENT_BYTES, compactBelowPercent: 25 }
  return (storeLocal.setup(context as never, options) as { store: Store }).store
}

/** Publishes so many messages with a window. */
async function publishMany(publisher: RawClient, topic: string, count: number): Promise<void> {
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'x')
  for (let done = 0; done < count; done += 50) {
    for (let i = 0; i < 50; i++) publisher.publishOnly({ topic, payload, qos: 1 })
    for (let i = 0; i < 50; i++) await publisher.next('puback')
    publisher.received.length = 0
  }
}

test('one unacked message does not keep what others have acked: the disk falls back', async t => {
  t.timeout(60_000 + MEGABYTES * 500)
  const store = localStore(join(testFolder(t), 'data'))
  const { core, connect } = await startCore(t, { store })
  const stuck = await connect({ clientId: 'stuck', clean: false, isAcking: false })
  await stuck.subscribe('busy')
  const publisher = await connect()
  await publishMany(publisher, 'busy', 50)
  const [first] = await stuck.messages(50)
  for (const message of await Promise.resolve(stuck.received.filter(packet => packet.cmd === 'publish'))) {
    if (message.messageId !== first!.messageId) stuck.ack(message)
  }
  stuck.isAcking = true
  const count = (MEGABYTES * 1024 * 1024) / PAYLOAD_BYTES
  const reader = await connect({ clientId: 'reader', clean: false })
  await reader.subscribe('busy')
  await publishMany(publisher, 'busy', count)
  await reader.messages(count)
  await stuck.messages(count)
  await Promise.all([reader.ping(), stuck.ping()])
  const before = store.lane.sizeBytes()
  await core.settle()
  const after = store.lane.sizeBytes()
  t.log(`${(before / 2 ** 20).toFixed(1)} MB before, ${(after / 2 ** 20).toFixed(1)} MB after`)
  t.true(before > MEGABYTES * 2 ** 20, 'the journal held all of it')
  t.true(after < 3 * SEGMENT_BYTES, 'what is left is the open segment and what is still owed')
  stuck.destroy()
  const again = await connect({ clientId: 'stuck', clean: false })
  const message = await again.next('publish')
  t.true(message.dup)
  t.is(message.messageId, first!.messageId)
})

test('bytes on disk per message are the same with 1 and with 1,000 sessions on its filter', async t => {
  const sizes: number[] = []
  for (const sessions of [1, 1_000]) {
    const store = localStore(join(testFolder(t), 'data'))
    const { connect } = await startCore(t, { store })
    for (let i = 0; i < sessions; i++) {
      const client = await connect({ clientId: `session-${i}`, clean: false })
      await client.subscribe('busy')
      await client.disconnect()
    }
    const before = store.lane.sizeBytes()
    const publisher = await connect({ clientId: 'publisher' })
    await publishMany(publisher, 'busy', 100)
    sizes.push(store.lane.sizeBytes() - before)
  }
  t.is(sizes[0], sizes[1])
})

test('a store that keeps nothing serves the same core', async t => {
  const context = {
    log: silentLog,
    clock: systemClock,
    settings: defaultSettings(),
    directory: undefined as never
  }
  const { store } = storeMemory.setup(context as never, {}) as { store: Store }
  const { connect } = await startCore(t, { store })
  const first = await connect({ clientId: 'logger', clean: false })
  await first.subscribe('a')
  await first.disconnect()
  const publisher = await connect()
  await publisher.publish({ topic: 'a', payload: '1', qos: 1 })
  t.deepEqual(await (await connect({ clientId: 'logger', clean: false })).payloads(1), ['1'])
})
