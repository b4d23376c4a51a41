import type { Clock } from '../clock.ts'
import { QueueError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { LaneMarks } from '../lane.ts'
import type { Router } from '../routing/router.ts'
import type { Serial } from '../serial.ts'
import type { StateChange, StateStore } from '../store/store.ts'
import type { FanOut } from './fan-out.ts'
import * as rows from './rows.ts'
import type { Session } from './session.ts'
import type { Shared, SharedBegin } from './shared.ts'
import { Subscription } from './subscription.ts'

/** Key of the writes that belong to no client; no client id has this character. */
const STREAM_ROWS = '\0'

/** What the subscriptions work with. */
export interface SubscriptionsOptions {
  readonly state: StateStore
  readonly router: Router<Subscription>
  readonly journal: Journal
  readonly fanOut: FanOut
  readonly clock: Clock
  /** Null for a server that is alone. */
  readonly shared: Shared | null
}

/** One filter of a SUBSCRIBE. */
export interface SubscribeRequest {
  readonly filter: string
  /** 0, 1 or 2. */
  readonly qos: number
  /** Subscription Identifier; 0: none. */
  readonly identifier: number
  readonly isNoLocal: boolean
  /** Retain As Published. */
  readonly keepsRetain: boolean
}

/** Puts subscriptions into sessions and takes them out: first in the store, then in memory. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions
  /** What changes a session, in order for each client id. */
  readonly #serial: Serial<string>

  constructor(options: SubscriptionsOptions, serial: Serial<string>) {
    this.#options = options
    this.#serial = serial
  }

  /**
   * Adds subscriptions, or changes those with the same filter. They are durable when the promise resolves, and every
   * message accepted from then on is theirs; so is what comes in meanwhile, as it will be after a restart: were it
   * passed over now, it could come later, out of order. What was routed before them is accepted when it resolves.
   * @see MQTT 5.0 section 3.8.4
   * @param requests legal filters, each once.
   * @returns for each whether the session had a subscription with this filter before.
   * @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED, QUEUE_CONNECTION_CLOSED when the session has ended meanwhile.
   */
  subscribe(session: Session, requests: readonly SubscribeRequest[]): Promise<boolean[]> {
    return this.#serial.run(session.clientId, async () => {
      const begin = await this.#begin(session, requests)
      assertAlive(session)
      const existed = requests.map(({ filter }) => session.subscriptions.has(filter))
      const changes = requests
        .map(request => this.#prepare(session, request, begin))
        .filter(change => change !== null)
      const [lowered, others] = [changes.filter(isLowered), changes.filter(change => !isLowered(change))]
      for (const { subscription } of others) this.#enter(session, subscription)
      const routedBefore = this.#options.journal.settled()
      session.wake()
      try {
        await this.#store(session, changes)
        if (others.some(isClaiming)) await routedBefore
        assertAlive(session)
      } catch (error) {
        for (const change of others) this.#undo(session, change)
        throw error
      }
      for (const { subscription } of lowered) this.#enter(session, subscription)
      return existed
    })
  }

  /**
   * Removes subscriptions; what they had queued and no other filter matches is not delivered any more.
   * @returns for each filter whether there was such a subscription. @throws as {@link subscribe}
   */
  unsubscribe(session: Session, filters: readonly string[]): Promise<boolean[]> {
    return this.#serial.run(session.clientId, async () => {
      assertAlive(session)
      // a filter that stands twice is there once
      const seen = new Set<string>()
      const found = filters.map(filter => {
        const subscription = seen.has(filter) ? undefined : session.subscriptions.get(filter)
        seen.add(filter)
        return subscription
      })
      const gone = found.filter(subscription => subscription !== undefined)
      if (session.isPersistent && gone.length > 0) await this.#write(gone.map(rows.unsubscribeChange))
      assertAlive(session)
      this.#leave(session, gone)
      return found.map(subscription => subscription !== undefined)
    })
  }

  /** Takes all subscriptions out of a session that has ended; its rows are gone already. */
  removeAll(session: Session): void {
    this.#leave(session, [...session.subscriptions.values()])
  }

  /** What a request changes; null when nothing. */
  #prepare(session: Session, request: SubscribeRequest, begin: SharedBegin | null): Change | null {
    const { router, journal, clock } = this.#options
    const old = session.subscriptions.get(request.filter)
    if (old && isSame(old, request)) return null
    // what is accepted from now on has a higher sequence; those given out beyond the head come again if a commit fails
    const from = old && old.qos > 0 ? old.from : new LaneMarks(journal.heads.all())
    if (from !== old?.from) for (const head of begin?.heads ?? []) from.raise(head)
    const routedFrom = old?.routedFrom ?? journal.appendedSequence
    const options = { ...request, from, routedFrom, createdAt: old?.createdAt ?? clock.now() }
    const stream = router.stream(request.filter, begin?.streamIds.get(request.filter))
    return { old, subscription: new Subscription(session, stream, options) }
  }

  /** Where the subscriptions that keep messages begin; null for a server that is alone. */
  async #begin(session: Session, requests: readonly SubscribeRequest[]): Promise<SharedBegin | null> {
    const { shared } = this.#options
    const isNew = ({ filter, qos }: SubscribeRequest) => qos > 0 && !session.subscriptions.get(filter)?.qos
    const filters = requests.filter(isNew).map(({ filter }) => filter)
    return shared && filters.length > 0 ? await shared.begin(filters) : null
  }

  async #store(session: Session, changes: readonly Change[]): Promise<void> {
    if (!session.isPersistent || changes.length === 0) return
    for (const { subscription } of changes) subscription.stream.isStored = true
    const { shared } = this.#options
    await this.#write(
      changes.flatMap(({ subscription }) => rows.subscribeChanges(session, subscription, shared === null))
    )
  }

  /** Puts a subscription in, in place of the one that the session has for the filter. */
  #enter(session: Session, subscription: Subscription): void {
    const { stream, filter, qos } = subscription
    const old = session.subscriptions.get(filter)
    if (qos > 0 && stream.durable.size === 0) stream.cover(this.#options.journal.heads)
    if (old) this.#take(session, old)
    else stream.subscribers++
    session.subscriptions.set(filter, subscription)
    if (subscription.isSpecial) session.specials++
    if (qos > 0) stream.durable.add(subscription)
    this.#options.router.activate(stream)
    if (session.outlet) session.join(subscription)
    if (old?.qos === 0 && qos > 0 && session.outlet) this.#raised(subscription)
  }

  /** What is on its way to the store was routed while it had QoS 0: it is sent so. [MQTT-3.8.4-3] */
  #raised(subscription: Subscription): void {
    const { fanOut, journal } = this.#options
    if (journal.appendedSequence > journal.headSequence) {
      fanOut.raised(subscription, journal.appendedSequence)
    }
  }

  #undo(session: Session, { old, subscription }: Change): void {
    if (session.isEnded) return
    if (old) this.#enter(session, old)
    else this.#leave(session, [subscription])
  }

  #leave(session: Session, gone: readonly Subscription[]): void {
    for (const subscription of gone) {
      this.#take(session, subscription)
      session.subscriptions.delete(subscription.filter)
    }
    this.#release(gone)
  }

  #take(session: Session, subscription: Subscription): void {
    session.leave(subscription)
    if (subscription.isSpecial) session.specials--
    subscription.stream.durable.delete(subscription)
  }

  /** Takes streams out that nobody reads any more, then their rows: one that stays is passed over by recovery. */
  #release(subscriptions: readonly Subscription[]): void {
    const changes: StateChange[] = []
    for (const { stream } of subscriptions) {
      stream.subscribers--
      this.#options.router.release(stream)
      // where streams are shared the store knows when the last of all servers has left
      if (stream.subscribers === 0 && stream.isStored && !this.#options.shared)
        changes.push(rows.streamGone(stream))
    }
    if (changes.length === 0) return
    const write = () => this.#options.state.write(changes, { sync: false })
    this.#serial.run(STREAM_ROWS, write).catch(() => {})
  }

  #write(changes: readonly StateChange[]): Promise<void> {
    return this.#options.state.write(changes, { sync: true })
  }
}

interface Change {
  readonly old: Subscription | undefined
  readonly subscription: Subscription
}

/** Whether messages that are on their way to the store were routed without it. */
function isClaiming({ old, subscription }: Change): boolean {
  return old === undefined || (old.qos === 0 && subscription.qos > 0)
}

/** Down to QoS 0 takes claims away: that waits until it is stored. */
function isLowered({ old, subscription }: Change): boolean {
  return old !== undefined && old.qos > 0 && subscription.qos === 0
}

function isSame(subscription: Subscription, request: SubscribeRequest): boolean {
  const { qos, identifier, isNoLocal, keepsRetain } = subscription
  return (
    qos === request.qos &&
    identifier === request.identifier &&
    isNoLocal === request.isNoLocal &&
    keepsRetain === request.keepsRetain
  )
}

function assertAlive(session: Session): void {
  if (session.isEnded) throw new QueueError('QUEUE_CONNECTION_CLOSED')
}
