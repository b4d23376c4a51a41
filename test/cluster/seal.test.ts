import { setTimeout as wait } from 'node:timers/promises'
import test from 'ava'
import { Cluster } from '../helpers/cluster.ts'
import { RawClient } from '../helpers/raw-client.ts'

test('an insert that arrives after the lane was sealed is refused, and its message is neither acked nor delivered', async t => {
  const cluster = await Cluster.start(t, { brokers: 2, hasFaults: true })
  if (!cluster) return
  const [b1, b2] = [cluster.broker('b1'), cluster.broker('b2')]
  const subscriber = await RawClient.connect(b2.mqttPort, { clientId: 'subscriber', clean: false })
  await subscriber.subscribe('DB/#')
  const publisher = await RawClient.connect(b1.mqttPort, { clientId: 'publisher' })
  await publisher.publish({ topic: 'DB/CREATE', payload: 'before', qos: 1 })
  t.deepEqual(await subscriber.payloads(1), ['before'])

  const rule = { command: 'insert', collection: 'restante_messages', fault: { kind: 'late' } } as const
  const late = b1.faults.inject(rule)
  publisher.publishOnly({ topic: 'DB/CREATE', payload: 'late', qos: 1 })
  await late.happened
  b1.mongodbLink.drop() // before it knows that the connection is gone, so that it cannot send it again
  await untilSealed(cluster)
  const answer = await late.deliver()
  t.is(answer.n, 0)
  t.is(answer.writeErrors?.[0]?.code, 11000)

  await b1.mongodbLink.resume()
  await publisher.closed()
  t.false(publisher.received.slice(2).some(({ cmd }) => cmd === 'puback'))
  // it starts anew under its name, and goes on behind the seal
  const again = await reconnect(() => RawClient.connect(b1.mqttPort, { clientId: 'publisher' }))
  await again.publish({ topic: 'DB/CREATE', payload: 'after', qos: 1 })
  t.deepEqual(await subscriber.payloads(1), ['after'])
})

/** Waits until some lane is closed by another broker. */
async function untilSealed({ mongodb, brokers }: Cluster): Promise<void> {
  const messages = mongodb.client.db().collection('restante_messages')
  for (let tries = 0; tries < 500; tries++) {
    if (await messages.findOne({ seal: { $exists: true } })) return
    await wait(20)
  }
  throw new Error(`no lane is sealed: ${brokers.map(broker => broker.story()).join('\n')}`)
}

/** Tries until the broker is there again. */
async function reconnect(connect: () => Promise<RawClient>): Promise<RawClient> {
  for (let tries = 0; ; tries++) {
    try {
      return await connect()
    } catch (error) {
      if (tries === 500) throw error
      await wait(20)
    }
  }
}
