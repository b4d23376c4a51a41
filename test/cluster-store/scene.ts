import type { ExecutionContext } from 'ava'
import { clusterPartWith } from '../../plugins/store-mongodb/cluster/index.ts'
import { MongoStore } from '../../plugins/store-mongodb/mongo-store.ts'
import { type Clock, systemClock, type Timer } from '../../src/clock.ts'
import type { Bus, ClusterListener, LaneRow, SessionParts } from '../../src/store/cluster.ts'
import type { SessionRow, StateChange, StoreContents } from '../../src/store/store.ts'
import { plainBatch } from '../helpers/batches.ts'
import { RecordingLog } from '../helpers/core.ts'

/** The clock of the machine, as a process sees it that can be stopped (SIGSTOP) and woken: no timer goes off meanwhile. */
export class StoppableClock implements Clock {
  #isStopped = false
  #late: (() => void)[] = []

  now(): number {
    return systemClock.now()
  }

  after(delayMs: number, callback: () => void): Timer {
    return systemClock.after(delayMs, () => this.#run(callback))
  }

  every(periodMs: number, callback: () => void): Timer {
    return systemClock.every(periodMs, () => {
      if (!this.#isStopped) callback()
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
  onRelease: (clientId: string) => Promise<void> = async () => {}
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

  async release(clientId: string): Promise<void> {
    this.released.push(clientId)
    await this.onRelease(clientId)
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

  constructor(name: string, url: string, brokerTimeoutMs: number) {
    this.name = name
    this.store = new MongoStore({
      ...{
        mongodbUrl: url,
        brokerName: name,
        brokerTimeoutMs,
        storeTimeoutMs: 20_000,
        makeClusterPart: clusterPartWith(0)
      },
      ...{ clock: this.clock, log: this.log }
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

/** Starts a broker; it ends with the test. */
export async function startBroker(
  t: ExecutionContext,
  url: string,
  name: string,
  { brokerTimeoutMs = 60_000, bus, isIdle = false }: BrokerOptions = {}
): Promise<TestBroker> {
  const broker = new TestBroker(name, url, brokerTimeoutMs)
  broker.contents = await broker.store.open()
  t.teardown(async () => {
    await broker.end()
    broker.clock.wake()
    await broker.store.close().catch(() => {})
  })
  if (!isIdle) await broker.cluster.start(broker.listener, bus ?? null)
  return broker
}

/** The row of a session that never expires. */
export function sessionOf(clientId: string, sessionId: number): SessionRow {
  return { sessionId, clientId, createdAt: 1, expirySeconds: null, disconnectedAt: null }
}

/** Waits until something is so. */
export async function until(what: () => unknown, problem: string, timeoutMs = 15_000): Promise<void> {
  for (let leftMs = timeoutMs; !(await what()); leftMs -= 10) {
    if (leftMs <= 0) throw new Error(`it never came about: ${problem}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
