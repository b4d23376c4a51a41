import type { ExecutionContext, TestFn } from 'ava'
import { clusterPartWith } from '../../plugins/store-mongodb/cluster/index.ts'
import { type Database, type OpenDatabase, openDatabase } from '../../plugins/store-mongodb/database.ts'
import { COLLECTIONS } from '../../plugins/store-mongodb/documents.ts'
import { MongoStore } from '../../plugins/store-mongodb/mongo-store.ts'
import { type Clock, systemClock, type Timer } from '../../src/clock.ts'
import type { Settings } from '../../src/config/settings.ts'
import type { Bus, ClusterListener, LaneRow, SessionParts } from '../../src/store/cluster.ts'
import type { SessionRow, StateChange, StoreContents } from '../../src/store/store.ts'
import { plainBatch } from '../helpers/batches.ts'
import { RecordingLog, startCore } from '../helpers/core.ts'
import type { Gate } from '../helpers/gate.ts'
import { mongodbOfFile } from '../helpers/mongodb.ts'

/** So long that nobody is taken for dead. */
const TIMEOUT_MS = 60_000

/** The clock of the machine, as a process sees it that can be stopped (SIGSTOP) and woken: no timer goes off meanwhile. */
export class StoppableClock implements Clock {
  #isStopped = false
  #late: (() => void)[] = []
  #aheadMs = 0
  /** How often something that is done at a steady pace was done. */
  ticks = 0

  now(): number {
    return systemClock.now() + this.#aheadMs
  }

  /** The time of day is later from now on; no timer goes off for that. */
  pass(ms: number): void {
    this.#aheadMs += ms
  }

