import type { Clock } from '../clock.ts'
import { follow } from '../delivery/acceptance.ts'
import type { Shared, SharedBegin } from '../delivery/shared.ts'
import { isDirect } from '../delivery/subscription.ts'
import { errorText, QueueError } from '../errors.ts'
import type { LaneNames } from '../lane-names.ts'
import type { Logger } from '../log.ts'
import type { Stages } from '../stages.ts'
import type {
  Bus,
  ClusterListener,
  ClusterStore,
  FollowedMessage,
  LaneRow,
  SessionParts
} from '../store/cluster.ts'
import { Arrivals } from './arrivals.ts'
import { IdBlock } from './id-block.ts'
import { decodePublish0, encodePublish0, QOS0_CHANNEL } from './wire0.ts'

/** What a member of a cluster works with. */
export interface MemberOptions {
  readonly cluster: ClusterStore
  readonly bus: Bus | null
  readonly laneNames: LaneNames
  readonly log: Logger
  readonly clock: Clock
  /** Answers what other brokers ask. */
  readonly answer: (method: string, params: unknown) => Promise<unknown>
  /** This broker was taken for dead: it must start anew. */
  readonly fenced: (error: QueueError) => void
}

/** This server among the brokers that share its store: what it asks of them, and what they ask of it. */
export class Member implements ClusterListener, Shared {
  readonly #options: MemberOptions
  readonly #sessionIds: IdBlock
  readonly #willIds: IdBlock
  #stages: Stages | null = null
  #arrivals: Arrivals | null = null

  constructor(options: MemberOptions) {
    this.#options = options
    const { cluster } = options
    this.#sessionIds = new IdBlock(count => cluster.reserveIds('session', count))
    this.#willIds = new IdBlock(count => cluster.reserveIds('will', count))
  }

  /** The stages are there, with all that the store has handed over at the start. */
  async join(stages: Stages): Promise<void> {
    const { cluster, bus } = this.#options
    this.#stages = stages
    this.#arrivals = new Arrivals(stages, cluster, this.#options)
    stages.fanOut.elsewhere = bus && (message => bus.tell(QOS0_CHANNEL, encodePublish0(message)))
    bus?.listen(QOS0_CHANNEL, bytes => this.#heard(bytes))
    await cluster.start(this, bus)
  }

  /** The server is about to stop: nothing more comes in from others. */
  retire(): void {
    this.#arrivals?.stop()
    this.#options.cluster.retire()
  }

  /** Leaves the others; what is stored stays for them. */
  leave(): Promise<void> {
    return this.#options.cluster.stop()
  }

  // ---- what sessions ask

  async claim(clientId: string): Promise<void> {
    await this.#options.cluster.claim(clientId, async parts => await this.#arrivals?.enter(parts))
  }

  holds(clientId: string): boolean {
    return this.#options.cluster.holds(clientId)
  }

  disown(clientId: string): Promise<void> {
    return this.#options.cluster.disown(clientId)
  }

  async begin(filters: readonly string[]): Promise<SharedBegin> {
    const { cluster } = this.#options
    const [rows, heads] = await Promise.all([cluster.streamsOf(filters), cluster.heads()])
    for (const row of rows) this.#stages?.router.share(row)
    return { streamIds: new Map(rows.map(({ filter, streamId }) => [filter, streamId])), heads }
  }

  sessionId(): Promise<number> {
    return this.#sessionIds.next()
  }

  willId(): Promise<number> {
    return this.#willIds.next()
  }

  // ---- what others ask

  laneFound(lane: LaneRow): void {
    this.#options.laneNames.add(lane)
    this.#stages?.journal.followed(lane.headSequence, [])
  }

  followed(_lane: number, headSequence: number, messages: readonly FollowedMessage[]): void {
    const stages = this.#stages
    if (!stages) return
    stages.journal.followed(
      headSequence,
      messages.map(({ message }) => message)
    )
    for (const one of messages) follow(stages, one)
  }

  streamsGone(streamIds: readonly number[]): void {
    this.#stages?.router.unshare(streamIds)
  }

  async release(clientId: string, left: () => void): Promise<void> {
    await this.#stages?.sessions.handOver(clientId, left)
  }

  async adopt(parts: SessionParts): Promise<void> {
    const stages = this.#stages
    const sessions = await this.#arrivals?.enter(parts)
    if (!stages || !sessions) return
    // the notes that they rest on go with the broker that wrote them
    await stages.checkpoint.write(sessions)
    for (const session of sessions) {
      if (session.expirySeconds === 0 && !session.isEnded) stages.sessions.detach(session)
    }
  }

  answer(method: string, params: unknown): Promise<unknown> {
    return this.#options.answer(method, params)
  }

  fenced(cause: Error): void {
    const error =
      cause instanceof QueueError
        ? cause
        : new QueueError('QUEUE_BROKER_FENCED', {
            cause,
            detail: {
              name: this.#options.cluster.brokerName,
              by: 'another broker',
              problem: errorText(cause)
            }
          })
    this.#stages?.journal.fail(error)
    this.#options.fenced(error)
  }

  /** A publish of QoS 0 that another broker has accepted. */
  #heard(bytes: Buffer): void {
    const stages = this.#stages
    if (!stages) return
    try {
      const message = decodePublish0(bytes)
      const topic = message.topic()
      if (!isDirect(topic)) stages.fanOut.publish(stages.router.route(topic), message, () => {})
    } catch (error) {
      this.#options.log.warn({ err: error }, `a message of another broker was dropped: ${errorText(error)}`)
    }
  }
}
