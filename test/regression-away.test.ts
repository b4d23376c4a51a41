import test, { type ExecutionContext } from 'ava'
import { QueueError } from '../src/errors.ts'
import { failureCode } from '../src/front/reason-codes.ts'
import { TYPE } from '../src/wire/packets.ts'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'

/** A core whose commits wait at a gate, for publishers that wait 50 ms at most. */
async function startSlow(t: ExecutionContext) {
  const started = await startCore(t, { settings: { storeTimeoutMs: 50 } })
  const gate = new Gate()
  const commit = started.store.lane.commit
  started.store.lane.commit = async batch => {
    await gate.pass()
    await commit(batch)
  }
  return { ...started, gate }
}

test('a publisher of QoS 1 is refused with 0x97 when the store does not answer in time, and accepted when it does again', async t => {
  const { connect, gate, core } = await startSlow(t)
  const subscriber = await connect({ clientId: 'logger', clean: false })
  await subscriber.subscribe('a')
  const publisher = await connect({ clientId: 'p', protocolVersion: 5 })
  gate.close()
  const first = await publisher.publish({ topic: 'a', payload: '1', qos: 1 })
  t.is(first?.cmd === 'puback' && first.reasonCode, 0x97)
  t.true(core.failure instanceof QueueError && core.failure.code === 'QUEUE_STORE_AWAY')
  const second = await publisher.publish({ topic: 'a', payload: '2', qos: 1 })
  t.is(second?.cmd === 'puback' && second.reasonCode, 0x97)
  gate.open()
  // what was on its way is stored after all; what came meanwhile is not
  t.deepEqual(await subscriber.payloads(1), ['1'])
  t.is(core.failure, null)
  const third = await publisher.publish({ topic: 'a', payload: '3', qos: 1 })
  t.is(third?.cmd === 'puback' && (third.reasonCode ?? 0), 0)
  t.deepEqual(await subscriber.payloads(1), ['3'])
})

test('a QoS 2 publish whose storing is not certain is neither refused nor taken twice, also over a reconnect', async t => {
  const { connect, gate } = await startSlow(t)
  const subscriber = await connect({ clientId: 'logger', clean: false })
  await subscriber.subscribe('a', 2)
  const session = { clientId: 'p', clean: false }
  const publisher = await connect(session)
  gate.close()
  const messageId = publisher.publishOnly({ topic: 'a', payload: 'once', qos: 2 })
  await gate.until(1)
  // others are refused meanwhile, and so the time is over
  const other = await connect({ clientId: 'other', protocolVersion: 5 })
  const refused = await other.publish({ topic: 'a', payload: 'refused', qos: 1 })
  t.is(refused?.cmd === 'puback' && refused.reasonCode, 0x97)
  t.false(publisher.isClosed)
  publisher.destroy()
  const again = await connect(session)
  again.publishOnly({ topic: 'a', payload: 'once', qos: 2, dup: true, messageId })
  await again.ping()
  gate.open()
  t.is((await again.next('pubrec')).messageId, messageId)
  again.send({ cmd: 'pubrel', messageId })
  await again.next('pubcomp')
  t.deepEqual(await subscriber.payloads(1), ['once'])
  await again.publish({ topic: 'a', payload: 'last', qos: 1 })
  t.deepEqual(await subscriber.payloads(1), ['last'])
})

test('a packet tells of a failure by a reason code that it may carry', t => {
  t.is(failureCode(TYPE.puback, 0x88), 0x97)
  t.is(failureCode(TYPE.pubrec, 0x8b), 0x80)
  t.is(failureCode(TYPE.suback, 0x88), 0x97)
  t.is(failureCode(TYPE.unsuback, 0x88), 0x83)
  t.is(failureCode(TYPE.disconnect, 0x88), 0x89)
  t.is(failureCode(TYPE.connack, 0x88), 0x88)
  t.is(failureCode(TYPE.puback, 0x87), 0x87)
})
