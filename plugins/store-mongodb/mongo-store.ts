import {
  type Clock,
  type ClusterStore,
  errorText,
  type LaneRow,
  type Logger,
  type QueueError,
  type Store,
  type StoreContents
} from '../../src/plugin.ts'
import { ChangesLog } from './changes-log.ts'
import type { ClusterPart, Joined, MakeClusterPart } from './cluster-part.ts'
import { type Database, makeIndexes, type OpenDatabase, openDatabase, shownUrl } from './database.ts'
import { Identity } from './identity.ts'
import { MongoLane } from './lane.ts'
import { LaneHeads } from './lane-heads.ts'
import { MongoNotes } from './notes.ts'
import { checkFormat, readMessages, readRows, readSessions, readStreams } from './opening.ts'
import { Patience } from './patience.ts'
import { startFailure } from './start-failure.ts'
import { MongoState } from './state.ts'

/** What the store works with. */
export interface MongoStoreOptions {
  readonly mongodbUrl: string
  readonly brokerName: string
  readonly brokerTimeoutMs: number
  readonly storeTimeoutMs: number
  readonly clock: Clock
  readonly log: Logger
  readonly makeClusterPart: MakeClusterPart
  /** Opens the database; tests put one in its place that fails where they want. */
  readonly openDatabase?: OpenDatabase
}

/** Largest message taken: a document has room for 16 MiB, and holds the names of topic, publisher and streams as well. */
const MAX_MESSAGE_BYTES = 14 * 1024 * 1024

/** A store in a MongoDB, which several brokers may share. */
export class MongoStore implements Store {
  readonly supports = { isDurable: true }
  readonly maxMessageBytes = MAX_MESSAGE_BYTES
  readonly lane: MongoLane
  readonly state: MongoState
  readonly notes: MongoNotes
  readonly cluster?: ClusterStore
  readonly #options: MongoStoreOptions
  readonly #database: Database
  readonly #identity: Identity
  readonly #patience: Patience
  readonly #heads = new LaneHeads()
  readonly #changesLog: ChangesLog
  readonly #part: ClusterPart
  #isOpen = false

  constructor(options: MongoStoreOptions) {
    this.#options = options
    const { clock, log, brokerName, mongodbUrl, brokerTimeoutMs, storeTimeoutMs } = options
    const database = (options.openDatabase ?? openDatabase)(mongodbUrl)
    const identity = new Identity(brokerName)
    const patience = new Patience({ clock, log, shownUrl: shownUrl(mongodbUrl) })
    const renew = async () => await this.#part.renew?.()
    const parts = { database, identity, patience, clock, log, storeTimeoutMs, heads: this.#heads, renew }
    const changesLog = new ChangesLog(parts)
    this.state = new MongoState({ ...parts, changesLog })
    this.notes = new MongoNotes({ ...parts, state: this.state })
    this.lane = new MongoLane({
      ...parts,
      owedElsewhere: () => this.#part.owedElsewhere,
      committed: () => this.#part.committed?.()
    })
    this.#part = options.makeClusterPart({ ...parts, changesLog, brokerTimeoutMs })
    if (this.#part.cluster) this.cluster = this.#part.cluster
    this.#database = database
    this.#identity = identity
    this.#patience = patience
    this.#changesLog = changesLog
  }

  get problem(): QueueError | null {
    return this.#identity.fence ?? this.#patience.problem
  }

  /** @throws QueueError QUEUE_STORE_LOGIN_REFUSED, QUEUE_STORE_AWAY, QUEUE_DATA_VERSION, QUEUE_BROKER_NAME_IN_USE */
  async open(): Promise<StoreContents> {
    try {
      await this.#connect()
      const joined = await this.#part.join()
      await this.#changesLog.open()
      const contents = await this.#read(joined)
      this.#part.opened?.()
      this.#isOpen = true
      return contents
    } catch (error) {
      this.#part.abandon?.()
      this.#patience.close()
      await this.#database.close()
      const { mongodbUrl, storeTimeoutMs } = this.#options
      throw startFailure(error, shownUrl(mongodbUrl), storeTimeoutMs)
    }
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    // with the database away, what is under way is given up; the next start finds out what became of it
    const timer = this.#options.clock.after(this.#options.storeTimeoutMs, () => this.#patience.close())
    try {
      await this.state.close()
      this.#part.abandon?.()
      if (!this.#identity.fence) await this.#part.leave({ head: this.lane.head, notesHead: this.notes.head })
    } catch (error) {
      this.#options.log.error({ error: errorText(error) }, 'the store could not be closed cleanly')
    } finally {
      timer.cancel()
      this.#patience.close()
      await this.#database.close()
    }
  }

  /** Waits for the database. */
  async #connect(): Promise<void> {
    const limits = { timeoutMs: this.#options.storeTimeoutMs, isRead: true }
    await this.#patience.until(() => this.#database.connect(), limits)
    await this.#patience.until(() => checkFormat(this.#database), limits)
    await this.#patience.until(() => makeIndexes(this.#database), limits)
  }

  async #read(joined: Joined): Promise<StoreContents> {
    const { lane, owner, brokerName, epochs } = this.#identity
    const read = <Result>(action: () => Promise<Result>) => this.#patience.until(action, { isRead: true })
    const notes = await this.notes.open(joined.notesHead)
    const { postings, expiries, heads, index } = await read(() => readMessages(this.#database, lane))
    this.lane.open(index)
    const lanes = this.#lanesOf(joined, heads)
    const streams = await read(() => readStreams(this.#database))
    const rows = await read(() => readRows(this.#database, this.#identity))
    const { documents, ...sessions } = await read(() => readSessions(this.#database, owner))
    for (const { _id, sessionId, epoch } of documents) epochs.set(_id, sessionId, epoch)
    return {
      lastStop: joined.lastStop,
      lane: brokerName,
      laneIndex: lane,
      lanes,
      nextSequence: this.#heads.of(lane) + 1,
      ...{ postings, expiries, notes, streams, ...rows, ...sessions }
    }
  }

  #lanesOf({ lanes }: Joined, found: ReadonlyMap<number, number>): LaneRow[] {
    return lanes.map(({ lane, name, head }) => {
      this.#heads.raise(lane, Math.max(head, found.get(lane) ?? 0))
      return { lane, name, headSequence: this.#heads.of(lane) }
    })
  }
}
