import { inspect } from './admin/inspect.ts'
import { Messages } from './admin/messages.ts'
import { Publishing } from './admin/publish.ts'
import { Steering } from './admin/steer.ts'
import { Broker, type InProcess, isSystem, type PluginGates, sessionsView } from './broker/broker.ts'
import type { Clock, Timer } from './clock.ts'
import type { Peers } from './cluster/calls.ts'
import { answerControl, ClusterControl } from './cluster/calls-control.ts'
import type { Member } from './cluster/member.ts'
import { type Membership, membershipOf } from './cluster/membership.ts'
import type { Settings } from './config/settings.ts'
import type { Control, MessagePublisher } from './control.ts'
import { enterExpiries, recoverSessions } from './delivery/recovery.ts'
import { recount, replay } from './delivery/replay.ts'
import { inTurns } from './delivery/turns.ts'
import type { Directory } from './directory.ts'
import { errorText, QueueError } from './errors.ts'
import { Events } from './events.ts'
import { Front } from './front/front.ts'
import type { Logger } from './log.ts'
import type { MessageReader } from './messages.ts'
import { buildStages, type Stages } from './stages.ts'
import type { Bus } from './store/cluster.ts'
import { FILLING_KEY, type Store, type StoreContents } from './store/store.ts'

/** While it closes it looks so often whether the store is away. */
const CLOSE_LOOK_MS = 500

/** What a core is made of. */
export interface CoreOptions {
  readonly store: Store
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Logger
  /** Told of what happens; left out: nobody listens. */
  readonly events?: Events | undefined
  /** What plugins decide. */
  readonly gates?: readonly PluginGates[] | undefined
  /** An Aedes of the application, which listens; left out: one is made. */
  readonly aedes?: Broker['aedes'] | undefined
  /** Carries what may be lost to the other brokers on a store that is shared. */
  readonly bus?: Bus | null | undefined
  /** Answers what other brokers ask of this one; and told when they took it for dead: it must start anew. */
  readonly fenced?: ((error: QueueError) => void) | undefined
}

/**
 * The stages of the server, put together: connections in front, Aedes beside, sessions and journal behind, a store
 * below. It listens to nothing by itself; give its front the connections.
 */
export class Core {
  readonly front: Front
  readonly broker: Broker
  readonly directory: Directory
  readonly messages: MessageReader
  readonly control: Control
  readonly publisher: MessagePublisher
  /** The brokers that share the store; null for a server that is alone. */
  readonly peers: Peers | null
  readonly #stages: Stages
  readonly #timer: Timer
  readonly #options: CoreOptions
  readonly #member: Member | null

  private constructor(
    stages: Stages,
    broker: Broker,
    contents: StoreContents,
    options: CoreOptions,
    { member, calls, laneNames }: Membership
  ) {
    const { clock, log, settings } = options
    this.#stages = stages
    this.#member = member
    this.#options = options
    this.broker = broker
    stages.broker = broker
    this.front = new Front({ ...stages, broker, clock, log, limits: settings })
    stages.front = this.front
    const { lane } = options.store
    const laneName = contents.lane
    const front = this.front
    this.directory = inspect({ ...stages, front, clock, lane, laneName, startedAt: clock.now() })
    this.messages = new Messages({ ...stages, clock, laneNames })
    const control = new Steering({ ...stages, broker })
    this.control = calls ? new ClusterControl(control, calls) : control
    if (calls) answerControl(calls, control)
    this.peers = calls
    const { maxTopicLevels, maxPacketBytes } = settings
    this.publisher = new Publishing({ ...stages, broker, laneNames, maxTopicLevels, maxPacketBytes })
    this.#timer = clock.every(settings.checkpointMs, () => this.settle())
  }

