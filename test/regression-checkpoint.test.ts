import test from 'ava'
import { NoteBook } from '../src/delivery/notes.ts'
import { Session } from '../src/delivery/session.ts'
import { QueueError } from '../src/errors.ts'
import { silentLog } from '../src/log.ts'
import { startCore } from './helpers/core.ts'
import { Gate } from './helpers/gate.ts'
import { idleHost } from './helpers/stand-ins.ts'

const nothing = () => {}

// An ack waits in an open page while a checkpoint is made; a delivery that then comes into the same page was not in
// the rows of that checkpoint, and the next one drops the note.
test('a session that goes on in a page begun before a checkpoint is in the next checkpoint', t => {
  const store = {
    append: () => Promise.resolve(),
    checkpoint: () => Promise.resolve(),
    sizeBytes: () => 0
  }
  const notes = new NoteBook({ store, log: silentLog, later: nothing, written: nothing })
  const session = new Session({ clientId: 'a', sessionId: 1, createdAt: 0, expirySeconds: null }, idleHost)
  notes.acked(session, 1)
  t.deepEqual(notes.takeChanged(), [session])
  notes.sent(session, 2, 7, 0)
  notes.write()
  t.deepEqual(notes.takeChanged(), [session])
  t.deepEqual(notes.takeChanged(), [])
})

// A store whose notes have a gap takes synced ones after the next checkpoint only.
test('a note that had to be synced and could not be brings about a checkpoint, and QoS 2 goes on', async t => {
  const { connect, core, store } = await startCore(t)
  const publisher = await connect({ clientId: 'sender', clean: false })
  publisher.publishOnly({ topic: 'a', payload: '1', qos: 2, messageId: 7 })
  await publisher.next('pubrec')
  const gate = new Gate()
  const { append } = store.notes
  store.notes.append = async (note, options) => {
    await gate.pass()
    await append(note, options)
  }
  gate.close()
  publisher.send({ cmd: 'pubrel', messageId: 7 })
  await gate.until(1)
  await core.settle()
  store.faults.cut = new QueueError('QUEUE_STORE_FULL', { detail: { problem: 'ENOSPC' } })
  gate.open()
  while (!store.hasMissingNotes) await new Promise(setImmediate)
  delete store.faults.cut
  for (let i = 0; i < 2; i++) await core.settle()
  await publisher.next('pubcomp')
  t.false(store.hasMissingNotes)
})
