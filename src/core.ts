import { type AedesClient, Broker, type InProcess, isSystem, sessionsView } from './broker/broker.ts'
import type { Clock, Timer } from './clock.ts'
import type { Settings } from './config/settings.ts'
import { Checkpoint } from './delivery/checkpoint.ts'
import { newCounters } from './delivery/counters.ts'
import { FanOut } from './delivery/fan-out.ts'
import { Janitor } from './delivery/janitor.ts'
import { NoteBook } from './delivery/notes.ts'
import { Publisher } from './delivery/publisher.ts'
import { SessionPump } from './delivery/pump.ts'
import { recoverSessions } from './delivery/recovery.ts'
import { ReplayMark, replay } from './delivery/replay.ts'
import { Reservations } from './delivery/reservations.ts'
import { Retained } from './delivery/retained.ts'
import { Scheduler } from './delivery/scheduler.ts'
import { Sessions, type SessionsOptions } from './delivery/sessions.ts'
import type { Subscription } from './delivery/subscription.ts'
import { type Will, Wills } from './delivery/wills.ts'
import type { Directory } from './directory.ts'
import { errorText } from './errors.ts'
import { Front } from './front/front.ts'
import { inspect } from './inspect.ts'
import type { Pending } from './journal/batch.ts'
import { Journal } from './journal/journal.ts'
import type { Logger } from './log.ts'
import { type Route, Router } from './routing/router.ts'
import { REPLAY_STREAM, type Store, type StoreContents } from './store/store.ts'
import { ORIGIN } from './wire/message.ts'

/** What a core is made of. */
export interface CoreOptions {
  readonly store: Store
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Logger
  /** An Aedes of the application, which listens; left out: one is made. */
  readonly aedes?: Broker['aedes'] | undefined
}

/**
 * The stages of the server, put together: connections in front, Aedes beside, sessions and journal behind, a store
 * below. It listens to nothing by itself; give its front the connections.
 */
export class Core {
  readonly front: Front
  readonly broker: Broker
  readonly directory: Directory
  readonly #stages: Stages
  readonly #timer: Timer

  private constructor(stages: Stages, broker: Broker, contents: StoreContents, options: CoreOptions) {
    const { clock, log, settings } = options
    this.#stages = stages
    this.broker = broker
    stages.broker = broker
    this.front = new Front({ ...stages, broker, clock, log, limits: settings })
    stages.front = this.front
    const { lane } = options.store
    this.directory = inspect({
      ...stages,
      front: this.front,
      lane,
      laneName: contents.lane,
      startedAt: clock.now()
    })
    this.#timer = clock.every(settings.checkpointMs, () => this.settle())
  }

