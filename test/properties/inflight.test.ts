import test from 'ava'
import fc from 'fast-check'
import { decodeCursor, encodeCursor } from '../../src/delivery/cursor.ts'
import { Inflight, packetIdOf } from '../../src/delivery/inflight.ts'
import { Session } from '../../src/delivery/session.ts'
import { laneStart } from '../../src/lane.ts'
import { ByteReader, ByteWriter } from '../../src/wire/bytes.ts'
import { idleHost } from '../helpers/stand-ins.ts'

const numRuns = Number(process.env.RESTANTE_TEST_RUNS ?? 200)
const seed = Number(process.env.RESTANTE_TEST_SEED ?? Date.now() % 2 ** 31)

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('send' as const), skip: fc.integer({ min: 1, max: 4 }) })
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ack' as const), pick: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const), resend: fc.nat(20) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('jump' as const), by: fc.integer({ min: 1, max: 70_000 }) })
  }
)

/** One row for each unacked message, oldest first. */
interface Row {
  readonly packetId: number
  readonly sequence: number
  isSent: boolean
}

test('what is inflight, its packet ids and its order are as a list of rows would have them', t => {
  t.log(`RESTANTE_TEST_SEED=${seed}`)
  const property = fc.property(fc.array(step, { maxLength: 200, size: 'max' }), steps => {
    const inflight = new Inflight()
    let rows: Row[] = []
    let sequence = 0
    for (const one of steps) {
      if (one.do === 'send') {
        sequence += one.skip
        if (!inflight.findFree()) throw new Error('no free id')
        const packetId = inflight.send(sequence)
        if (rows.some(row => row.packetId === packetId)) throw new Error(`id ${packetId} is in use`)
        if (packetId < 1 || packetId > 65_535) throw new Error(`id ${packetId}`)
        rows.push({ packetId, sequence, isSent: true })
      } else if (one.do === 'ack') {
        const row = rows[one.pick % (rows.length + 1)]
        const entry = inflight.ack(row?.packetId ?? 65_536)
        if (entry?.sequence !== row?.sequence) throw new Error('ack found another message')
        rows = rows.filter(other => other !== row)
      } else if (one.do === 'jump') inflight.nextCounter += one.by
      else {
        inflight.connect()
        for (const row of rows) row.isSent = false
        for (const row of rows.slice(0, one.resend)) {
          const entry = inflight.nextResend()
          if (!entry || packetIdOf(entry.counter) !== row.packetId) throw new Error('resent out of order')
          inflight.resent()
          row.isSent = true
        }
      }
      const found = [...inflight.entries()].map(entry => `${packetIdOf(entry.counter)}:${entry.sequence}`)
      if (found.join() !== rows.map(row => `${row.packetId}:${row.sequence}`).join()) throw new Error('rows')
      if (inflight.outstanding !== rows.filter(row => row.isSent).length) throw new Error('outstanding')
    }
  })
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('a cursor reads as it was written', t => {
  const whole = fc.integer({ min: 0, max: 2 ** 48 })
  const entry = fc.tuple(fc.integer({ min: 0, max: 2 ** 40 }), whole, fc.integer({ min: 0, max: 7 }))
  const pending = fc.uniqueArray(entry, {
    maxLength: 50,
    selector: ([counter]) => packetIdOf(counter)
  })
  const id = fc.tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 2 ** 48 }))
  const inbound = fc.uniqueArray(id, { maxLength: 50, selector: ([packetId]) => packetId })
  const property = fc.property(
    fc.uniqueArray(fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 2 ** 40 - 1 })), {
      selector: ([lane]) => lane
    }),
    whole,
    fc.nat(20_000),
    pending,
    inbound,
    (places, reserved, suspects, entries, ids) => {
      const host = idleHost
      const session = new Session({ clientId: 'c', sessionId: 1, createdAt: 0, expirySeconds: null }, host)
      const frontiers = places.map(([lane, number]) => laneStart(lane) + number).sort((a, b) => a - b)
      for (const frontier of frontiers) session.frontiers.set(frontier)
      session.requestedCounter = reserved
      session.suspects = suspects
      const sorted = entries.sort(([a], [b]) => a - b)
      for (const [counter, sequence, flags] of sorted) session.inflight.restore(counter, sequence, flags)
      for (const [packetId, sequence] of ids) session.inbound.restore(packetId, sequence)
      const cursor = decodeCursor(encodeCursor(session))
      const expected = {
        frontiers,
        nextCounter: (sorted.at(-1)?.[0] ?? -1) + 1,
        reservedCounter: reserved,
        suspects,
        pending: sorted.map(([counter, sequence, flags]) => ({ counter, sequence, flags })),
        inbound: ids.map(([packetId, sequence]) => ({ packetId, sequence }))
      }
      if (JSON.stringify(cursor) !== JSON.stringify(expected))
        throw new Error(JSON.stringify([cursor, expected]))
    }
  )
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('numbers up to 2^53 - 1, also negative ones, read as they were written', t => {
  const number = fc.maxSafeInteger().map(value => Math.trunc(value / 2))
  const property = fc.property(fc.array(number), numbers => {
    const writer = new ByteWriter()
    for (const value of numbers) writer.signed(value).number(Math.abs(value))
    const reader = new ByteReader(writer.take())
    for (const value of numbers) {
      if (reader.signed() !== value || reader.number() !== Math.abs(value)) throw new Error(String(value))
    }
    if (!reader.isAtEnd) throw new Error('bytes are left')
  })
  t.notThrows(() => fc.assert(property, { numRuns, seed }))
})

test('the packet id of a message that the store has lost is left out for a round, also over a restart', t => {
  const inflight = new Inflight()
  inflight.restore(0, 10)
  inflight.restore(1, 11)
  inflight.connect()
  inflight.lose()
  t.is(inflight.size, 1)
  t.is(inflight.nextResend()?.sequence, 11)
  t.deepEqual(
    inflight.allEntries().map(({ sequence }) => sequence),
    [10, 11]
  )
  inflight.nextCounter = 65_535
  t.true(inflight.findFree())
  t.is(packetIdOf(inflight.nextCounter), 3, 'id 1 is set aside, id 2 is in use')
  inflight.nextCounter = 131_070
  t.true(inflight.findFree())
  t.is(packetIdOf(inflight.nextCounter), 1, 'a round later it is free')
  inflight.lose()
  inflight.ack(2)
  inflight.nextCounter = 65_536
  t.true(inflight.findFree())
  t.is(packetIdOf(inflight.nextCounter), 2, 'the client acked it after all')
})
