import test from 'ava'
import type { StateChange } from '../src/store/store.ts'
import { HandClock } from './helpers/conformance-clock.ts'
import { cut, turns } from './helpers/conformance-core.ts'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'

const will = (delaySeconds: number, qos: 0 | 1 = 1) => ({
  topic: 'will',
  payload: Buffer.from('gone'),
  qos,
  retain: false,
  properties: { willDelayInterval: delaySeconds }
})
const mortal = { clientId: 'mortal', clean: false, protocolVersion: 5, expirySeconds: 1_000 } as const
const watcher = { clientId: 'watcher', clean: false } as const

const isWillGone = ({ table, row }: StateChange) => table === 'will' && row === null

test('a will that waited when its client came back is not sent, also when the server is killed at once', async t => {
  const clock = new HandClock()
  const first = await startCore(t, { clock })
  await (await first.connect(watcher)).subscribe('will')
  await cut(await first.connect({ ...mortal, will: will(100) }))
  const { state } = first.store
  const { write } = state
  // the server is killed before it writes what nobody waits for
  state.write = async (changes, options) => {
    if (options.sync || !changes.some(isWillGone)) await write(changes, options)
  }
  await first.connect(mortal)
  const second = await startCore(t, { clock, store: first.store.crash('process') })
  await clock.pass(300)
  const again = await second.connect(watcher)
  await again.ping()
  t.deepEqual(again.unreadMessages(), [])
})

test('a will of QoS 0 is not sent a second time by the server that comes after a kill', async t => {
  const clock = new HandClock()
  const first = await startCore(t, { clock })
  const before = await first.connect(watcher)
  await before.subscribe('will', 0)
  const { state } = first.store
  const { write } = state
  const gate = new Gate()
  state.write = async (changes, options) => {
    if (changes.some(isWillGone)) await gate.pass()
    await write(changes, options)
  }
  gate.close()
  await cut(await first.connect({ ...mortal, will: will(0, 0) }))
  await gate.until(1)
  await before.ping()
  const sentBefore = before.unreadMessages().length
  const second = await startCore(t, { clock, store: first.store.crash('process') })
  const after = await second.connect(watcher)
  await clock.pass(300)
  await after.subscribe('will', 0)
  await after.ping()
  t.is(sentBefore + after.unreadMessages().length, 1)
  gate.open()
})

test('a will whose client has said goodbye is out of the store with the next checkpoint', async t => {
  const { connect, core, store } = await startCore(t)
  await (await connect()).ping()
  await core.settle()
  const client = await connect({ ...mortal, will: will(100) })
  const { state } = store
  const { write } = state
  state.write = () => Promise.reject(new Error('no'))
  await client.disconnect()
  await turns(5)
  state.write = write
  await core.settle()
  t.is((await store.crash('process').open()).wills.size, 0)
})
