import test from 'ava'
import { systemClock } from '../src/clock.ts'
import { NoteBook, readNote } from '../src/delivery/notes.ts'
import { Session } from '../src/delivery/session.ts'
import { silentLog } from '../src/log.ts'

const turn = () => new Promise<void>(resolve => setImmediate(resolve))
const session = new Session(
  { clientId: 'a', sessionId: 1, createdAt: 0, expirySeconds: null },
  { clock: systemClock, wake() {}, acked() {} }
)

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
    for (const note of notes) readNote(note, { sent() {}, acked: (_id, sequence) => all.push(sequence) })
    return all
  }
  const end = async () => {
    ends.shift()?.()
    await turn()
  }
  return { book, acked, end, fire: () => timers.shift()?.() }
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
  book.sent(session, 0, 5)
  book.endTurn()
  book.acked(session, 1)
  await end()
  t.deepEqual(acked(), [])
  fire()
  t.deepEqual(acked(), [1])
})
