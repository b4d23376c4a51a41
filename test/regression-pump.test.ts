import test from 'ava'
import { systemClock } from '../src/clock.ts'
import { newCounters } from '../src/delivery/counters.ts'
import { Drops } from '../src/delivery/drops.ts'
import type { Outlet } from '../src/delivery/outlet.ts'
import { SessionPump } from '../src/delivery/pump.ts'
import { LEAST_RESERVED } from '../src/delivery/reservations.ts'
import { Session } from '../src/delivery/session.ts'
import { Subscription } from '../src/delivery/subscription.ts'
import { Events } from '../src/events.ts'
import type { Journal } from '../src/journal/journal.ts'
import { LaneMarks } from '../src/lane.ts'
import { silentLog } from '../src/log.ts'
import { Router } from '../src/routing/router.ts'
import { Stream } from '../src/routing/stream.ts'
import { Message } from '../src/wire/message.ts'
import { DUP_BIT, topicField } from '../src/wire/publish.ts'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'
import { idleHost } from './helpers/stand-ins.ts'

const { bytes } = Message.from({ topicField: topicField('a'), payload: Buffer.alloc(10), qos: 1 })

function messageOf(sequence: number): Message {
  const message = new Message(bytes, 0, bytes.length, false)
  message.sequence = sequence
  return message
}

/** A pump and one session with so many messages waiting, without anything around them. */
function open(messages: number) {
  const sent: { packetId: number; isDup: boolean }[] = []
  const state = { isFull: false, window: 1_000, woken: 0 }
  const outlet: Outlet = {
    isV5: false,
    isCrowded: false,
    get isFull() {
      return state.isFull
    },
    get window() {
      return state.window
    },
    publish: (_message, header, packetId) => void sent.push({ packetId, isDup: (header & DUP_BIT) !== 0 }),
    prepare: message => message,
    publishUnacked() {},
    release() {},
    holdFor() {},
    takenOver() {}
  }
  const session = new Session(
    { clientId: 'a', sessionId: 1, createdAt: 0, expirySeconds: null },
    { ...idleHost, wake: () => void state.woken++ }
  )
  const stream = new Stream<Subscription>(1, 'a')
  const subscription = new Subscription(session, stream, { qos: 1, from: new LaneMarks(), createdAt: 0 })
  session.subscriptions.set('a', subscription)
  stream.durable.add(subscription)
  for (let sequence = 1; sequence <= messages; sequence++) stream.add(sequence)
  session.attach(outlet)
  const lost = new Set<number>()
  const counters = newCounters()
  const pump = new SessionPump({
    ...{
      drops: new Drops(counters, new Events(silentLog)),
      log: silentLog,
      clock: systemClock,
      router: new Router<Subscription>(100)
    },
    retained: null as never,
    journal: { get: (sequence: number) => (lost.has(sequence) ? null : messageOf(sequence)) } as Journal,
    notes: { sent() {}, touch() {}, pendingNote: 0 } as never,
    reservations: { mayUseNext: () => true }
  })
  return { pump, session, stream, outlet, sent, state, lost, counters }
}

test('as many first deliveries carry DUP as may have been sent before a power cut, and no more', t => {
  const { pump, session, sent } = open(4)
  session.suspects = 2
  pump.serve(session, 10)
  t.deepEqual(
    sent.map(({ isDup }) => isDup),
    [true, true, false, false]
  )
  t.is(session.suspects, 0)
})

test('nothing is sent into a full socket, and no more than the window or the budget', t => {
  const { pump, session, sent, state } = open(50)
  state.isFull = true
  t.deepEqual(pump.serve(session, 10), { sent: 0, hasMore: false })
  t.is(session.state, 'socket-full')
  state.isFull = false
  t.deepEqual(pump.serve(session, 10), { sent: 10, hasMore: true })
  state.window = 25
  t.deepEqual(pump.serve(session, 100), { sent: 15, hasMore: false })
  t.is(session.state, 'inflight-full')
  t.is(sent.length, 25)
})

test('a message that is lost is counted and passed over once, sent before or not', t => {
  const { pump, session, stream, outlet, sent, lost, counters } = open(3)
  lost.add(2)
  pump.serve(session, 10)
  t.is(sent.length, 2)
  t.is(session.peek(), null)
  lost.add(1)
  session.detach()
  session.attach(outlet)
  pump.serve(session, 10)
  t.deepEqual(
    sent.slice(2).map(({ isDup }) => isDup),
    [true]
  )
  t.is(counters.dropped.lost, 2)
  t.is(session.inflight.size, 1)
  stream.add(4)
  t.is(session.peek(), 4)
})

test('what is acked before its turn comes is not sent again', t => {
  const { pump, session, outlet, sent, state } = open(4)
  pump.serve(session, 10)
  const ids = sent.splice(0).map(({ packetId }) => packetId)
  session.detach()
  session.attach(outlet)
  t.truthy(session.ack(ids[1]!))
  t.truthy(session.ack(ids[3]!))
  state.window = 2
  pump.serve(session, 10)
  t.deepEqual(
    sent.map(({ packetId }) => packetId),
    [ids[0], ids[2]]
  )
  t.is(session.inflight.outstanding, 2)
  t.falsy(session.ack(ids[1]!))
})

test('no packet id above the reservation is used before a new one is stored', async t => {
  const { connect, store, core } = await startCore(t, { settings: { maxInflight: 400 } })
  const subscriber = await connect({ clientId: 'logger', clean: false })
  await subscriber.subscribe('a')
  const publisher = await connect({ clientId: 'publisher' })
  const gate = new Gate()
  const write = store.state.write
  store.state.write = async (changes, options) => {
    await gate.pass()
    await write(changes, options)
  }
  gate.close()
  const total = LEAST_RESERVED + 1_000
  for (let done = 0; done < total; done += 500) {
    for (let i = 0; i < 500; i++) publisher.publishOnly({ topic: 'a', payload: 'x', qos: 1 })
    for (let i = 0; i < 500; i++) await publisher.next('puback')
    publisher.received.length = 0
    await subscriber.ping()
  }
  for (let i = 0; i < 20; i++) await subscriber.ping()
  const delivered = () => subscriber.received.filter(({ cmd }) => cmd === 'publish').length
  t.is(delivered(), LEAST_RESERVED)
  const { store: cut } = { store: store.crash('machine', 0) }
  gate.open()
  const second = await startCore(t, { store: cut })
  const again = await second.connect({ clientId: 'logger', clean: false })
  // all notes are lost: the client may still hold any id that was used
  t.is((await again.next('publish')).messageId, LEAST_RESERVED + 1)
  await core.close().catch(() => {})
})
