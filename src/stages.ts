import type { AedesClient, Broker } from './broker/broker.ts'
import type { Clock } from './clock.ts'
import { routedAnew } from './cluster/rerouting.ts'
import type { Settings } from './config/settings.ts'
import { accept } from './delivery/acceptance.ts'
import { Checkpoint } from './delivery/checkpoint.ts'
import { newCounters } from './delivery/counters.ts'
import { Drops } from './delivery/drops.ts'
import { Expiry } from './delivery/expiry.ts'
import { FanOut } from './delivery/fan-out.ts'
import { Janitor } from './delivery/janitor.ts'
import { NoteBook } from './delivery/notes.ts'
import { Publisher } from './delivery/publisher.ts'
import { SessionPump } from './delivery/pump.ts'
import { QueueIndex } from './delivery/queue-index.ts'
import { ReplayMark } from './delivery/replay.ts'
import { Reservations } from './delivery/reservations.ts'
import { Retained } from './delivery/retained.ts'
import { Scheduler } from './delivery/scheduler.ts'
import { Sessions, type SessionsOptions } from './delivery/sessions.ts'
import type { Shared } from './delivery/shared.ts'
import type { Subscription } from './delivery/subscription.ts'
import { type Will, Wills } from './delivery/wills.ts'
import type { Events } from './events.ts'
import type { Front } from './front/front.ts'
import type { SealedBatch } from './journal/batch.ts'
import { Journal } from './journal/journal.ts'
import { LaneMarks, laneStart } from './lane.ts'
import type { Logger } from './log.ts'
import { Router } from './routing/router.ts'
import type { Store, StoreContents } from './store/store.ts'
import { ORIGIN } from './wire/message.ts'

/** What the stages are made of. */
export interface StageParts {
  readonly store: Store
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Logger
  readonly events: Events
}

/** All stages behind the connections. Front and broker are put in when they are made. */
export type Stages = ReturnType<typeof buildStages>

/** Makes the stages, on what the store has handed over. */
export function buildStages(parts: StageParts, contents: StoreContents, shared: Shared | null = null) {
  const { store, settings, clock, log, events } = parts
  const { lane, state } = store
  const base = buildKeeping(parts, contents)
  const { drops, fanOut, router, journal, mark, retained, queueIndex, publisher } = base
  const later = (delayMs: number, callback: () => void) => {
    clock.after(delayMs, callback)
  }
  const wills = new Wills({
    ...{ state, clock, log, shared, graceMs: settings.willGraceSeconds * 1_000 },
    publish: will => sendWill(stages.broker, publisher, will)
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
  const pump = new SessionPump({ clock, journal, retained, router, notes, reservations, drops, log })
  const scheduler = new Scheduler(
    (session, budget) => pump.serve(session, budget),
    () => notes.endTurn()
  )
  const wake: Sessions['wake'] = session => scheduler.wake(session)
  const expired: SessionsOptions['expired'] = ({ clientId }) => stages.broker?.events.sessionExpired(clientId)
  const sessions = new Sessions({
    ...{ state, router, journal, fanOut, notes, wills, clock, events, drops, shared, wake, expired }
  })
  const headSequence = () => journal.headSequence
  const checkpoint = new Checkpoint({
    ...{ store: store.notes, state: store.state, notes, retained, wills, mark, headSequence, log },
    counters: router.counters
  })
  const janitor = new Janitor({ lane, journal, router, sessions, queueIndex, mark, log })
  const own = { store, events, notes, scheduler, sessions, checkpoint, janitor, wills }
  const stages = { ...base, ...own, front: null as Front | null, broker: null as Broker | null }
  journal.listener = {
    committed: pending => accept(stages, pending),
    hasRoom: () => stages.front?.hasRoom(),
    stored: ({ messages, bytes }, durationMs) =>
      events.tell('committed', { messages: messages.length, bytes, durationMs })
  }
  return stages
}

/** The stages that know messages and filters, and nothing of sessions. */
function buildKeeping({ store, settings, clock, log, events }: StageParts, contents: StoreContents) {
  const { cacheBytes, maxPendingBytes, maxTopicLevels } = settings
  const { lane, state } = store
  const { nextSequence, meta, laneIndex = 0, lanes = [] } = contents
  const cluster = store.cluster
  const isShared = cluster !== undefined
  const counters = newCounters()
  const drops = new Drops(counters, events)
  const fanOut = new FanOut()
  const router = new Router<Subscription>(maxTopicLevels, isShared)
  const journal = new Journal({
    ...{ lane, clock, log, nextSequence, cacheBytes, maxPendingBytes },
    ...(cluster ? { prepare: (batch: SealedBatch) => routedAnew(batch, cluster, router, clock) } : {}),
    commitTimeoutMs: settings.storeTimeoutMs
  })
  for (const { lane: other, headSequence } of lanes) {
    if (other !== laneIndex) journal.followed(headSequence, [])
  }
  const mark = new ReplayMark(meta, laneStart(laneIndex))
  const retained = new Retained({ state, clock, isShared })
  const publisher = new Publisher({ clock, counters, fanOut, journal, retained, router })
  const expiry = new Expiry(clock)
  const queueIndex = new QueueIndex({ journal, router, expiry }, new LaneMarks(journal.heads.all()))
  return { counters, drops, fanOut, router, journal, mark, retained, publisher, expiry, queueIndex }
}

/** A will is shown to the hook as any publish, without a client when that is gone. */
async function sendWill(broker: Broker | null, publisher: Publisher, will: Will): Promise<void> {
  const { willId, clientId, message, client } = will
  const allowed = await (broker?.authorizeWill(message, client as AedesClient | null) ?? message)
  if (!allowed) return
  const source = { publisherId: clientId, origin: ORIGIN.will, originId: willId }
  await publisher.publish(allowed, allowed.topic(), source)
  broker?.observe(allowed, client as AedesClient | null)
}
