import { readRecord } from '../../src/journal/record.ts'
import { laneOf, laneStart } from '../../src/lane.ts'
import { Serial } from '../../src/serial.ts'
import type {
  BrokerRow,
  ClusterListener,
  ClusterStore,
  EntryRange,
  FollowedMessage,
  KeptEntry,
  LaneRow,
  SessionParts
} from '../../src/store/cluster.ts'
import type {
  CommitBatch,
  LaneStore,
  MetaRow,
  NoteStore,
  Owed,
  SessionRow,
  StateChange,
  StateStore,
  Store,
  StoreContents,
  StreamRow,
  SubscriptionRow
} from '../../src/store/store.ts'
import { REPLAY_STREAM } from '../../src/store/store.ts'

interface Owned {
  owner: number
  session: SessionRow | null
}

/** What several model brokers share: a database in memory in which every step is one turn at most. */
export class ModelDatabase {
  readonly messages = new Map<number, FollowedMessage>()
  readonly heads: number[] = []
  readonly streams: StreamRow[] = []
  readonly clients = new Map<string, Owned>()
  readonly subscriptions = new Map<string, SubscriptionRow>()
  readonly cursors = new Map<number, Buffer>()
  readonly wills = new Map<number, { owner: number; clientId: string; row: Buffer }>()
  readonly retained = new Map<string, { row: Buffer | null; acceptedAt: number; sequence: number }>()
  readonly meta = new Map<string, MetaRow>()
  readonly notes: Buffer[][] = []
  readonly owed = new Map<number, Owed>()
  readonly brokers: ModelBroker[] = []
  readonly nextIds = { session: 1, will: 1 }
  /** Whether brokers are told of each other's messages at once; otherwise when {@link poll} is called. */
  isAutomatic = true

  /** A broker with a lane of its own, not open yet. */
  broker(): ModelBroker {
    const broker = new ModelBroker(this, this.brokers.length)
    this.brokers.push(broker)
    this.heads.push(laneStart(broker.laneIndex))
    this.notes.push([])
    return broker
  }

  /** All living brokers read what the others have committed. */
  poll(): void {
    for (const broker of this.brokers) broker.follow()
  }

  /** One broker is dead: another one takes over what it has left. */
  async takeOver(dead: ModelBroker, by: ModelBroker): Promise<void> {
    dead.isDead = true
    const mark = Number(this.meta.get(`${dead.laneIndex}/replay`)?.through ?? laneStart(dead.laneIndex))
    const moved = [...this.clients].filter(([, { owner }]) => owner === dead.laneIndex)
    for (const [clientId, owned] of moved) {
      if (owned.session) owned.owner = by.laneIndex
      else this.clients.delete(clientId)
      by.arrived(clientId)
    }
    const sessions = moved.flatMap(([, { session }]) => (session ? [session] : []))
    const wills = [...this.wills].filter(([, { owner }]) => owner === dead.laneIndex)
    for (const [, will] of wills) will.owner = by.laneIndex
    const replayed = [...this.messages.values()]
      .filter(
        ({ message, streamIds }) =>
          laneOf(message.sequence) === dead.laneIndex && streamIds[0] === REPLAY_STREAM
      )
      .map(({ message }) => message)
      .filter(({ sequence }) => sequence > mark)
    by.follow()
    await by.listener?.adopt({
      ...this.partsOf(sessions),
      wills: new Map(wills.map(([willId, { row }]) => [willId, row])),
      mayHaveLost: true,
      notes: [...this.notes[dead.laneIndex]!],
      replayed
    })
    this.owed.delete(dead.laneIndex)
    this.notes[dead.laneIndex] = []
  }

  partsOf(sessions: readonly SessionRow[]): Pick<SessionParts, 'sessions' | 'subscriptions' | 'cursors'> {
    const ids = new Set(sessions.map(({ sessionId }) => sessionId))
    return {
      sessions,
      subscriptions: [...this.subscriptions.values()].filter(({ sessionId }) => ids.has(sessionId)),
      cursors: new Map([...this.cursors].filter(([sessionId]) => ids.has(sessionId)))
    }
  }
}

