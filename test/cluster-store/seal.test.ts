import test from 'ava'
import { seal } from '../../plugins/store-mongodb/cluster/seal.ts'
import type { Database } from '../../plugins/store-mongodb/database.ts'
import { Patience } from '../../plugins/store-mongodb/patience.ts'
import { isQueueError } from '../../src/errors.ts'
import { range } from '../helpers/batches.ts'
import { Gate } from '../helpers/gate.ts'
import { testRandom, testRuns } from '../helpers/tools-random.ts'
import { clusterTests, gatedDatabase, type TestBroker, until } from './scene.ts'

const cluster = clusterTests(test)
const RUNS = testRuns(5)
/** It asks soon whether it still counts; nobody else is there to be judged. */
const QUICK = { brokerTimeoutMs: 200, isIdle: true }

/** What a broker was told is stored. */
interface Acked {
  messages: number
  notes: number
  rows: number
}

/** Writes as fast as it can until it is fenced, with something of each kind under way all the time. */
class Writer {
  readonly broker: TestBroker
  readonly acked: Acked
  readonly fenced: Promise<unknown>
  readonly #size: () => number

  constructor(broker: TestBroker, size: () => number, before: Acked) {
    this.broker = broker
    this.acked = { ...before, messages: broker.store.lane.head }
    this.#size = size
    this.fenced = Promise.all([
      this.#again(() => this.commit()),
      this.#again(() => this.note()),
      this.#again(() => this.write())
    ])
  }

  async commit(): Promise<void> {
    this.acked.messages = await this.broker.commit(this.#size())
  }

  async note(): Promise<void> {
    const n = this.acked.notes + 1
    await this.broker.store.notes.append(Buffer.from(`${n}`), { sync: true })
    this.acked.notes = n
  }

  /** Two rows that are always the same. */
  async write(): Promise<void> {
    const row = { n: this.acked.rows + 1 }
    await this.broker.write({ table: 'meta', key: 'x', row }, { table: 'meta', key: 'y', row })
    this.acked.rows = row.n
  }

  async #again(step: () => Promise<void>): Promise<void> {
    try {
      for (;;) await step()
    } catch (error) {
      if (!isQueueError(error) || error.code !== 'QUEUE_BROKER_FENCED') throw error
    }
  }
}

cluster(
  `nothing that an owner is acked while it is being sealed is lost (${RUNS} runs)`,
  async (t, scene) => {
    const random = testRandom(t)
    const database = scene.database()
    let owner = await scene.broker('a', QUICK)
    let acked: Acked = { messages: 0, notes: 0, rows: 0 }
    for (let run = 0; run < RUNS; run++) {
      const writer = new Writer(owner, () => 1 + random.below(40), acked)
      const enough = random.below(400)
      await until(() => writer.acked.messages >= enough, 'it writes')
      owner.clock.stop() // no sign of life any more; what it is at goes on
      await database.brokers.updateOne({ _id: 'a' }, { $set: { state: 'dead', closedBy: 'b' } })
      const heir = await scene.broker('a', QUICK)
      await writer.fenced
      acked = writer.acked

      const documents = await database.messages
        .find({}, { projection: { record: 0 } })
        .sort({ _id: 1 })
        .toArray()
      const end = documents.findLast(each => each.seal !== undefined)!
      t.deepEqual(
        documents.map(({ _id }) => _id),
        range(1, end._id),
        'the lane is dense up to the seal and ends with it'
      )
      t.true(acked.messages < end._id)
      t.is(heir.contents.nextSequence, end._id + 1)
      const notes = heir.contents.notes.map(note => Number(`${note}`))
      t.deepEqual(notes, range(1, notes.length))
      t.true(notes.length >= acked.notes)
      const [x, y] = ['x', 'y'].map(key => Number(heir.contents.meta.get(key)?.n ?? 0))
      t.is(x, y)
      t.true(x! >= acked.rows)

      const before = await countsOf(database)
      for (const late of [() => writer.commit(), () => writer.note(), () => writer.write()]) {
        for (let n = 0; n < 2; n++) await t.throwsAsync(late, { code: 'QUEUE_BROKER_FENCED' })
      }
      t.deepEqual(await countsOf(database), before)
      acked = { messages: end._id, notes: notes.length, rows: x! }
      owner = heir
    }
  }
)

async function countsOf(database: Database): Promise<number[]> {
  const { messages, notes, changes } = database
  return await Promise.all([messages, notes, changes].map(each => each.countDocuments({})))
}

cluster(
  'a broker whose lane was sealed finds the seal at its next insert, however well it lives',
  async (t, scene) => {
    const a = await scene.broker('a')
    const database = scene.database()
    const patience = new Patience({ clock: a.clock, log: a.log, shownUrl: '' })
    const last = await a.commit(5)
    const options = { lane: 0, incarnation: 1, by: 'b', floor: async () => 0 }
    t.is(await seal(database.messages, options, patience), last + 1)
    t.is(await seal(database.messages, options, patience), last + 1, 'once is enough')
    const refused = { code: 'QUEUE_BROKER_FENCED', message: /taken for dead by b / }
    for (let n = 0; n < 2; n++) await t.throwsAsync(() => a.commit(3), refused)
    t.is(await database.messages.countDocuments({}), last + 1)
    t.is(a.listener.fences.length, 1)
  }
)

// It may come to the end of what it had begun, and then write the same rows again, while another one is doing what it found
// undone: the older rows would be there last.
cluster(
  'rows that a closed broker writes behind what another one has taken from it are refused',
  async (t, scene) => {
    const timeout = { brokerTimeoutMs: 1_000 }
    const gate = new Gate()
    const closed = await scene.broker('closed', {
      ...timeout,
      openDatabase: gatedDatabase(gate, 'changes', 'updateOne')
    })
    await closed.cluster.claim('client')
    await closed.writeSession('client', 7, 'first')
    gate.close()
    const writing = closed.writeSession('client', 7, 'second')
    await gate.until(1) // its rows are there, and it is not marked as done
    const behind = closed.write({ table: 'cursor', key: 7, row: Buffer.from('third') })
    const outcome = Promise.allSettled([writing, behind])
    closed.clock.stop()
    const heir = await scene.broker('heir', timeout)
    await until(() => heir.listener.adopted.length > 0, 'its session is elsewhere')
    gate.open()
    for (const { status } of await outcome) t.is(status, 'rejected')
    t.is(closed.store.problem?.code, 'QUEUE_BROKER_FENCED')
    t.deepEqual(heir.listener.adopted[0]?.cursors.get(7), Buffer.from('second'))
  }
)