  /** Opens the store, recovers the sessions, starts Aedes. @throws QueueError of the store */
  static async open(options: CoreOptions): Promise<Core> {
    const { store, settings } = options
    const contents = await store.open()
    try {
      const stages = buildStages(options, contents)
      await recover(stages, contents)
      const { connectTimeoutMs } = settings
      const broker = await Broker.create(
        { brokerId: contents.lane, connectTimeoutMs, log: options.log, aedes: options.aedes },
        inProcess(stages, options.log)
      )
      return new Core(stages, broker, contents, options)
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** Why nothing is accepted; null while all is well. */
  get failure(): Error | null {
    return this.#stages.journal.failure
  }

  /** Stores the cursors and frees what is acked; done again and again by the clock. */
  async settle(): Promise<void> {
    await this.#stages.checkpoint.run()
    await this.#stages.janitor.run()
  }

  /** Acks what was accepted, closes all connections, stores what there is to store, closes the store. */
  async close(): Promise<void> {
    const { journal, sessions, notes, store } = this.#stages
    this.#timer.cancel()
    this.broker.closing()
    sessions.stop()
    this.#stages.wills.stop()
    this.front.stopReading()
    await journal.close()
    await notes.drained() // acks may wait for it together with deliveries
    await this.front.close()
    await this.broker.close()
    await sessions.idle()
    await notes.drained()
    await this.settle()
    await store.close()
  }
}

type Stages = ReturnType<typeof buildStages>

function buildStages({ store, settings, clock, log }: CoreOptions, contents: StoreContents) {
  const { cacheBytes, maxPendingBytes, maxTopicLevels } = settings
  const { lane, state } = store
  const later = (delayMs: number, callback: () => void) => {
    clock.after(delayMs, callback)
  }
  const counters = newCounters()
  const fanOut = new FanOut()
  const router = new Router<Subscription>(maxTopicLevels)
  const { nextSequence, meta } = contents
  const journal = new Journal({ lane, clock, log, nextSequence, cacheBytes, maxPendingBytes })
  const mark = new ReplayMark(meta)
  const retained = new Retained({ state, clock })
  const publisher = new Publisher({ clock, counters, fanOut, journal, retained, router })
  const wills = new Wills({
    ...{ state, clock, log, graceMs: settings.willGraceSeconds * 1_000 },
    publish: will => sendWill(stages, will)
  })
  const notes = new NoteBook({
    store: store.supports.isDurable ? store.notes : null,
    log,
    later,
    written: () => {
      stages.front?.noteWritten()
      if (checkpoint.isDue) void checkpoint.run()
    }
  })
  const reservations = new Reservations({ state, log, later })
  const pump = new SessionPump({
    ...{ clock, journal, retained, router, notes, reservations, counters, log }
  })
  const scheduler = new Scheduler(
    (session, budget) => pump.serve(session, budget),
    () => notes.endTurn()
  )
  const wake: Sessions['wake'] = session => scheduler.wake(session)
  const expired: SessionsOptions['expired'] = ({ clientId }) => stages.broker?.events.sessionExpired(clientId)
  const sessions = new Sessions({ state, router, journal, fanOut, notes, wills, clock, wake, expired })
  const headSequence = () => journal.headSequence
  const checkpoint = new Checkpoint({
    ...{ store: store.notes, notes, retained, wills, mark, headSequence, log }
  })
  const janitor = new Janitor({ lane, journal, router, sessions, mark, log })
  journal.listener = {
    committed: pending => commit(stages, pending),
    hasRoom: () => stages.front?.hasRoom()
  }
  const stages = {
    ...{ store, counters, fanOut, router, journal, notes, scheduler, sessions, checkpoint, janitor },
    ...{ mark, retained, wills, publisher },
    front: null as Front | null,
    broker: null as Broker | null
  }
  return stages
}

/** Puts the sessions found in the store into the table, and takes out what a stop between two writes left behind. */
async function recover(stages: Stages, contents: StoreContents): Promise<void> {
  const { router, sessions, journal, notes, store, checkpoint, retained, wills } = stages
  sessions.reserveId(Number(contents.meta.get('sessions')?.next ?? 1) - 1)
  const found = recoverSessions(contents, router, sessions)
  journal.skipTo(found.highestSequence + 1)
  for (const session of found.sessions) {
    sessions.restore(session)
    notes.touch(session)
  }
  for (const [topic, row] of contents.retained) retained.restore(topic, row)
  wills.reserveId(Number(contents.meta.get('wills')?.next ?? 1) - 1)
  const expirySeconds = (clientId: string) => {
    const session = sessions.get(clientId)
    return session ? session.expirySeconds : 0
  }
  for (const [willId, row] of contents.wills) wills.restore(willId, row, expirySeconds)
  const { mark } = stages
  await replay({ ...found, contents, mark, journal, retained, wills })
  // what may have been lost must still be known if this server stops before its first checkpoint
  if (contents.lastStop === 'machine') await checkpoint.runOrFail()
  if (found.orphans.length > 0) await store.state.write(found.orphans, { sync: false })
  // its connection did not outlive the server, and so neither does the session
  for (const session of found.sessions) if (session.expirySeconds === 0) sessions.detach(session)
}

/**
 * A message is durable: it enters its streams, goes to those who listen with QoS 0, and what follows from it counts.
 * This runs in the turn of the commit, so that rows made in any later turn know all messages up to the head.
 */
function commit(stages: Stages, { message, route: routed, streamIds }: Pending): void {
  const { fanOut, counters, mark, retained, wills } = stages
  const route = routed as Route<Subscription>
  counters.acceptedMessages++
  route.counter.acceptedMessages++
  if (streamIds[0] === REPLAY_STREAM) {
    mark.committed(message.sequence)
    if (message.isRetained) retained.apply(message, route.topic)
    if (message.origin === ORIGIN.will) wills.wasSent(message.originId)
  }
  if (message.qos === 0) {
    fanOut.publish(route, message, () => {})
    return
  }
  for (const stream of route.durable) stream.add(message.sequence)
  if (fanOut.hasRaised || route.streams.some(({ online0 }) => online0 > 0)) {
    fanOut.committed(route, message)
  }
}

/** What is published inside the process takes the same way as what clients publish. */
function inProcess({ publisher, retained, sessions }: Stages, log: Logger): InProcess {
  return {
    retained,
    sessions: sessionsView(sessions),
    store: (message, topic) => publisher.publish(message, topic),
    forward(message, topic) {
      if (isSystem(topic)) publisher.announce(message, topic)
      else
        publisher.publish(message, topic).catch((error: unknown) => {
          log.error({ err: error }, `a message from inside was dropped: ${errorText(error)}`)
        })
    }
  }
}

/** A will is shown to the hook as any publish, without a client when that is gone. */
async function sendWill({ broker, publisher }: Stages, will: Will): Promise<void> {
  const { willId, clientId, message, client } = will
  const allowed = await (broker?.authorizeWill(message, client as AedesClient | null) ?? message)
  if (!allowed) return
  const source = { publisherId: clientId, origin: ORIGIN.will, originId: willId }
  await publisher.publish(allowed, allowed.topic(), source)
  broker?.observe(allowed, client as AedesClient | null)
}
