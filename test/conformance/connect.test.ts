import test from 'ava'
import {
  arrived,
  assertEnded,
  assertFirstRefused,
  CODE,
  kept,
  subscriber,
  VERSIONS
} from '../helpers/conformance.ts'
import { ByteClient, type Bytes, connect, packet, text } from '../helpers/conformance-bytes.ts'
import { startCore } from '../helpers/core.ts'

// MQTT sections 3.1.3 and 3.1.4: who is let in. What is not legal: errors-connect.test.ts

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

for (const { protocolVersion, name } of VERSIONS) {
  // [MQTT-3.1.3-5]; [MQTT-3.1.4-4] of 3.1.1, [MQTT-3.1.4-5] of 5
  test(`client ids of 1 to 23 letters and digits are let in by MQTT ${name}`, async t => {
    const { connect: join, core } = await startCore(t)
    const ids = [...LETTERS, LETTERS.slice(0, 23), LETTERS.slice(23, 46), LETTERS.slice(-23)]
    for (const clientId of ids) {
      const client = await join({ clientId, protocolVersion })
      t.truthy(core.directory.client(clientId))
      client.destroy()
    }
  })

  // [MQTT-3.1.3-2]
  test(`a session of MQTT ${name} is found by its client id, letter by letter`, async t => {
    const core = await startCore(t)
    const owner = await subscriber(core, 'a', kept(protocolVersion, 'Owner'))
    await owner.disconnect()
    const publisher = await core.connect()
    await publisher.publish({ topic: 'a', payload: 'x', qos: 1 })
    for (const clientId of ['owner', 'Owner ', 'Owne', 'Owner\uFEFF']) {
      const other = await core.connect(kept(protocolVersion, clientId))
      t.false(other.connack?.sessionPresent)
      t.deepEqual(await arrived(other), [])
    }
    const again = await core.connect(kept(protocolVersion, 'Owner'))
    t.true(again.connack?.sessionPresent)
    t.deepEqual(await again.payloads(1), ['x'])
  })

  // [MQTT-3.1.3-1], [MQTT-3.1.3-3]
  test(`the fields of CONNECT are read in their order by MQTT ${name}`, async t => {
    const core = await startCore(t)
    const seen: unknown[] = []
    core.core.broker.aedes.authenticate = (_client, user, password, done) => {
      seen.push([user, String(password)])
      done(null, true)
    }
    const watcher = await subscriber(core, 'will', { clientId: 'watcher' })
    seen.length = 0
    const none = protocolVersion === 5 ? [0] : []
    const payload: Bytes[] = [text('id'), none, text('will'), text('message'), text('user'), text('password')]
    const client = ByteClient.open(
      core,
      connect({ version: protocolVersion, flags: 0xc6, payload: payload.flat() })
    )
    await client.packet(0)
    t.deepEqual(seen, [['user', 'password']])
    t.truthy(core.core.directory.client('id'))
    client.destroy()
    const will = await watcher.next('publish')
    t.deepEqual([will.topic, will.payload.toString()], ['will', 'message'])
  })

  // [MQTT-3.1.4-5] of 3.1.1, [MQTT-3.1.4-2], [MQTT-3.1.4-6] of 5; [MQTT-3.2.2-4], [MQTT-3.2.2-5] of 3.1.1,
  // [MQTT-3.2.2-6], [MQTT-3.2.2-7] of 5
  test(`what follows a CONNECT of MQTT ${name} that is refused is not processed`, async t => {
    const core = await startCore(t)
    const { aedes } = core.core.broker
    const watcher = await subscriber(core, '#', { clientId: 'watcher' })
    const owner = await core.connect(kept(protocolVersion, 'owner'))
    await owner.disconnect()
    aedes.authenticate = (_client, _user, _password, done) => done(null, false)
    const none = protocolVersion === 5 ? [0] : []
    const payload = [...text('owner'), ...none, ...text('will'), ...text('x')]
    const client = ByteClient.open(
      core,
      connect({ version: protocolVersion, flags: 4, payload }),
      packet(0x33, text('a'), 0, 1, none, 120),
      packet(0x82, 0, 2, none, text('a'), 1),
      packet(0xc0)
    )
    await client.closed()
    t.is(client.packets.length, 1)
    t.is(client.packets[0]!.header, 0x20)
    t.deepEqual([...client.packets[0]!.body.subarray(0, 2)], [0, protocolVersion === 5 ? 0x87 : 5])
    t.deepEqual(await arrived(watcher), [])
    t.is([...core.core.directory.session('owner')!.subscriptions()].length, 0)
  })

  // [MQTT-3.1.0-2]
  test(`a second CONNECT of MQTT ${name} ends the connection, and takes nothing over`, async t => {
    const core = await startCore(t)
    const other = await core.connect({ clientId: 'other', protocolVersion })
    const client = await core.connect({ clientId: 'client', protocolVersion })
    client.sendBytes(Buffer.from(connect({ version: protocolVersion, payload: text('other') })))
    await assertEnded(t, client, protocolVersion === 5 ? CODE.protocolError : null)
    t.is(client.received.filter(({ cmd }) => cmd === 'connack').length, 1)
    await other.ping()
  })

  // [MQTT-3.1.4-2] of 3.1.1, [MQTT-3.1.4-3] of 5
  test(`a second connection of MQTT ${name} with one client id ends the first`, async t => {
    const { connect: join, core } = await startCore(t)
    for (const clean of [true, false]) {
      const first = await join({ clientId: 'one', protocolVersion, clean })
      const second = await join({ clientId: 'one', protocolVersion, clean })
      await first.closed()
      const last = first.received.at(-1)
      if (protocolVersion === 5) t.is(last?.cmd === 'disconnect' && last.reasonCode, 0x8e)
      else t.is(last?.cmd, 'connack')
      await second.ping()
      t.is([...core.directory.clients()].length, 1)
      await second.disconnect()
    }
  })
}

