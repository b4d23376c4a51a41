import test from 'ava'
import { systemClock } from '../../src/clock.ts'
import { Checkpoint } from '../../src/delivery/checkpoint.ts'
import { decodeCursor } from '../../src/delivery/cursor.ts'
import { NoteBook } from '../../src/delivery/notes.ts'
import { Reservations } from '../../src/delivery/reservations.ts'
import { Session } from '../../src/delivery/session.ts'
import { silentLog } from '../../src/log.ts'
import type { StateChange } from '../../src/store/store.ts'

// After a power cut a session begins above its reservation. If a checkpoint that was made while a reservation was
// being written puts the old one back, packet ids in flight are given to other messages.
test('a checkpoint made while packet ids are being reserved keeps the reservation', async t => {
  const rows: Buffer[] = []
  let finish = () => {}
  const write = (changes: readonly StateChange[]) => {
    for (const change of changes) if (change.table === 'cursor') rows.push(change.row!)
    return Promise.resolve()
  }
  const state = {
    write: async (changes: readonly StateChange[]) => {
      await write(changes)
      await new Promise<void>(resolve => (finish = resolve))
    }
  }
  const store = { append: () => Promise.resolve(), checkpoint: write, sizeBytes: () => 1 }
  const later = () => {}
  const notes = new NoteBook({ store, log: silentLog, later, written: later })
  const session = new Session(
    { clientId: 'a', sessionId: 1, createdAt: 0, expirySeconds: null },
    { clock: systemClock, wake: later, acked: later }
  )
  const reservations = new Reservations({ state, log: silentLog, later })

  t.false(reservations.mayUseNext(session))
  notes.touch(session)
  await new Checkpoint({ store, notes, log: silentLog }).runOrFail()
  finish()
  await new Promise(setImmediate)

  t.true(reservations.mayUseNext(session))
  t.is(rows.length, 2)
  t.is(decodeCursor(rows[1]!).reservedCounter, session.reservedCounter)
})
