import test from 'ava'
import { Checkpoint } from '../../src/delivery/checkpoint.ts'
import { decodeCursor } from '../../src/delivery/cursor.ts'
import { NoteBook } from '../../src/delivery/notes.ts'
import { LEAST_RESERVED, Reservations } from '../../src/delivery/reservations.ts'
import { Session } from '../../src/delivery/session.ts'
import { silentLog } from '../../src/log.ts'
import type { StateChange } from '../../src/store/store.ts'
import { emptyTables, idleHost } from '../helpers/stand-ins.ts'

const nothing = () => {}

/** A session, its reservations and its checkpoint on a store that takes rows in order and answers when told. */
function scene() {
  const rows: number[] = []
  const held: (() => void)[] = []
  const take = (changes: readonly StateChange[]) => {
    for (const { table, row } of changes) {
      if (table === 'cursor') rows.push(decodeCursor(row as Buffer).reservedCounter)
    }
  }
  const wait = () => new Promise<void>(resolve => held.push(resolve))
  const state = {
    write: (changes: readonly StateChange[]) => {
      take(changes)
      return wait()
    }
  }
  const store = {
    append: () => Promise.resolve(),
    // like a store that makes a file before it writes
    checkpoint: async (changes: () => readonly StateChange[]) => {
      await wait()
      take(changes())
    },
    sizeBytes: () => 1
  }
  const notes = new NoteBook({ store, log: silentLog, later: nothing, written: nothing })
  const session = new Session({ clientId: 'a', sessionId: 1, createdAt: 0, expirySeconds: null }, idleHost)
  notes.touch(session)
  return {
    ...{ rows, session },
    reservations: new Reservations({ state, log: silentLog, later: nothing }),
    checkpoint: new Checkpoint({ ...emptyTables(state), state, store, notes, log: silentLog }),
    /** Lets the oldest call that waits go on. */
    async goOn() {
      held.shift()?.()
      await new Promise(setImmediate)
    }
  }
}

// After a power cut a session begins above its reservation. If a checkpoint puts an older one back, packet ids in
// flight are given to other messages.
test('a checkpoint written while packet ids are being reserved keeps the reservation', async t => {
  const { rows, session, reservations, checkpoint, goOn } = scene()
  const done = checkpoint.runOrFail()
  t.false(reservations.mayUseNext(session))
  await goOn()
  await done
  await goOn()
  t.true(reservations.mayUseNext(session))
  t.deepEqual(rows, [LEAST_RESERVED, LEAST_RESERVED])
})

test('a checkpoint that was begun before packet ids were reserved keeps the reservation', async t => {
  const { rows, session, reservations, checkpoint, goOn } = scene()
  const done = checkpoint.runOrFail()
  session.inflight.nextCounter = 5
  t.false(reservations.mayUseNext(session))
  await goOn()
  await done
  t.deepEqual(rows, [LEAST_RESERVED + 5, LEAST_RESERVED + 5])
})

// Packet ids that a start leaves out come round after four starts when each leaves out 16,384: a message that a client
// still holds would hide another one. Seen with brokers that were killed in turn.
test('a session reserves few packet ids at a time, and more while it uses them up quickly', async t => {
  const { rows, session, reservations, goOn } = scene()
  for (let used = 0; used < 20_000; used += 256) {
    session.inflight.nextCounter = used
    reservations.mayUseNext(session)
    await goOn()
  }
  t.deepEqual(rows.slice(0, 3), [LEAST_RESERVED, 512 + 4 * LEAST_RESERVED, 2_560 + 16 * LEAST_RESERVED])
  t.true(rows.length < 8, `${rows.length} writes`)
})
