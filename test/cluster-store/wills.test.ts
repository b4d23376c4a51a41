import test from 'ava'
import type { RawClient } from '../helpers/raw-client.ts'
import { clusterTests, until } from './scene.ts'

const cluster = clusterTests(test)
const QUICK = { brokerTimeoutMs: 1_000, settings: { willGraceSeconds: 0 } }

/** A client with a will whose session lasts. @param delaySeconds from the end of its connection to the sending. */
function mortal(delaySeconds: number) {
  const properties = { willDelayInterval: delaySeconds }
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false, properties } as const
  return { clientId: 'mortal', clean: false, protocolVersion: 5, expirySeconds: 600, will } as const
}

/** The wills that have come to a watcher, up to a message that a broker has taken later. */
async function wills(watcher: RawClient, publisher: RawClient): Promise<string[]> {
  await publisher.publish({ topic: 'will/over', payload: 'over', qos: 1 })
  await watcher.next('publish', ({ topic }) => topic === 'will/over')
  return watcher.received.flatMap(packet =>
    packet.cmd === 'publish' && packet.topic === 'will' ? [packet.payload.toString()] : []
  )
}

cluster(
  'the will of a client whose broker has died is sent once, also when that one wakes up',
  async (t, scene) => {
    const a = await scene.core('a', QUICK)
    const b = await scene.core('b', QUICK)
    const watcher = await b.connect({ clientId: 'watcher' })
    await watcher.subscribe('will/#')
    const client = await a.connect(mortal(0))
    a.broker.clock.stop()
    await watcher.next('publish', ({ topic }) => topic === 'will')
    a.broker.clock.wake()
    await until(() => a.core.failure !== null, 'it is fenced')
    client.destroy()
    t.deepEqual(await wills(watcher, await b.connect({ clientId: 'publisher' })), ['gone'])
  }
)

cluster(
  'a will that waits comes along with its client, and is not sent when that is back in time',
  async (t, scene) => {
    const a = await scene.core('a')
    const b = await scene.core('b')
    const watcher = await b.connect({ clientId: 'watcher' })
    await watcher.subscribe('will/#')
    const { wills: documents } = scene.database()
    const first = await a.connect(mortal(600))
    first.destroy()
    const again = await b.connect({ ...mortal(0), will: undefined as never })
    t.true(again.connack?.sessionPresent)
    await until(async () => (await documents.countDocuments({})) === 0, 'it is dropped')
    again.destroy()
    t.deepEqual(await wills(watcher, await b.connect({ clientId: 'publisher' })), [])
  }
)
