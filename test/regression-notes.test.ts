import test from 'ava'
import { readNote } from '../src/delivery/note-format.ts'
import { NoteBook } from '../src/delivery/notes.ts'
import { Session } from '../src/delivery/session.ts'
import { silentLog } from '../src/log.ts'
import { startCore } from './helpers/core.ts'
import { idleHost, visitor } from './helpers/stand-ins.ts'

const turn = () => new Promise<void>(resolve => setImmediate(resolve))
const session = new Session({ clientId: 'a', sessionId: 1, createdAt: 0, expirySeconds: null }, idleHost)

/** A note book whose notes are written, and whose timers fire, when the test says so. */
function open() {
  const notes: Buffer[] = []
  const ends: (() => void)[] = []
  const timers: (() => void)[] = []
  const store = {
    append: (note: Buffer) => {
      notes.push(note)
      return new Promise<void>(resolve => ends.push(resolve))
    },
    checkpoint: () => Promise.resolve(),
    sizeBytes: () => 0
  }
  const later = (_delayMs: number, callback: () => void) => void timers.push(callback)
  const book = new NoteBook({ store, log: silentLog, later, written() {} })
  const acked = () => {
    const all: number[] = []
    for (const note of notes) readNote(note, visitor({ acked: (_id, counter) => all.push(counter) }))
    return all
  }
  const sent = () => {
    const all: [counter: number, sequence: number][] = []
    for (const note of notes)
      readNote(note, visitor({ sent: (_id, counter, sequence) => all.push([counter, sequence]) }))
    return all
  }
  const end = async () => {
    ends.shift()?.()
    await turn()
  }
  return { book, acked, sent, end, fire: () => timers.shift()?.() }
}

test('acks whose time came while a note was being written are noted afterwards', async t => {
  const { book, acked, end, fire } = open()
  book.acked(session, 1)
  fire()
  book.acked(session, 2)
  fire()
  t.deepEqual(acked(), [1])
  await end()
  t.deepEqual(acked(), [1, 2])
})

test('acks that came while a note with deliveries was being written wait for their time only', async t => {
  const { book, acked, end, fire } = open()
  book.sent(session, 0, 5, 0)
  book.endTurn()
  book.acked(session, 1)
  await end()
  t.deepEqual(acked(), [])
  fire()
  t.deepEqual(acked(), [1])
})

test('deliveries are noted under their counters, also when counters were left out', t => {
  const { book, sent } = open()
  const deliveries: [number, number][] = [
    [4, 10],
    [5, 11],
    [8, 14],
    [9, 20]
  ]
  for (const [counter, sequence] of deliveries) book.sent(session, counter, sequence, 0)
  book.endTurn()
  t.deepEqual(sent(), deliveries)
})

test('what was acked and noted does not come again after a kill of the process', async t => {
  const first = await startCore(t)
  const subscriber = await first.connect({ clientId: 'logger', clean: false, isAcking: false })
  await subscriber.subscribe('a')
  const publisher = await first.connect()
  for (const payload of ['1', '2', '3']) await publisher.publish({ topic: 'a', payload, qos: 1 })
  const messages = await subscriber.messages(3)
  const noted = new Promise<void>(resolve => {
    const { append } = first.store.notes
    first.store.notes.append = async (note, options) => {
      await append(note, options)
      resolve()
    }
  })
  subscriber.ack(messages[0]!)
  subscriber.ack(messages[2]!)
  await noted
  const second = await startCore(t, { store: first.store.crash('process') })
  const again = await second.connect({ clientId: 'logger', clean: false })
  const [message] = await again.messages(1)
  t.is(message!.payload.toString(), '2')
  await again.ping()
  t.deepEqual(again.unreadMessages(), [])
})