  after(delayMs: number, callback: () => void): Timer {
    return systemClock.after(delayMs, () => this.#run(callback))
  }

  every(periodMs: number, callback: () => void): Timer {
    return systemClock.every(periodMs, () => {
      if (this.#isStopped) return
      callback()
      this.ticks++
    })
  }

  stop(): void {
    this.#isStopped = true
  }

  wake(): void {
    this.#isStopped = false
    for (const callback of this.#late.splice(0)) callback()
  }

  #run(callback: () => void): void {
    if (this.#isStopped) this.#late.push(callback)
    else callback()
  }
}

/** What a listener was told, and what it answers; each part may be replaced by a test. */
export class ListenerModel implements ClusterListener {
  readonly lanes: LaneRow[] = []
  readonly sequences = new Map<number, number[]>()
  readonly heads = new Map<number, number>()
  readonly streams: number[] = []
  readonly released: string[] = []
  readonly adopted: SessionParts[] = []
  readonly fences: Error[] = []
  onRelease: (clientId: string, left: () => void) => Promise<void> = async (_clientId, left) => left()
  onAdopt: (parts: SessionParts) => Promise<void> = async () => {}
  onAnswer: (method: string, params: unknown) => Promise<unknown> = async (method, params) => ({
    method,
    params
  })

  laneFound(lane: LaneRow): void {
    this.lanes.push(lane)
  }

  followed(lane: number, headSequence: number, messages: Parameters<ClusterListener['followed']>[2]): void {
    const known = this.sequences.get(lane) ?? []
    this.sequences.set(lane, known)
    known.push(...messages.map(({ message }) => message.sequence))
    this.heads.set(lane, headSequence)
  }

  streamsGone(streamIds: readonly number[]): void {
    this.streams.push(...streamIds)
  }

  async release(clientId: string, left: () => void): Promise<void> {
    this.released.push(clientId)
    await this.onRelease(clientId, left)
  }

  async adopt(parts: SessionParts): Promise<void> {
    this.adopted.push(parts)
    await this.onAdopt(parts)
  }

  answer(method: string, params: unknown): Promise<unknown> {
    return this.onAnswer(method, params)
  }

  fenced(error: Error): void {
    this.fences.push(error)
  }
}

/** How a broker of a test is started. */
export interface BrokerOptions {
  readonly brokerTimeoutMs?: number
  readonly bus?: Bus
  /** It is opened, and does not begin to live among the others. */
  readonly isIdle?: boolean
  /** In place of the one of the store. */
  readonly openDatabase?: OpenDatabase
}

/** How the stages of a server are started. */
export interface CoreOptions {
  readonly brokerTimeoutMs?: number
  readonly settings?: Partial<Settings>
}

/** A store on a database that others use as well. */
export class TestBroker {
  readonly name: string
  readonly store: MongoStore
  readonly listener = new ListenerModel()
  readonly clock = new StoppableClock()
  readonly log = new RecordingLog()
  contents!: StoreContents
  #isGone = false

  constructor(name: string, url: string, brokerTimeoutMs: number, open: OpenDatabase = openDatabase) {
    this.name = name
    this.store = new MongoStore({
      ...{
        mongodbUrl: url,
        brokerName: name,
        brokerTimeoutMs,
        storeTimeoutMs: 20_000,
        makeClusterPart: clusterPartWith(0)
      },
      ...{ clock: this.clock, log: this.log, openDatabase: open }
    })
  }

  get cluster() {
    return this.store.cluster!
  }

  get lane(): number {
    return this.contents.laneIndex ?? 0
  }

  /** Commits so many messages of some streams behind what the own lane has. @returns the last sequence */
  async commit(count: number, streamIds: readonly number[] = [1]): Promise<number> {
    const first = this.store.lane.head + 1
    await this.store.lane.commit(plainBatch(first, count, { streamIds }))
    return first + count - 1
  }

  write(...changes: StateChange[]): Promise<void> {
    return this.store.state.write(changes, { sync: true })
  }

  /** Writes a session with a cursor. The client id is claimed before. */
  async writeSession(clientId: string, sessionId: number, cursor = 'cursor'): Promise<void> {
    await this.write(
      { table: 'session', key: sessionId, row: sessionOf(clientId, sessionId) },
      { table: 'cursor', key: sessionId, row: Buffer.from(cursor) }
    )
  }

  /** Waits until this broker knows that another one lives. */
  sees(name: string): Promise<void> {
    const isLive = () => this.cluster.brokers().some(row => row.name === name && row.state === 'live')
    return until(isLive, `${this.name} sees ${name}`)
  }

  /** As kill -9: nothing more is done, and nothing is said. */
  kill(): void {
    this.#isGone = true
    this.clock.stop()
    void this.cluster.stop()
  }

  /** Ends cleanly. */
  async end(): Promise<void> {
    if (this.#isGone) return
    this.#isGone = true
    await this.cluster.stop()
    await this.store.close()
  }
}

/** A database of its own, and brokers on it that end with the test. */
export class Scene {
  readonly url: string
  readonly #t: ExecutionContext

  constructor(t: ExecutionContext, url: string) {
    this.#t = t
    this.url = url
  }

  /** Starts a broker. */
  broker(name: string, options?: BrokerOptions): Promise<TestBroker> {
    return startBroker(this.#t, this.url, name, options)
  }

  /** Starts brokers one after the other, so that their lanes are in this order. */
  async brokers<Names extends readonly string[]>(names: readonly [...Names], options?: BrokerOptions) {
    const started: TestBroker[] = []
    for (const name of names) started.push(await this.broker(name, options))
    return started as { [Place in keyof Names]: TestBroker }
  }

  /** Starts the stages of a server on a store of its own, with the clock of a broker that can be stopped. */
  async core(name: string, { brokerTimeoutMs = TIMEOUT_MS, settings = {} }: CoreOptions = {}) {
    const broker = new TestBroker(name, this.url, brokerTimeoutMs)
    const { store, clock } = broker
    const started = await startCore(this.#t, { store, clock, settings })
    this.#t.teardown(() => clock.wake()) // before the core is closed
    return { broker, ...started }
  }

  /** The collections themselves, past all brokers. */
  database(): Database {
    const database = openDatabase(this.url)
    this.#t.teardown(() => database.close())
    return database
  }
}

/** Defines a test that gets a scene. */
export type ClusterTest = (
  title: string,
  body: (t: ExecutionContext, scene: Scene) => Promise<unknown>
) => void

/**
 * For the tests of a file: they have one server of MongoDB, and are skipped where there is none.
 * @param isSerial one at a time.
 */
export function clusterTests(test: TestFn, isSerial = false): ClusterTest {
  const mongodb = mongodbOfFile(test)
  const define = isSerial ? test.serial : test
  return (title, body) =>
    define(title, async t => {
      const url = mongodb.database(t)
      if (url) await body(t, new Scene(t, url))
    })
}

async function startBroker(
  t: ExecutionContext,
  url: string,
  name: string,
  { brokerTimeoutMs = TIMEOUT_MS, bus, isIdle = false, openDatabase: open }: BrokerOptions = {}
): Promise<TestBroker> {
  const broker = new TestBroker(name, url, brokerTimeoutMs, open)
  broker.contents = await broker.store.open()
  t.teardown(async () => {
    await broker.end()
    broker.clock.wake()
    await broker.store.close().catch(() => {})
  })
  if (!isIdle) await broker.cluster.start(broker.listener, bus ?? null)
  return broker
}

/** A database in which one operation on one collection goes through a gate before it is sent. */
export function gatedDatabase(
  gate: Gate,
  key: 'changes' | 'sessions',
  operation: 'distinct' | 'updateOne'
): OpenDatabase {
  type Gated = Record<typeof operation, (...asked: unknown[]) => Promise<unknown>>
  const gated = (found: unknown) => {
    const send = (found as Gated)[operation].bind(found)
    const late = async (...asked: unknown[]) => {
      await gate.pass()
      return await send(...asked)
    }
    return Object.assign(found as Gated, { [operation]: late })
  }
  return url => {
    const database = openDatabase(url)
    const collection = (name: string) =>
      name === COLLECTIONS[key] ? gated(database.collection(name)) : database.collection(name)
    return Object.create(database, {
      collection: { value: collection },
      [key]: { value: gated(database[key]) }
    })
  }
}

/** The row of a session that never expires. */
export function sessionOf(clientId: string, sessionId: number): SessionRow {
  return { sessionId, clientId, createdAt: 1, expirySeconds: null, disconnectedAt: null }
}

/** For the rest of a test, all that measures durations in this process finds that so much more time has passed. */
export function passDurations(t: ExecutionContext, ms: number): void {
  const { performance } = globalThis
  const now = performance.now
  performance.now = () => now.call(performance) + ms
  t.teardown(() => {
    performance.now = now
  })
}

/** Waits until something is so. */
export async function until(what: () => unknown, problem: string, timeoutMs = 15_000): Promise<void> {
  for (let leftMs = timeoutMs; !(await what()); leftMs -= 10) {
    if (leftMs <= 0) throw new Error(`it never came about: ${problem}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
