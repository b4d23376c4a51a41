import test from 'ava'
import type { Clock } from '../src/clock.ts'
import { Retained } from '../src/delivery/retained.ts'
import { CLEARED_KEPT_MS, type StateChange } from '../src/store/store.ts'
import { Message } from '../src/wire/message.ts'
import { topicField } from '../src/wire/publish.ts'

const HOUR_MS = CLEARED_KEPT_MS

/** A table of retained messages as one of several brokers has it, at a time that the test says. */
function scene() {
  const time = { now: 10 * HOUR_MS }
  const timer = { cancel() {} }
  const clock: Clock = { now: () => time.now, after: () => timer, every: () => timer }
  const retained = new Retained({ state: { write: async () => {} }, clock, isShared: true })
  const shown = (topic: string) => [...retained.match(topic)].map(message => message?.payload().toString())
  const written = () => retained.changes(retained.takeDirty()).map(({ key, row }) => [key, row === null])
  return { time, retained, shown, written }
}

/** A retained message, clearing when its payload is empty. */
function messageOf(topic: string, payload: string, acceptedAt: number, expiresAt = 0): Message {
  const message = Message.from({ topicField: topicField(topic), payload: Buffer.from(payload), qos: 1 })
  return Object.assign(message, { acceptedAt, sequence: acceptedAt, expiresAt })
}

test('an older message does not come back over what was cleared before the start', t => {
  const { retained, shown } = scene()
  retained.restoreCleared('a', { acceptedAt: 5, sequence: 5 })
  retained.applyElsewhere(messageOf('a', 'old', 4), 'a')
  retained.apply(messageOf('a', 'old', 3), 'a')
  t.deepEqual(shown('a'), [])
  retained.apply(messageOf('a', 'new', 6), 'a')
  t.deepEqual(shown('a'), ['new'])
})

test('what was cleared is remembered for an hour after it was heard of', t => {
  const { time, retained, shown } = scene()
  const clear = (topic: string) => retained.applyElsewhere(messageOf(topic, '', 5), topic)
  clear('a')
  time.now += HOUR_MS - 1
  clear('b')
  retained.applyElsewhere(messageOf('a', 'late', 4), 'a')
  t.deepEqual(shown('a'), [])
  time.now += 1
  clear('c')
  retained.applyElsewhere(messageOf('a', 'late', 4), 'a')
  retained.applyElsewhere(messageOf('b', 'late', 4), 'b')
  t.deepEqual([shown('a'), shown('b')], [['late'], []])
})

test('what was cleared is remembered until its row is written', t => {
  const { time, retained, written } = scene()
  const orders = () => retained.changes(['a']).map(change => (change as { order?: object }).order)
  retained.apply(messageOf('a', '', 5), 'a')
  for (const step of ['dirty', 'written and not yet known to be']) {
    time.now += HOUR_MS
    retained.applyElsewhere(messageOf('b', '', time.now), 'b')
    t.deepEqual(orders(), [{ acceptedAt: 5, sequence: 5 }], step)
    if (step === 'dirty') t.deepEqual(written(), [['a', true]])
  }
  retained.takeDirty() // a write begins when the one before has ended
  retained.applyElsewhere(messageOf('b', '', time.now), 'b')
  t.deepEqual(orders(), [undefined])
})

test('the row of a message that has expired while nobody was there is removed', t => {
  const source = scene()
  source.retained.apply(messageOf('a', 'x', 5, 10 * HOUR_MS + 1), 'a')
  const [change] = source.retained.changes(['a']) as [StateChange & { row: Buffer }]
  const { time, retained, shown, written } = scene()
  time.now += 1
  retained.restore('a', change.row)
  t.deepEqual(shown('a'), [])
  t.deepEqual(written(), [['a', true]])
})
