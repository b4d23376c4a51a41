import test from 'ava'
import { kept, subscriber, VERSIONS } from '../helpers/conformance.ts'
import { cut } from '../helpers/conformance-core.ts'
import { startCore } from '../helpers/core.ts'

// MQTT section 4.6

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-4.6.0-5], [MQTT-4.6.0-6]
  for (const qos of [0, 1, 2] as const) {
    test(`QoS ${qos} messages of each publisher reach MQTT ${name} in their order`, async t => {
      const core = await startCore(t, { settings: { maxInflight: 7 } })
      const reader = await subscriber(core, '+', { ...kept(protocolVersion), qos })
      const publishers = await Promise.all(['a', 'b'].map(clientId => core.connect({ clientId })))
      for (const payload of numbers(100)) {
        for (const [i, publisher] of publishers.entries()) {
          publisher.publishOnly({ topic: 'ab'[i]!, payload, qos })
        }
      }
      const messages = await reader.messages(200)
      for (const topic of ['a', 'b']) {
        const came = messages
          .filter(message => message.topic === topic)
          .map(({ payload }) => payload.toString())
        t.deepEqual(came, numbers(100))
      }
    })
  }

  // [MQTT-4.6.0-1] of 3.1.1; G3
  test(`messages of QoS 1 and 2 come to MQTT ${name} again in the order in which they were sent`, async t => {
    const core = await startCore(t, { settings: { maxInflight: 10 } })
    const reader = await subscriber(core, 'a', { ...kept(protocolVersion), isAcking: false, qos: 2 })
    const publisher = await core.connect({ clientId: 'publisher' })
    for (const payload of numbers(12))
      await publisher.publish({ topic: 'a', payload, qos: Number(payload) % 2 ? 1 : 2 })
    const sent = await reader.messages(10)
    for (const message of [sent[5]!, sent[1]!]) reader.ack(message)
    await reader.ping()
    await cut(reader)
    const back = await core.connect(kept(protocolVersion))
    t.deepEqual(
      await back.payloads(10),
      numbers(12).filter(payload => payload !== '1' && payload !== '5')
    )
  })

  // [MQTT-4.6.0-2] to [MQTT-4.6.0-4] of 3.1.1 bind whoever receives
  test(`PUBACK, PUBREC and PUBREL go to MQTT ${name} in the order of what they answer`, async t => {
    const core = await startCore(t)
    const client = await core.connect({ protocolVersion, isAcking: false })
    const ids = [5, 3, 9, 1, 7, 2]
    const order = async (cmd: 'puback' | 'pubrec' | 'pubcomp' | 'pubrel') => {
      const came: number[] = []
      for (const _ of ids) came.push((await client.next(cmd)).messageId!)
      return came
    }
    for (const messageId of ids) client.publishOnly({ topic: 'a', qos: 1, messageId })
    t.deepEqual(await order('puback'), ids)
    for (const messageId of ids) client.publishOnly({ topic: 'a', qos: 2, messageId })
    t.deepEqual(await order('pubrec'), ids)
    for (const messageId of ids) client.send({ cmd: 'pubrel', messageId })
    t.deepEqual(await order('pubcomp'), ids)
    await client.subscribe('b', 2)
    const publisher = await core.connect()
    for (const _ of ids) await publisher.publish({ topic: 'b', qos: 2 })
    const received = (await client.messages(ids.length)).map(({ messageId }) => messageId!)
    const shuffled = [received[3]!, received[0]!, received[5]!, received[1]!, received[4]!, received[2]!]
    for (const messageId of shuffled) client.send({ cmd: 'pubrec', messageId })
    t.deepEqual(await order('pubrel'), shuffled)
  })
}