/** One of several brokers on a {@link ModelDatabase}: the store contract and that of a store that is shared. */
export class ModelBroker implements Store, ClusterStore {
  readonly supports = { isDurable: true }
  readonly laneIndex: number
  readonly brokerName: string
  readonly lane: LaneStore
  readonly state: StateStore
  readonly notes: NoteStore
  listener: ClusterListener | null = null
  isDead = false
  /** Runs between the read of new streams and the commit. */
  beforeCommit: () => Promise<void> = async () => {}
  readonly #db: ModelDatabase
  readonly #followed: number[] = []
  readonly #serial = new Serial<string>()
  /** Client ids that have left memory and not come back, or are about to come in. */
  readonly #moving = new Set<string>()
  #knownStreams = 0

  constructor(db: ModelDatabase, laneIndex: number) {
    this.#db = db
    this.laneIndex = laneIndex
    this.brokerName = `b${laneIndex}`
    this.lane = {
      commit: batch => this.#commit(batch),
      read: async sequence => ({ from: sequence, to: sequence, messages: this.#at(sequence), bytes: 100 }),
      release: owed => this.#release(owed),
      sizeBytes: () => 0
    }
    this.state = { write: changes => this.#write(changes) }
    this.notes = {
      append: async note => {
        this.#assertAlive()
        this.#notes.push(Buffer.from(note))
      },
      checkpoint: async changes => {
        this.#assertAlive()
        const before = this.#notes.length
        await this.#write(changes())
        this.#notes.splice(0, before)
      },
      sizeBytes: () => this.#notes.length
    }
  }

  get cluster(): ClusterStore {
    return this
  }

  get lanes(): readonly LaneRow[] {
    return this.#db.heads.map((_, lane) => ({
      lane,
      name: `b${lane}`,
      headSequence: this.#followed[lane] ?? laneStart(lane)
    }))
  }