  /** Opens the store, recovers the sessions, starts Aedes. @throws QueueError of the store */
  static async open(asked: CoreOptions): Promise<Core> {
    const settings = fittingStore(asked.settings, asked.store)
    const options = { ...asked, settings, events: asked.events ?? new Events(asked.log) }
    const { store, log, events, aedes } = options
    const contents = await store.open()
    try {
      const membership = membershipOf(options, contents)
      const { member } = membership
      const stages = buildStages(options, contents, member)
      await recover(stages, contents, log)
      const { connectTimeoutMs } = settings
      const broker = await Broker.create(
        { brokerId: contents.lane, connectTimeoutMs, log, events, aedes },
        inProcess(stages, log)
      )
      broker.gates = options.gates ?? []
      const core = new Core(stages, broker, contents, options, membership)
      await member?.join(stages)
      return core
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** Why nothing is accepted; null while all is well. */
  get failure(): Error | null {
    return this.#stages.journal.failure ?? this.#stages.store.problem ?? null
  }

  /** Stores the cursors and frees what is acked; done again and again by the clock. */
  async settle(): Promise<void> {
    await this.#stages.checkpoint.run()
    await this.#stages.janitor.run()
    await inTurns(this.#stages.expiry.settle())
  }

  /** Acks what was accepted, closes all connections, stores what there is to store, closes the store. */
  async close(): Promise<void> {
    const { journal, sessions, notes, store } = this.#stages
    this.#timer.cancel()
    this.broker.closing()
    sessions.stop()
    this.#stages.wills.stop()
    this.#member?.retire()
    this.front.stopReading()
    await journal.close()
    await this.#unlessAway(notes.drained()) // acks may wait for it together with deliveries
    await this.front.close()
    await this.broker.close()
    await this.#unlessAway(sessions.idle())
    await this.#unlessAway(notes.drained())
    await this.#unlessAway(this.settle())
    await this.#member?.leave()
    await store.close()
  }

  /**
   * Waits for work, but not for ever for a store that is away, or takes nothing from us any more: what is not written
   * then, is as after a kill.
   */
  async #unlessAway(work: Promise<void>): Promise<void> {
    const { store } = this.#stages
    const { clock, settings } = this.#options
    let waitedMs = 0
    let timer: Timer | undefined
    const tooLong = new Promise<void>(resolve => {
      const look = () => {
        waitedMs = store.problem ? waitedMs + CLOSE_LOOK_MS : 0
        const isFinal = store.problem?.code === 'QUEUE_BROKER_FENCED'
        if (isFinal || waitedMs > settings.storeTimeoutMs) resolve()
        else timer = clock.after(CLOSE_LOOK_MS, look)
      }
      timer = clock.after(CLOSE_LOOK_MS, look)
    })
    await Promise.race([work, tooLong])
    timer?.cancel()
  }
}

/** A packet that the store could not take is refused when it comes. */
function fittingStore(settings: Settings, { maxMessageBytes = Number.POSITIVE_INFINITY }: Store): Settings {
  return maxMessageBytes >= settings.maxPacketBytes
    ? settings
    : { ...settings, maxPacketBytes: maxMessageBytes }
}

/**
 * Puts the sessions found in the store into the table, and takes out what a stop between two writes left behind.
 * @throws QueueError QUEUE_STORE_INCOMPLETE, and those of the store
 */
async function recover(stages: Stages, contents: StoreContents, log: Logger): Promise<void> {
  assertComplete(contents)
  const { router, sessions, journal, notes, store, checkpoint, retained, wills } = stages
  if (store.cluster) for (const row of contents.streams) router.share(row)
  sessions.reserveId(Number(contents.meta.get('sessions')?.next ?? 1) - 1)
  const found = recoverSessions(contents, router, sessions)
  journal.skipTo(found.highestSequence + 1)
  for (const session of found.sessions) {
    sessions.restore(session)
    notes.touch(session)
  }
  enterExpiries(contents, router, stages.expiry)
  for (const [topic, row] of contents.retained) retained.restore(topic, row)
  for (const [topic, order] of contents.cleared ?? []) retained.restoreCleared(topic, order)
  wills.reserveId(Number(contents.meta.get('wills')?.next ?? 1) - 1)
  for (const [willId, row] of contents.wills) wills.restore(willId, row, id => sessions.expirySecondsOf(id))
  for (const [topic, row] of contents.topics) router.counters.restore(topic, row)
  const { mark } = stages
  const { lane } = store
  const lastSequence = contents.nextSequence - 1
  await recount({ through: mark.through, lastSequence, lane, counters: router.counters, log })
  await replay({ ...found, contents, mark, journal, retained, wills })
  // what may have been lost must still be known if this server stops before its first checkpoint
  if (contents.lastStop === 'machine') await checkpoint.runOrFail()
  // where others share the store, what belongs to nobody here may be theirs
  if (found.orphans.length > 0 && !store.cluster) await store.state.write(found.orphans, { sync: false })
  // its connection did not outlive the server, and so neither does the session
  for (const session of found.sessions) if (session.expirySeconds === 0) sessions.detach(session)
}

/** A store that was only partly filled from another one serves nobody: clients would miss what is not there yet. */
function assertComplete({ meta }: StoreContents): void {
  const mark = meta.get(FILLING_KEY)
  if (mark) throw new QueueError('QUEUE_STORE_INCOMPLETE', { detail: { from: mark.from } })
}

/** What is published inside the process takes the same way as what clients publish. */
function inProcess({ publisher, retained, sessions }: Stages, log: Logger): InProcess {
  return {
    retained,
    sessions: sessionsView(sessions),
    store: async (message, topic) => {
      await publisher.publish(message, topic)
    },
    forward(message, topic) {
      if (isSystem(topic)) publisher.announce(message, topic)
      else
        publisher.publish(message, topic).catch((error: unknown) => {
          log.error({ err: error }, `a message from inside was dropped: ${errorText(error)}`)
        })
    }
  }
}
