import test, { type ExecutionContext } from 'ava'
import type { Message, Order } from '../../src/client/index.ts'
import { openClient, startScene } from '../helpers/client-scene.ts'
import { type Random, testRandom, testRuns } from '../helpers/tools-random.ts'

const TOPICS = ['A', 'B', 'C']

/** Handles messages with failures, delays and cuts of the connection, and looks at what is promised. */
async function check(t: ExecutionContext, random: Random, order: Order, protocol: 4 | 5): Promise<void> {
  const { url, tap, publish } = await startScene(t)
  const concurrency = order === 'all' ? 1 : 1 + random.below(6)
  const { client, log } = await openClient(t, url, {
    clientId: 'logger',
    protocol,
    prefetch: 1 + concurrency + random.below(20)
  })
  const count = 120
  const running = new Set<string>()
  const begun: string[] = []
  const done = new Map<string, number>()
  const handler = async ({ event, payload, topic }: Message<{ id: number }>) => {
    const name = `${event} ${payload.id}`
    t.false(running.has(name), `${name} runs twice at a time`)
    if (order === 'event')
      t.false(
        [...running].some(other => other.startsWith(event)),
        `two of ${topic} run`
      )
    if (order === 'all') t.is(running.size, 0)
    if (!begun.includes(name)) begun.push(name)
    running.add(name)
    for (let turns = random.below(4); turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
    if (random.chance(0.02)) tap.cut()
    const isRejected = random.chance(0.05)
    if (isRejected) await new Promise(resolve => setImmediate(resolve))
    running.delete(name)
    if (isRejected) throw new Error('by chance')
    done.set(name, (done.get(name) ?? 0) + 1)
    log.note(name)
  }
  await client.on<{ id: number }>('DB', '#', handler, { order, concurrency })
  const published: string[] = []
  for (let id = 0; id < count; id++) {
    const event = TOPICS[random.below(TOPICS.length)]!
    published.push(`${event} ${id}`)
    await publish(event, id)
    if (random.chance(0.03)) tap.cut()
  }
  await log.until(() => done.size === count, `${done.size} of ${count} done`)
  const ofTopic = (names: readonly string[], topic: string) => names.filter(name => name.startsWith(topic))
  if (order === 'all') t.deepEqual(begun, published)
  if (order === 'event')
    for (const topic of TOPICS) t.deepEqual(ofTopic(begun, topic), ofTopic(published, topic))
  await client.close()
  t.true(tap.sentOf('puback').every(({ reasonCode = 0 }) => reasonCode === 0))
  t.is(tap.sentOf('subscribe').length, 1)
  const repeated = [...done.values()].reduce((sum, times) => sum + times - 1, 0)
  t.log(`${order}, ${tap.connections} connections, ${log.errors.length} rejected, ${repeated} handled again`)
}

for (const protocol of [4, 5] as const) {
  for (const order of ['all', 'event', 'none'] as const) {
    test(`every message is handled, in its order, over cuts and rejections: order ${order}, version ${protocol}`, async t => {
      const random = testRandom(t)
      for (let run = 0; run < testRuns(1); run++) await check(t, random, order, protocol)
    })
  }
}