  async open(): Promise<StoreContents> {
    for (const [lane, head] of this.#db.heads.entries()) this.#followed[lane] = head
    this.#knownStreams = this.#db.streams.length
    return {
      ...this.#db.partsOf(this.#ownSessions()),
      ...{ lastStop: 'process', lane: this.brokerName, laneIndex: this.laneIndex, lanes: this.lanes },
      nextSequence: this.#db.heads[this.laneIndex]! + 1,
      postings: [...this.#db.messages].flatMap(([sequence, { streamIds }]) =>
        streamIds.map(streamId => ({ streamId, sequences: [sequence] }))
      ),
      expiries: [],
      meta: new Map(),
      streams: [...this.#db.streams],
      retained: new Map(
        [...this.#db.retained].flatMap(([topic, { row }]) => (row ? [[topic, row] as const] : []))
      ),
      wills: new Map(
        [...this.#db.wills]
          .filter(([, will]) => will.owner === this.laneIndex)
          .map(([id, { row }]) => [id, row])
      ),
      topics: new Map(),
      notes: [...this.#notes]
    }
  }

  async close(): Promise<void> {}

  async start(listener: ClusterListener): Promise<void> {
    this.listener = listener
    for (const other of this.#db.brokers) {
      if (other !== this)
        other.listener?.laneFound({
          lane: this.laneIndex,
          name: this.brokerName,
          headSequence: laneStart(this.laneIndex)
        })
    }
  }

  retire(): void {}

  async stop(): Promise<void> {
    this.listener = null
  }

  async streamsOf(filters: readonly string[]): Promise<readonly StreamRow[]> {
    return filters.map(filter => {
      const known = this.#db.streams.find(row => row.filter === filter)
      if (known) return known
      const row = { streamId: this.#db.streams.length + 1, filter }
      this.#db.streams.push(row)
      return row
    })
  }

  async newStreams(): Promise<readonly StreamRow[]> {
    const found = this.#db.streams.slice(this.#knownStreams)
    this.#knownStreams = this.#db.streams.length
    return found
  }

  async heads(): Promise<readonly number[]> {
    return this.#db.heads.filter((_, lane) => lane !== this.laneIndex)
  }

  /** One thing after the other for each client id, the releases included, as in a real one. */
  claim(
    clientId: string,
    arrive: (parts: SessionParts) => Promise<unknown> = async () => {}
  ): Promise<SessionParts | null> {
    return this.#serial.run(clientId, async () => {
      const parts = await this.#claim(clientId)
      if (!parts) return null
      this.#moving.add(clientId)
      await arrive(parts).finally(() => this.#moving.delete(clientId))
      return parts
    })
  }

  holds(clientId: string): boolean {
    return this.#db.clients.get(clientId)?.owner === this.laneIndex && !this.#moving.has(clientId)
  }

  /** A client id was given to this broker without being asked for. */
  arrived(clientId: string): void {
    this.#moving.delete(clientId)
  }

  /** Another broker wants a client id. */
  release(clientId: string): Promise<void> {
    return this.#serial.run(clientId, async () => {
      if (this.#db.clients.get(clientId)?.owner !== this.laneIndex) return
      await this.listener?.release(clientId, () => this.#moving.add(clientId))
    })
  }

  async #claim(clientId: string): Promise<SessionParts | null> {
    this.#assertAlive()
    const owned = this.#db.clients.get(clientId)
    if (!owned) {
      this.#db.clients.set(clientId, { owner: this.laneIndex, session: null })
      this.#moving.delete(clientId)
      return null
    }
    if (owned.owner === this.laneIndex && !this.#moving.has(clientId)) return null
    if (owned.owner !== this.laneIndex) await this.#db.brokers[owned.owner]!.release(clientId)
    const after = this.#db.clients.get(clientId)
    if (!after || after.owner !== owned.owner) return await this.#claim(clientId)
    after.owner = this.laneIndex
    this.#moving.delete(clientId)
    const wills = [...this.#db.wills].filter(([, will]) => will.clientId === clientId)
    for (const [, will] of wills) will.owner = this.laneIndex
    return {
      ...this.#db.partsOf(after.session ? [after.session] : []),
      wills: new Map(wills.map(([willId, { row }]) => [willId, row])),
      mayHaveLost: false,
      notes: [],
      replayed: []
    }
  }

  async disown(clientId: string): Promise<void> {
    const owned = this.#db.clients.get(clientId)
    if (owned?.owner === this.laneIndex && !owned.session) this.#db.clients.delete(clientId)
  }

  async *entries(ranges: readonly EntryRange[]): AsyncIterable<readonly KeptEntry[]> {
    for (const { streamIds, after, through } of ranges) {
      for (const [sequence, { message, streamIds: own }] of this.#db.messages) {
        if (sequence <= after || sequence > through || !own.some(id => streamIds.includes(id))) continue
        yield [{ sequence, streamIds: own, expiresAt: message.expiresAt }]
      }
    }
  }

  async reserveIds(kind: 'session' | 'will', count: number): Promise<number> {
    const first = this.#db.nextIds[kind]
    this.#db.nextIds[kind] += count
    return first
  }

  brokers(): readonly BrokerRow[] {
    return []
  }

  call(brokerName: string, method: string, params: unknown): Promise<unknown> {
    const other = this.#db.brokers.find(broker => broker.brokerName === brokerName)
    return other?.listener?.answer(method, params) ?? Promise.reject(new Error('no such broker'))
  }

  /** Reads what others have committed. */
  follow(): void {
    if (!this.listener || this.isDead) return
    for (const [lane, head] of this.#db.heads.entries()) {
      const from = this.#followed[lane] ?? laneStart(lane)
      if (lane === this.laneIndex || from === head) continue
      const messages: FollowedMessage[] = []
      for (let sequence = from + 1; sequence <= head; sequence++) messages.push(...this.#kept(sequence))
      this.#followed[lane] = head
      this.listener.followed(lane, head, messages)
    }
  }

  get #notes(): Buffer[] {
    return this.#db.notes[this.laneIndex]!
  }

  async #commit(batch: CommitBatch): Promise<void> {
    await this.beforeCommit()
    this.#assertAlive()
    for (const buffer of batch.buffers) {
      for (let offset = 0; offset < buffer.length; ) {
        const { message, streamIds, recordBytes } = readRecord(Buffer.from(buffer), offset)
        this.#db.messages.set(message.sequence, { message, streamIds })
        this.#db.heads[this.laneIndex] = message.sequence
        offset += recordBytes
      }
    }
    if (this.#db.isAutomatic) setImmediate(() => this.#db.poll())
  }

  async #write(changes: readonly StateChange[]): Promise<void> {
    this.#assertAlive()
    for (const change of changes) this.#apply(change)
  }

  #apply(change: StateChange): void {
    const db = this.#db
    if (change.table === 'session') {
      const row = change.row
      if (row) db.clients.set(row.clientId, { owner: this.laneIndex, session: row })
      else
        for (const owned of db.clients.values())
          if (owned.session?.sessionId === change.key) owned.session = null
    } else if (change.table === 'cursor') put(db.cursors, change.key, change.row)
    else if (change.table === 'subscription') {
      put(db.subscriptions, `${change.key.sessionId}/${change.key.filter}`, change.row)
    } else if (change.table === 'will') {
      const will = change.row && { owner: this.laneIndex, clientId: change.clientId ?? '', row: change.row }
      put(db.wills, change.key, will)
    } else if (change.table === 'retained') {
      const { acceptedAt = 0, sequence = 0 } = change.order ?? {}
      const known = db.retained.get(change.key)
      const isOlder =
        known &&
        (known.acceptedAt > acceptedAt || (known.acceptedAt === acceptedAt && known.sequence > sequence))
      if (!isOlder) db.retained.set(change.key, { row: change.row, acceptedAt, sequence })
    } else if (change.table === 'meta') put(db.meta, `${this.laneIndex}/${change.key}`, change.row)
  }

  /** Frees what no broker is owed, as far as all have read. */
  async #release(owed: Owed) {
    this.#db.owed.set(this.laneIndex, owed)
    const living = this.#db.brokers.filter(({ isDead, listener }) => !isDead && listener)
    for (const [sequence, { streamIds }] of [...this.#db.messages]) {
      if (laneOf(sequence) !== this.laneIndex) continue
      const isWanted = living.some(({ laneIndex }) => {
        const one = this.#db.owed.get(laneIndex)
        const head = one?.heads?.find(mark => laneOf(mark) === this.laneIndex) ?? laneStart(this.laneIndex)
        if (!one || sequence > head) return true
        return (
          one.pending.includes(sequence) || streamIds.some(id => sequence > one.above(id, this.laneIndex))
        )
      })
      if (!isWanted) this.#db.messages.delete(sequence)
    }
    return { freedBytes: 0, keptBytes: 0 }
  }

  #ownSessions(): SessionRow[] {
    return [...this.#db.clients.values()].flatMap(({ owner, session }) =>
      owner === this.laneIndex && session ? [session] : []
    )
  }

  #kept(sequence: number): FollowedMessage[] {
    const kept = this.#db.messages.get(sequence)
    return kept ? [kept] : []
  }

  #at(sequence: number) {
    return this.#kept(sequence).map(({ message }) => message)
  }

  #assertAlive(): void {
    if (this.isDead) throw new Error('this broker was taken for dead')
  }
}

function put<Key, Row>(rows: Map<Key, Row>, key: Key, row: Row | null): void {
  if (row === null) rows.delete(key)
  else rows.set(key, row)
}
