import {
  type BrokerRow,
  type Bus,
  type ClusterListener,
  type ClusterStore,
  type EntryRange,
  errorText,
  type KeptEntry,
  type LaneRow,
  laneStart,
  monotonicMs,
  type SessionParts,
  type StreamRow,
  type Timer
} from '../../../src/plugin.ts'
import { failureOf } from '../database.ts'
import { Adoption } from './adoption.ts'
import { Claims, RELEASE } from './claims.ts'
import { durableHeads } from './durable-heads.ts'
import { entriesOf } from './entries.ts'
import { Estates } from './estates.ts'
import { Follower } from './follower.ts'
import type { Ground } from './ground.ts'
import { Handovers } from './handovers.ts'
import { heartbeat, signOfLife } from './heartbeat.ts'
import { reserveIds } from './ids.ts'
import { away, Mailbox } from './mailbox.ts'
import { Others } from './others.ts'
import { Rounds } from './rounds.ts'
import { StreamNews } from './stream-news.ts'
import { Streams } from './streams.ts'
import { Tombstones } from './tombstones.ts'

const STOPPING = 'this broker is stopping'
/** One of so many rounds also looks for what is rare. */
const RARE = 20

/** Told on the bus: a lane has new messages; somebody has a call or an answer. Both are found without it, later. */
const HEAD_CHANNEL = 'head'
const CALL_CHANNEL = 'call'

/** This broker among those that share the database. */
export class MongoCluster implements ClusterStore {
  readonly handovers: Handovers
  readonly #ground: Ground
  readonly #others: Others
  readonly #streams: Streams
  readonly #news: StreamNews
  readonly #estates: Estates
  readonly #tombstones: Tombstones
  readonly #adoption: Adoption
  readonly #mailbox: Mailbox
  readonly #claims: Claims
  readonly #follower: Follower
  readonly #rounds: Rounds
  #lanes: readonly LaneRow[] = []
  #listener: ClusterListener | null = null
  #bus: Bus | null = null
  #roundCount = 0
  #pulse: Timer | null = null
  #isBeating = false

