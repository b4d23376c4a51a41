import test, { type ExecutionContext } from 'ava'
import { MemoryStore } from '../plugins/store-memory/memory-store.ts'
import type { Clock } from '../src/clock.ts'
import { wholeOf } from '../src/migrate/whole.ts'
import type { BrokerRow, ClusterListener, ClusterStore, SessionParts } from '../src/store/cluster.ts'
import type { Store, StoreContents } from '../src/store/store.ts'

type Row = Pick<BrokerRow, 'name' | 'state'> & { readonly isEmptied?: boolean }

const SESSION = { sessionId: 7, clientId: 'other', createdAt: 1, expirySeconds: null }
const PARTS: SessionParts = {
  sessions: [SESSION],
  subscriptions: [{ sessionId: 7, filter: 'a', streamId: 1, qos: 1, fromSequence: 3, createdAt: 1 }],
  cursors: new Map([[7, Buffer.from('cursor')]]),
  wills: new Map([[2, Buffer.from('will')]]),
  mayHaveLost: false,
  notes: [],
  replayed: []
}

test('what stopped brokers have left is taken over before it is moved', async t => {
  const shared = new SharedStore([{ name: 'b', state: 'stopped' }])
  shared.taking = async listener => {
    await listener.adopt(PARTS)
    shared.rows = [{ name: 'b', state: 'stopped', isEmptied: true }]
  }
  const contents = await whole(shared)
  t.deepEqual(contents.sessions, [SESSION])
  t.like(contents.subscriptions, PARTS.subscriptions)
  t.deepEqual([...contents.cursors], [...PARTS.cursors])
  t.deepEqual([...contents.wills], [...PARTS.wills])
  t.true(shared.isStopped)
})

test('a broker that lives, or that did not stop cleanly, is a reason not to move', async t => {
  await refused(
    t,
    new SharedStore([{ name: 'b', state: 'live' }]),
    /^brokers live on db \(b\): stop them first$/
  )
  await refused(t, new SharedStore([{ name: 'b', state: 'stopped' }]), /not all taken over \(b\)/)
  const killed = new SharedStore([{ name: 'b', state: 'dead' }])
  killed.taking = listener => listener.adopt({ ...PARTS, notes: [Buffer.from('note')] }).catch(() => {})
  await refused(t, killed, /did not stop cleanly/)
})

async function refused(t: ExecutionContext, shared: SharedStore, message: RegExp): Promise<void> {
  await t.throwsAsync(whole(shared), { code: 'QUEUE_REQUEST_INVALID', message })
  t.true(shared.isStopped)
}

async function whole(shared: SharedStore): Promise<StoreContents> {
  return await wholeOf(shared.store, await shared.contents(), 'db', fastClock())
}

/** Time that passes as fast as it is waited for. */
function fastClock(): Clock {
  let now = 0
  const after: Clock['after'] = (delayMs, callback) => {
    now += delayMs
    const turn = setImmediate(callback)
    return { cancel: () => clearImmediate(turn) }
  }
  return { now: () => now, after, every: after }
}

/** As much of a shared store as is asked here. */
class SharedStore {
  rows: readonly Row[]
  isStopped = false
  /** What it does while it lives among the others. */
  taking: (listener: ClusterListener) => Promise<void> = async () => {}
  readonly #memory = new MemoryStore()

  constructor(rows: readonly Row[]) {
    this.rows = rows
  }

  get store(): Store {
    const cluster = {
      start: async (listener: ClusterListener) => {
        setImmediate(() => void this.taking(listener))
      },
      stop: async () => {
        this.isStopped = true
      },
      brokers: () => [
        { name: 'a', state: 'live', isSelf: true },
        ...this.rows.map(row => ({ ...row, isSelf: false }))
      ]
    } as unknown as ClusterStore
    const { supports, lane, state, notes } = this.#memory
    return { supports, lane, state, notes, cluster, open: () => this.contents(), close: async () => {} }
  }

  async contents(): Promise<StoreContents> {
    const lanes = ['a', ...this.rows.map(({ name }) => name)]
    return {
      ...(await this.#memory.open()),
      lanes: lanes.map((name, lane) => ({ lane, name, headSequence: lane * 2 ** 40 }))
    }
  }
}
