import { after, nowMs, settlesWithin } from './clock.ts'
import { Connection } from './connection.ts'
import { ClientError } from './errors.ts'
import { type ClientEvents, type ClientListener, Listeners } from './events.ts'
import { Filters } from './filters.ts'
import { Inbox } from './inbox.ts'
import { type ConnectOptions, type ConnectPlan, connectPlan } from './options.ts'
import { Publisher, type PublishOptions } from './publisher.ts'
import {
  type Handler,
  laneOf,
  type SubscribeOptions,
  type Subscription,
  subscriptionPlan
} from './subscription.ts'
import { filterOf, topicOf } from './topic.ts'

/** Where a client stands. */
export type ClientState = 'new' | 'connecting' | 'connected' | 'reconnecting' | 'closing' | 'closed'

/** How to close. */
export interface CloseOptions {
  /** How long to wait for handlers and publishes in hand. Default 10,000; `Infinity` waits for them all. */
  readonly timeoutMs?: number
}

/** What was in hand when the time to close was up. */
export interface CloseResult {
  /** Handlers that were still running: their messages come again. */
  readonly unfinishedHandlers: number
  /** Publishes without an ack: the server may have them or not. */
  readonly unfinishedPublishes: number
}

/** A client of a queue server: an MQTT client in terms of queues and events, that acks what was handled. */
export class Client {
  readonly #plan: ConnectPlan
  readonly #listeners = new Listeners()
  readonly #connection: Connection
  readonly #inbox: Inbox
  readonly #publisher: Publisher
  readonly #filters: Filters
  #state: ClientState = 'new'
  #isSessionResumed = false
  #isCycling = false
  /** Whether the present connection was made to be given rejected messages again. */
  #isPlanned = false
  #opening: { resolve: () => void; reject: (error: Error) => void; deadlineAt: number } | undefined
  #closing: Promise<CloseResult> | undefined