/** Every packet type but CONNECT, as a client of either version might begin with it. */
const NOT_CONNECT = [0x20, 0x30, 0x32, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xa2, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0]

// [MQTT-3.1.0-1]
test('a connection that begins with anything but CONNECT is closed without an answer', async t => {
  const core = await startCore(t)
  for (const header of NOT_CONNECT) {
    for (const body of [[], [0, 1], [...text('a'), 0, 1, 0]]) {
      const client = ByteClient.open(core, packet(header, body), connect({}))
      await client.closed()
      t.deepEqual(client.packets, [], `0x${header.toString(16)}`)
    }
  }
})

// [MQTT-3.1.3-6] of 3.1.1
test('an empty client id of 3.1.1 with Clean Session gets an id of its own', async t => {
  const { connect: join, core } = await startCore(t)
  await join({ clientId: '' })
  await join({ clientId: '' })
  const ids = [...core.directory.clients()].map(({ clientId }) => clientId)
  t.is(new Set(ids).size, 2)
  t.false(ids.includes(''))
})

// [MQTT-3.1.3-8], [MQTT-3.1.3-9] of 3.1.1
test('an empty client id of 3.1.1 with a session to be kept is answered with 2', async t => {
  const refusal = { title: '', bytes: connect({ flags: 0, payload: text('') }), code: 2 }
  await assertFirstRefused(t, refusal)
})

// [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16] of 5
test('an empty client id of MQTT 5 is told the id it has got, and finds its session under it', async t => {
  const core = await startCore(t)
  const nameless = { clientId: '', protocolVersion: 5, expirySeconds: 3_600 } as const
  const [first, second] = [await core.connect(nameless), await core.connect(nameless)]
  const ids = [first, second].map(({ connack }) => connack!.properties!.assignedClientIdentifier!)
  t.true(ids.every(id => id.length > 0))
  t.not(ids[0], ids[1])
  await first.subscribe('a', 1)
  await first.disconnect()
  await second.publish({ topic: 'a', payload: 'x', qos: 1 })
  const again = await core.connect(kept(5, ids[0]!))
  t.true(again.connack?.sessionPresent)
  t.is(again.connack?.properties?.assignedClientIdentifier, undefined)
  t.deepEqual(await again.payloads(1), ['x'])
})