  /** @param entryMs see {@link Handovers} */
  constructor(ground: Ground, entryMs: number) {
    this.#ground = ground
    const others = new Others(ground)
    const handovers = new Handovers(ground, entryMs)
    const listener = () => this.#listener
    const hint = () => this.#bus?.tell(CALL_CHANNEL, Buffer.alloc(0))
    this.handovers = handovers
    this.#others = others
    this.#streams = new Streams({ ground, statementCount: () => handovers.count })
    this.#news = new StreamNews(ground)
    this.#estates = new Estates(ground, others)
    this.#tombstones = new Tombstones(ground)
    this.#adoption = new Adoption({ ground, estates: this.#estates, handovers, listener })
    this.#mailbox = new Mailbox({ ground, others, answer: (...call) => this.#answer(...call), hint })
    this.#rounds = new Rounds(ground.clock, () => this.#round())
    const { rounds, mailbox } = { rounds: this.#rounds, mailbox: this.#mailbox }
    const settled = (clientId: string) => this.#adoption.settled(clientId)
    this.#claims = new Claims({ ground, others, mailbox, rounds, handovers, listener, settled })
    this.#follower = new Follower(ground, {
      laneFound: lane => this.#listener?.laneFound(lane),
      followed: (...part) => this.#listener?.followed(...part)
    })
  }

  get brokerName(): string {
    return this.#ground.identity.brokerName
  }

  get lanes(): readonly LaneRow[] {
    return this.#lanes.map(({ lane, name }) => ({ lane, name, headSequence: this.#followed(lane) }))
  }

  /** It has its name: signs of life while the start goes on, whatever takes long in it. */
  live(): void {
    const { clock, roundMs } = this.#ground
    this.#pulse = clock.every(roundMs, () => this.#beat())
  }

  /** What is there at this moment is read by the store after this. */
  async joined(lanes: readonly { readonly lane: number; readonly name: string }[]): Promise<void> {
    this.#lanes = lanes.map(({ lane, name }) => ({ lane, name, headSequence: laneStart(lane) }))
    await this.#streams.begin()
  }

  /** The store has handed over everything: the lanes up to their heads. */
  opened(): void {
    const { heads, identity } = this.#ground
    for (const { lane } of this.#lanes) {
      if (lane !== identity.lane) this.#follower.begin(lane, Math.max(heads.of(lane), laneStart(lane)))
    }
  }

  /** The own lane has new messages. */
  committed(): void {
    this.#bus?.tell(HEAD_CHANNEL, Buffer.of(this.#ground.identity.lane))
  }

  /** @see ClusterPart.renew */
  async renew(): Promise<void> {
    const { identity, brokerTimeoutMs } = this.#ground
    if (monotonicMs() - identity.seenAtMs >= brokerTimeoutMs) await signOfLife(this.#ground)
  }

  async start(listener: ClusterListener, bus: Bus | null): Promise<void> {
    this.#listener = listener
    this.#bus = bus
    bus?.listen(HEAD_CHANNEL, ([lane]) => this.#heardOf(lane))
    bus?.listen(CALL_CHANNEL, () => this.#inBackground(() => this.#mailbox.round()))
    this.#pulse?.cancel()
    this.#ground.identity.onFenced(error => this.#fenced(error))
    await this.#rounds.start(this.#ground.roundMs)
  }

  retire(): void {
    this.#adoption.stop()
    this.#claims.retire()
    this.#mailbox.stop(STOPPING)
  }

  /** The start has failed. */
  abandon(): void {
    this.#pulse?.cancel()
  }

  async stop(): Promise<void> {
    this.#adoption.stop()
    this.#pulse?.cancel()
    this.#mailbox.stop(STOPPING)
    await Promise.all([this.#rounds.stop(), this.#follower.stop()])
    this.#listener = null
  }

  async streamsOf(filters: readonly string[]): Promise<readonly StreamRow[]> {
    this.#check()
    return await this.#streams.of(filters)
  }

  async newStreams(): Promise<readonly StreamRow[]> {
    this.#check()
    return await this.#streams.fresh()
  }

  async heads(): Promise<readonly number[]> {
    this.#check()
    return await durableHeads(this.#ground)
  }

  claim(clientId: string, arrive?: (parts: SessionParts) => Promise<unknown>): Promise<SessionParts | null> {
    return this.#claims.claim(clientId, arrive)
  }

  holds(clientId: string): boolean {
    return this.#claims.holds(clientId)
  }

  async disown(clientId: string): Promise<void> {
    await this.#claims.disown(clientId)
  }

  entries(ranges: readonly EntryRange[]): AsyncIterable<readonly KeptEntry[]> {
    return entriesOf(this.#ground, ranges)
  }

  async reserveIds(kind: 'session' | 'will', count: number): Promise<number> {
    this.#check()
    return await reserveIds(this.#ground, kind, count)
  }

  brokers(): readonly BrokerRow[] {
    return this.#others.rows(this.brokerName, lane => this.#followed(lane))
  }

  async call(brokerName: string, method: string, params: unknown): Promise<unknown> {
    this.#check()
    return await this.#mailbox.call(brokerName, method, params)
  }

  #followed(lane: number): number {
    const { heads, identity } = this.#ground
    return lane === identity.lane
      ? Math.max(heads.of(lane), laneStart(lane))
      : this.#follower.followedOf(lane)
  }

  #check(): void {
    const { fence } = this.#ground.identity
    if (fence) throw fence
  }

  #fenced(error: Error): void {
    void this.#rounds.stop()
    this.#adoption.stop()
    this.#mailbox.stop(errorText(error))
    this.#listener?.fenced(error)
  }

  /** One round. Nothing in it takes long: what may, goes on in the background, so that the next heartbeat is in time. */
  async #round(): Promise<void> {
    const ground = this.#ground
    try {
      if (!(await heartbeat(ground, this.#others))) return
      for (const { _id: name, lane } of this.#others.records) {
        if (!this.#lanes.some(known => known.lane === lane))
          this.#lanes = [...this.#lanes, { lane, name, headSequence: laneStart(lane) }]
        this.#follow(lane, name)
      }
      await this.#mailbox.round()
      await this.#estates.claimAll()
      this.#inBackground(() => this.#claims.round())
      if (this.#roundCount++ % RARE === 0) await this.#rare()
      this.#adoption.start()
      ground.patience.succeeded()
    } catch (error) {
      this.#failed(error)
    }
  }

  async #rare(): Promise<void> {
    const gone = await this.#news.gone()
    if (gone.length > 0) this.#listener?.streamsGone(gone)
    await this.#mailbox.clear()
    await this.#estates.sweep()
    this.#inBackground(() => this.#tombstones.sweep())
  }

  /** A sign of life while the start goes on. */
  #beat(): void {
    if (this.#isBeating) return
    this.#isBeating = true
    const over = () => {
      this.#isBeating = false
    }
    heartbeat(this.#ground, this.#others).then(over, over)
  }

  #heardOf(lane: number | undefined): void {
    const known = this.#lanes.find(each => each.lane === lane)
    if (known && !this.#rounds.isOver) this.#follow(known.lane, known.name)
  }

  #follow(lane: number, name: string): void {
    if (lane !== this.#ground.identity.lane) this.#inBackground(() => this.#follower.follow(lane, name))
  }

  async #answer(method: string, params: unknown, from: number): Promise<unknown> {
    if (method !== RELEASE) {
      if (!this.#listener) throw away(this.brokerName, 'it is stopping')
      return await this.#listener.answer(method, params)
    }
    // one that was taken for dead gets no session; one that has just begun may not have been seen
    if (!this.#others.living(from)) await this.#rounds.next()
    if (!this.#others.living(from)) throw away(this.brokerName, 'who asks is taken for dead')
    return await this.#claims.release((params as { readonly clientId: string }).clientId)
  }

  #inBackground(task: () => Promise<void>): void {
    task().catch(error => this.#failed(error))
  }

  #failed(error: unknown): void {
    const { kind } = failureOf(error)
    this.#tombstones.disturbed()
    if (kind === 'unknown' || kind === 'not-sent') this.#ground.patience.failed(error)
    else this.#ground.log.error({ err: error }, `a round among the brokers failed: ${errorText(error)}`)
  }
}
