import { Broker, type InProcess } from './broker/broker.ts'
import type { Clock, Timer } from './clock.ts'
import type { Settings } from './config/settings.ts'
import { Checkpoint } from './delivery/checkpoint.ts'
import { type Counters, newCounters } from './delivery/counters.ts'
import { FanOut } from './delivery/fan-out.ts'
import { Janitor } from './delivery/janitor.ts'
import { NoteBook } from './delivery/notes.ts'
import { SessionPump } from './delivery/pump.ts'
import { recoverSessions } from './delivery/recovery.ts'
import { Reservations } from './delivery/reservations.ts'
import { Scheduler } from './delivery/scheduler.ts'
import { Sessions } from './delivery/sessions.ts'
import type { Subscription } from './delivery/subscription.ts'
import type { Directory } from './directory.ts'
import { Front } from './front/front.ts'
import { inspect } from './inspect.ts'
import type { Pending, Receipt } from './journal/batch.ts'
import { Journal } from './journal/journal.ts'
import type { Logger } from './log.ts'
import { type Route, Router } from './routing/router.ts'
import type { Store, StoreContents } from './store/store.ts'

const NOBODY = Buffer.alloc(0)

/** What a core is made of. */
export interface CoreOptions {
  readonly store: Store
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Logger
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
      const stages = buildStages(options, contents.nextSequence)
      await recover(stages, contents)
      const { connectTimeoutMs } = settings
      const broker = await Broker.create(
        { brokerId: contents.lane, connectTimeoutMs, log: options.log },
        inProcess(stages)
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

function buildStages({ store, settings, clock, log }: CoreOptions, nextSequence: number) {
  const { cacheBytes, maxPendingBytes, maxTopicLevels } = settings
  const { lane, state } = store
  const later = (delayMs: number, callback: () => void) => {
    clock.after(delayMs, callback)
  }
  const counters = newCounters()
  const fanOut = new FanOut()
  const router = new Router<Subscription>(maxTopicLevels)
  const journal = new Journal({ lane, clock, log, nextSequence, cacheBytes, maxPendingBytes })
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
  const pump = new SessionPump({ journal, notes, reservations, counters, log })
  const scheduler = new Scheduler(
    (session, budget) => pump.serve(session, budget),
    () => notes.endTurn()
  )
  const wake: Sessions['wake'] = session => scheduler.wake(session)
  const sessions = new Sessions({ state, router, journal, notes, clock, wake })
  const checkpoint = new Checkpoint({ store: store.notes, notes, log })
  const janitor = new Janitor({ lane, journal, router, sessions, log })
  journal.listener = {
    committed: pending => commit(pending, fanOut, counters),
    hasRoom: () => stages.front?.hasRoom()
  }
  const stages = {
    ...{ store, counters, fanOut, router, journal, notes, scheduler, sessions, checkpoint, janitor },
    front: null as Front | null
  }
  return stages
}

/** Puts the sessions found in the store into the table, and takes out what a stop between two writes left behind. */
async function recover(stages: Stages, contents: StoreContents): Promise<void> {
  const { router, sessions, journal, notes, store, checkpoint } = stages
  sessions.reserveId(Number(contents.meta.get('sessions')?.next ?? 1) - 1)
  const found = recoverSessions(contents, router, sessions)
  journal.skipTo(found.highestSequence + 1)
  for (const session of found.sessions) {
    sessions.restore(session)
    notes.touch(session)
  }
  // what may have been lost must still be known if this server stops before its first checkpoint
  if (contents.lastStop === 'machine') await checkpoint.runOrFail()
  if (found.orphans.length > 0) await store.state.write(found.orphans, { sync: false })
  // its connection did not outlive the server, and so neither does the session
  for (const session of found.sessions) if (session.expirySeconds === 0) sessions.detach(session)
}

/** A message is durable: it enters its streams, and goes to those who listen with QoS 0. */
function commit({ message, route }: Pending, fanOut: FanOut, counters: Counters): void {
  const { streams, durable, counter } = route as Route<Subscription>
  counters.acceptedMessages++
  counter.acceptedMessages++
  for (const stream of durable) stream.add(message.sequence)
  if (streams.some(({ online0 }) => online0 > 0)) fanOut.committed(route as Route<Subscription>, message)
}

/** What is published inside the process takes the same way as what clients publish. */
function inProcess({ journal, router, fanOut }: Stages): InProcess {
  return {
    store: (message, topic) =>
      new Promise((resolve, reject) => {
        const route = router.route(topic)
        const receipt: Receipt = { accepted: () => resolve(), refused: (_pending, error) => reject(error) }
        const { bytes, offset, length, isV5 } = message
        journal.append(
          {
            expiresAt: 0,
            route,
            publisherId: '',
            publisher: NOBODY,
            header: bytes[offset]!,
            isV5,
            packet: bytes,
            from: offset,
            to: offset + length
          },
          receipt,
          0
        )
      }),
    forward: (message, topic) => fanOut.publish(router.route(topic), message, () => {})
  }
}
