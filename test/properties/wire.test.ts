import test from 'ava'
import fc from 'fast-check'
import mqttPacket, { type IPublishPacket } from 'mqtt-packet'
import { Framer } from '../../src/wire/framer.ts'
import { Message } from '../../src/wire/message.ts'
import { topicField } from '../../src/wire/publish.ts'
import { readVarint, varintBytes, varintLength, varintValue, writeVarint } from '../../src/wire/varint.ts'
import { startCore } from '../helpers/core.ts'
import type { RawClient } from '../helpers/raw-client.ts'

const numRuns = Number(process.env.RESTANTE_TEST_RUNS ?? 200)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(s => !/[+#\0]/.test(s))
const publish = fc.record({
  topic: text,
  payload: fc.uint8Array({ maxLength: 300 }),
  qos: fc.constantFrom(0 as const, 1 as const),
  retain: fc.boolean(),
  isV5: fc.boolean(),
  user: fc.dictionary(text, text, { minKeys: 1, maxKeys: 3, noNullPrototype: true })
})

function encode({
  topic,
  payload,
  qos,
  retain,
  isV5,
  user
}: {
  topic: string
  payload: Uint8Array
  qos: 0 | 1
  retain: boolean
  isV5: boolean
  user: Record<string, string>
}): Buffer {
  const properties = isV5 ? { properties: { userProperties: user, contentType: 'x' } } : {}
  return mqttPacket.generate(
    {
      cmd: 'publish',
      topic,
      payload: Buffer.from(payload),
      qos,
      retain,
      dup: false,
      messageId: 7,
      ...properties
    },
    { protocolVersion: isV5 ? 5 : 4 }
  )
}

/** What an independent parser finds. */
function decode(bytes: Buffer, isV5: boolean): IPublishPacket {
  const parser = mqttPacket.parser({ protocolVersion: isV5 ? 5 : 4 } as never)
  let packet: IPublishPacket | undefined
  parser.on('packet', one => {
    packet = one as IPublishPacket
  })
  parser.parse(bytes)
  return packet!
}

test('a Variable Byte Integer reads as it was written, and is not read past its end', t => {
  const property = fc.property(fc.integer({ min: 0, max: 268_435_455 }), value => {
    const bytes = Buffer.alloc(5, 255)
    const end = writeVarint(bytes, value, 0)
    if (end !== varintLength(value)) throw new Error('length')
    const packed = readVarint(bytes, 0, end)
    if (varintValue(packed) !== value || varintBytes(packed) !== end) throw new Error('value')
    if (end > 1 && readVarint(bytes, 0, end - 1) !== 0) throw new Error('read past the end')
  })
  t.notThrows(() => fc.assert(property, { numRuns: 2_000, seed }))
  t.is(readVarint(Buffer.from([128, 128, 128, 128, 1]), 0, 5), -1)
  t.is(readVarint(Buffer.from([128, 0]), 0, 2), -1, 'an encoding longer than needed is refused')
})

test('a message has the same topic, payload and properties in every form', t => {
  t.log(`RESTANTE_TEST_SEED=${seed}`)
  const property = fc.property(publish, fc.boolean(), fc.boolean(), (parts, toV5, hasId) => {
    const bytes = Buffer.concat([Buffer.from('before'), encode(parts), Buffer.from('behind')])
    const message = new Message(bytes, 6, bytes.length - 12, parts.isV5)
    const form = message.form(toV5, hasId)
    const packet = decode(Buffer.from(form.bytes.subarray(form.offset, form.offset + form.length)), toV5)
    if (packet.topic !== parts.topic || message.topic() !== parts.topic || form.topic() !== parts.topic)
      throw new Error('topic')
    if (!Buffer.from(parts.payload).equals(packet.payload as Buffer)) throw new Error('payload')
    if (!Buffer.from(parts.payload).equals(form.payload())) throw new Error('payload view')
    if (packet.qos > 0 !== hasId) throw new Error('packet id')
    const users = toV5 && parts.isV5 ? parts.user : {}
    if (JSON.stringify({ ...packet.properties?.userProperties }) !== JSON.stringify(users))
      throw new Error('properties')
    if (form.form(parts.isV5, parts.qos > 0).length !== message.length && parts.isV5 === toV5)
      throw new Error('way back')
  })
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('a stream of packets is cut into the same packets wherever its bytes are split', t => {
  const property = fc.property(
    fc.array(publish, { minLength: 1, maxLength: 5 }),
    fc.integer({ min: 1, max: 40 }),
    (many, size) => {
      const packets = many.map(encode)
      const bytes = Buffer.concat(packets)
      for (const step of [1, size]) {
        const found: string[] = []
        const framer = new Framer({
          isHeld: false,
          maxPacketBytes: 10_000,
          packet: (_header, source, start, _body, end) =>
            found.push(source.subarray(start, end).toString('hex'))
        })
        for (let at = 0; at < bytes.length; at += step) framer.push(bytes.subarray(at, at + step))
        if (found.join() !== packets.map(packet => packet.toString('hex')).join())
          throw new Error(`split by ${step}`)
        if (framer.pendingBytes !== 0) throw new Error('bytes are left')
      }
    }
  )
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('what arrives while a connection is held is kept and comes in order afterwards', t => {
  const property = fc.property(
    fc.array(publish, { minLength: 1, maxLength: 8 }),
    fc.integer({ min: 1, max: 60 }),
    (many, size) => {
      const packets = many.map(encode)
      const found: string[] = []
      const sink = {
        isHeld: false,
        maxPacketBytes: 10_000,
        packet: (_header: number, source: Buffer, start: number, _body: number, end: number) => {
          found.push(source.subarray(start, end).toString('hex'))
          sink.isHeld = true
        }
      }
      const framer = new Framer(sink)
      const bytes = Buffer.concat(packets)
      for (let at = 0; at < bytes.length; at += size) framer.push(bytes.subarray(at, at + size))
      while (found.length < packets.length) {
        const before = found.length
        sink.isHeld = false
        framer.resume()
        if (found.length !== before + 1) throw new Error('a hold let more than one packet through, or none')
      }
      if (found.join() !== packets.map(packet => packet.toString('hex')).join()) throw new Error('order')
    }
  )
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('Message.from builds what an independent parser reads', t => {
  const message = Message.from({
    topicField: topicField('DB/CREATE'),
    payload: Buffer.from('x'),
    qos: 1,
    isRetained: true
  })
  const packet = decode(message.bytes, false)
  t.is(packet.topic, 'DB/CREATE')
  t.is(packet.payload.toString(), 'x')
  t.true(packet.retain)
  t.is(packet.qos, 1)
})

test('random bytes close their own connection at worst: nothing is thrown and others go on', async t => {
  const { open, connect, log } = await startCore(t)
  const healthy = await connect({ clientId: 'healthy' })
  const valid = fc.constantFrom(
    encode({ topic: 'a', payload: new Uint8Array(3), qos: 1, retain: false, isV5: false, user: { a: 'b' } }),
    mqttPacket.generate({ cmd: 'subscribe', messageId: 3, subscriptions: [{ topic: 'a/#', qos: 1 }] }),
    mqttPacket.generate({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['a/#'] }),
    mqttPacket.generate({ cmd: 'puback', messageId: 3 }),
    mqttPacket.generate({ cmd: 'pingreq' }),
    mqttPacket.generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 5,
      clientId: 'x',
      clean: true,
      keepalive: 1
    })
  )
  const mutated = fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }))
    .map(([bytes, changes]) => {
      const copy = Buffer.from(bytes)
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value
      return copy
    })
  const junk = fc.array(
    fc.oneof(
      mutated,
      fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes))
    ),
    { maxLength: 6 }
  )
  const property = fc.asyncProperty(
    junk,
    fc.boolean(),
    fc.constantFrom(4 as const, 5 as const),
    async (pieces, isIn, protocolVersion) => {
      const client: RawClient = isIn ? await connect({ protocolVersion, clientId: 'fuzz' }) : open()
      for (const piece of pieces) client.sendBytes(piece)
      await healthy.ping()
      client.destroy()
    }
  )
  t.log(`RESTANTE_TEST_SEED=${seed}`)
  const result = await fc.check(property, { numRuns, seed })
  t.false(result.failed, fc.defaultReportMessage(result) ?? '')
  t.deepEqual(log.texts('error'), [])
  await healthy.subscribe('still/here')
  await healthy.publish({ topic: 'still/here', payload: 'yes', qos: 1 })
  t.deepEqual(await healthy.payloads(1), ['yes'])
})