  /** @throws ClientError CLIENT_OPTIONS_INVALID */
  constructor(url: string, options: ConnectOptions = {}) {
    this.#plan = connectPlan(url, options)
    this.#connection = new Connection(this.#plan, {
      accepted: isSessionResumed => this.#accepted(isSessionResumed),
      ready: () => this.#ready(),
      lost: (reason, retryInMs, isPlanned) => this.#lost(reason, retryInMs, isPlanned),
      failed: error => this.#failed(error),
      received: (packet, readOn) => this.#inbox.receive(packet, readOn)
    })
    this.#inbox = new Inbox(this.#inboxWire(), this.#plan)
    this.#publisher = new Publisher(this.#connection)
    this.#filters = new Filters(this.#connection)
  }

  /** Name of the session. */
  get clientId(): string {
    return this.#plan.clientId
  }

  get state(): ClientState {
    return this.#state
  }

  /** The server without user and password. */
  get url(): string {
    return this.#plan.shownUrl
  }

  /** Calls `listener` at each event of this kind. @returns a function that ends it. */
  listen<K extends keyof ClientEvents>(name: K, listener: ClientListener<K>): () => void {
    return this.#listeners.add(name, listener)
  }

  /**
   * Connects, and connects again whenever the connection is lost, until `close`. Resolves when the connection
   * is there and all subscriptions are confirmed.
   * @throws ClientError CLIENT_UNREACHABLE, CLIENT_REFUSED, CLIENT_SUBSCRIBE_REFUSED; the client is closed
   * then.
   */
  async open(): Promise<void> {
    if (this.#state !== 'new')
      throw new ClientError('CLIENT_OPTIONS_INVALID', {
        detail: { option: 'open', problem: 'was called before' }
      })
    this.#state = 'connecting'
    const { openTimeoutMs } = this.#plan
    const isLimited = openTimeoutMs !== Number.POSITIVE_INFINITY
    const timer = isLimited
      ? after(openTimeoutMs, () => this.#unreachable(this.#connection.problem))
      : undefined
    try {
      await new Promise<void>((resolve, reject) => {
        this.#opening = { resolve, reject, deadlineAt: nowMs() + this.#plan.openTimeoutMs }
        this.#connection.open()
      })
    } catch (error) {
      await this.close({ timeoutMs: 0 })
      throw error
    } finally {
      timer?.cancel()
      this.#opening = undefined
    }
  }

  /**
   * Handles the messages of an event of a queue; both may have wildcards (`+` one level, `#` all further ones).
   * Before `open` it resolves at once; after it, when the server has stored the subscription.
   * @throws ClientError CLIENT_OPTIONS_INVALID, CLIENT_TOPIC_INVALID, CLIENT_SUBSCRIBE_REFUSED, CLIENT_CLOSED
   */
  async on<T = unknown>(
    queue: string,
    event: string,
    handler: Handler<T>,
    options: SubscribeOptions<T> = {}
  ): Promise<Subscription> {
    this.#assertOpen()
    const context = { prefetch: this.#plan.prefetch, report: (error: ClientError) => this.#report(error) }
    const plan = subscriptionPlan(queue, event, handler, options, context)
    const lane = laneOf(plan, (ended, delivery, error) => this.#inbox.finished(ended, delivery, error))
    this.#inbox.addLane(lane) // before SUBSCRIBE: messages may come ahead of SUBACK
    try {
      await this.#filters.add(plan.filter, plan.qos)
    } catch (error) {
      await this.#inbox.endLane(lane)
      throw error
    }
    let stopped: Promise<void> | undefined
    const stop = async (): Promise<void> => {
      await this.#filters.remove(plan.filter)
      await this.#inbox.endLane(lane)
    }
    return { queue, event, filter: plan.filter, stop: () => (stopped ??= stop()) }
  }

  /**
   * Ends a subscription that an earlier program has left in the session, and acks what waits here for a handler
   * of it.
   * @returns how many messages that were.
   */
  async forget(queue: string, event: string): Promise<number> {
    this.#assertOpen()
    const filter = filterOf(queue, event)
    if (this.#filters.has(filter)) {
      throw new ClientError('CLIENT_OPTIONS_INVALID', {
        detail: { option: filter, problem: 'has a handler: stop its subscription' }
      })
    }
    await this.#filters.unsubscribe(filter)
    return this.#inbox.forget(filter)
  }

  /**
   * Publishes an event of a queue: bytes and text as they are, everything else as JSON. Resolves when the
   * server has stored it. Without a connection it waits for one.
   * @throws ClientError CLIENT_OPTIONS_INVALID, CLIENT_TOPIC_INVALID, CLIENT_PUBLISH_REFUSED, CLIENT_CLOSED
   */
  async publish(queue: string, event: string, payload: unknown, options: PublishOptions = {}): Promise<void> {
    await this.#publisher.publish(topicOf(queue, event), payload, options)
  }

  /**
   * Starts no more handlers, waits for those that run, for their acks and for all publishes, and disconnects. A
   * durable session stays, with what was not handled. May be called again: the first call counts.
   */
  close(options: CloseOptions = {}): Promise<CloseResult> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  // ---- the connection

  #accepted(isSessionResumed: boolean): void {
    this.#isSessionResumed = isSessionResumed
    this.#inbox.accepted(isSessionResumed)
  }

  #ready(): void {
    const isFirst = this.#opening !== undefined
    if (this.#state !== 'closing') this.#state = 'connected'
    this.#publisher.resume()
    this.#inbox.ready()
    const { protocol } = this.#connection
    this.#listeners.tell('connected', {
      isSessionResumed: this.#isSessionResumed,
      protocol,
      isPlanned: this.#isPlanned
    })
    this.#filters.ready(this.#isSessionResumed).then(
      () => this.#connection.isUp && this.#opening?.resolve(),
      (error: ClientError) => {
        if (isFirst) this.#opening?.reject(error)
        else this.#report(error)
      }
    )
  }

  #lost(reason: string, retryInMs: number, isPlanned: boolean): void {
    this.#isPlanned = isPlanned
    this.#publisher.pause()
    this.#filters.lost()
    if (this.#state === 'connected') this.#state = 'reconnecting'
    if (this.#opening && nowMs() + retryInMs > this.#opening.deadlineAt) this.#unreachable(reason)
    else this.#listeners.tell('disconnected', { reason, retryInMs, isPlanned })
  }

  #unreachable(reason: string): void {
    const { shownUrl: url, openTimeoutMs: ms } = this.#plan
    this.#opening?.reject(new ClientError('CLIENT_UNREACHABLE', { detail: { url, reason, ms } }))
  }

  #failed(error: ClientError): void {
    if (this.#opening) {
      this.#opening.reject(error)
      return
    }
    this.#publisher.close(error)
    this.#closing ??= this.#close({ timeoutMs: Number.POSITIVE_INFINITY }, error)
  }

  // ---- the parts

  #inboxWire(): ConstructorParameters<typeof Inbox>[0] {
    const connection = this.#connection
    return {
      get number() {
        return connection.number
      },
      ack: (number, packetId) => connection.ack(number, packetId),
      cycle: () => void this.#cycle(),
      report: error => this.#report(error)
    }
  }

  /**
   * A new connection of the same session. Publishes that wait for their acks come first, or they would go out
   * twice.
   */
  async #cycle(): Promise<void> {
    if (this.#isCycling || this.#state !== 'connected') return
    this.#isCycling = true
    const { number } = this.#connection
    await this.#publisher.drain()
    this.#isCycling = false
    if (this.#state === 'connected' && number === this.#connection.number) this.#connection.cycle()
  }

  async #close({ timeoutMs = 10_000 }: CloseOptions, error?: ClientError): Promise<CloseResult> {
    const wasOpen = this.#state !== 'new'
    const deadlineAt = nowMs() + timeoutMs
    this.#state = 'closing'
    this.#opening?.reject(error ?? closedError())
    this.#inbox.close()
    await settlesWithin(this.#inbox.idle(), deadlineAt - nowMs())
    await settlesWithin(this.#publisher.idle(), Math.max(0, deadlineAt - nowMs()))
    const result = { unfinishedHandlers: this.#inbox.runningCount, unfinishedPublishes: this.#publisher.size }
    this.#publisher.close(error ?? closedError())
    this.#filters.close(error ?? closedError())
    if (wasOpen) await this.#connection.end()
    this.#state = 'closed'
    this.#listeners.tell('closed', error ? { error } : {})
    return result
  }

  #report(error: ClientError): void {
    this.#listeners.tell('error', error)
  }

  #assertOpen(): void {
    if (this.#state === 'closing' || this.#state === 'closed') throw closedError()
  }
}

function closedError(): ClientError {
  return new ClientError('CLIENT_CLOSED')
}
