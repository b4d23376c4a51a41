import test from 'ava'
import { VERSIONS } from '../helpers/conformance.ts'
import { startTimed } from '../helpers/conformance-clock.ts'

// MQTT section 3.1.2.10

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.1.2-24] of 3.1.1, [MQTT-3.1.2-22], [MQTT-3.2.2-22] of 5
  test(`a client of MQTT ${name} that is silent for one and a half times its keep alive is closed as if the network had failed`, async t => {
    const { connect, clock } = await startTimed(t)
    const watcher = await connect({ clientId: 'watcher' })
    await watcher.subscribe('will')
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const client = await connect({ protocolVersion, keepaliveSeconds: 10, will })
    await clock.pass(14)
    t.false(client.isClosed)
    await clock.pass(3)
    await client.closed()
    const last = client.received.at(-1)
    if (protocolVersion === 5) t.is(last?.cmd === 'disconnect' && last.reasonCode, 0x8d)
    else t.is(last?.cmd, 'connack')
    t.deepEqual(await watcher.payloads(1), ['gone'])
  })

  test(`any packet of a client of MQTT ${name} keeps its connection alive, and keep alive 0 needs none`, async t => {
    const { connect, clock } = await startTimed(t)
    const silent = await connect({ clientId: 'silent', protocolVersion, keepaliveSeconds: 0 })
    const client = await connect({ clientId: 'client', protocolVersion, keepaliveSeconds: 10 })
    const packets = [
      () => client.ping(),
      () => client.subscribe('a', 0),
      () => client.publish({ topic: 'b', qos: 1 }),
      () => client.unsubscribe('a')
    ]
    for (const send of packets) {
      await clock.pass(12)
      await send()
    }
    t.false(client.isClosed)
    await silent.ping()
    t.false(silent.isClosed)
  })
}
