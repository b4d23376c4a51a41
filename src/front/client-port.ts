import {
  type ClientPort,
  type ConnectTerms,
  type HookSubscription,
  type HookWill,
  messageOf,
  packetOf,
  subscriptionsOf
} from '../broker/broker.ts'
import type { Session } from '../delivery/session.ts'
import { directFilter } from '../delivery/subscription.ts'
import type { WillRequest } from '../delivery/wills.ts'
import { QueueError } from '../errors.ts'
import { assertFilter, assertTopic } from '../topic.ts'
import type { Message } from '../wire/message.ts'
import type { ConnectRequest } from './connect.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { subscribeAs, unsubscribeAs } from './subscribe.ts'

/** What the application may ask of a connection through the client object of Aedes. */
export class ConnectionPort implements ClientPort {
  readonly #connection: Connection
  readonly #context: FrontContext

  constructor(connection: Connection, context: FrontContext) {
    this.#connection = connection
    this.#context = context
  }

  get terms(): ConnectTerms | null {
    const request = this.#connection.connect
    if (!request) return null
    const { isCleanStart, keepAliveSeconds, expirySeconds, will } = request
    return { isCleanStart, keepAliveSeconds, expirySeconds, will: will && shownWill(will) }
  }

  /** The hook `preConnect` has changed what the client asked for. */
  set terms(terms: ConnectTerms | null) {
    const request = this.#connection.connect
    if (!request || !terms) return
    const { isCleanStart, keepAliveSeconds, expirySeconds, will } = terms
    const changed = will ? takenWill(will, request) : null
    this.#connection.changeConnect({ isCleanStart, keepAliveSeconds, expirySeconds, will: changed })
  }

  get expirySeconds(): number | null {
    const { session, connect } = this.#connection
    const known = session ?? connect
    return known ? known.expirySeconds : 0
  }

  subscriptions(): Iterable<HookSubscription> {
    const { session } = this.#connection
    return session ? subscriptionsOf(session) : []
  }

  async publish(message: Message): Promise<void> {
    const session = this.#session()
    if (message.qos === 0) session.outlet?.publishUnacked(message, [], message.bytes[message.offset]!)
    else {
      await this.#subscribeDirectly(session)
      await this.#context.publisher.publishTo(session.clientId, message)
    }
  }

  /** @returns a reason code for each: the granted QoS, or why not. */
  async subscribe(
    subscriptions: readonly HookSubscription[],
    packetId: number | null
  ): Promise<readonly number[]> {
    for (const { topic } of subscriptions) assertFilter(topic, this.#context.router.maxTopicLevels)
    return await subscribeAs(this.#connection, this.#context, this.#session(), subscriptions, packetId)
  }

  async unsubscribe(filters: readonly string[], packetId: number | null): Promise<void> {
    await unsubscribeAs(this.#connection, this.#context, this.#session(), filters, packetId)
  }

  async emptyQueue(): Promise<void> {
    const session = this.#session()
    await this.#context.sessions.purge(session)
  }

  shown(error: Error | null): void {
    if (error) this.#connection.fail(error)
    else this.#connection.release('show')
  }

  /** Its own stream: what is published to it alone is kept there as all else that it is owed. */
  async #subscribeDirectly(session: Session): Promise<void> {
    const filter = directFilter(session.clientId)
    if (session.subscriptions.has(filter)) return
    const request = { filter, qos: 2, identifier: 0, isNoLocal: false, keepsRetain: false }
    await this.#context.sessions.subscribe(session, [request])
  }

  #session(): Session {
    const { session, isClosed } = this.#connection
    if (!session || isClosed) throw new QueueError('QUEUE_CONNECTION_CLOSED')
    return session
  }
}

function shownWill({ message, delaySeconds }: WillRequest): HookWill {
  const { topic, payload, qos, retain, properties } = packetOf(message)
  const all = { ...properties, ...(delaySeconds > 0 ? { willDelayInterval: delaySeconds } : {}) }
  const will = { topic, payload: Buffer.from(payload), qos, retain }
  return message.isV5 && Object.keys(all).length > 0 ? { ...will, properties: all } : will
}

function takenWill(will: HookWill, { protocolVersion }: ConnectRequest): WillRequest {
  const { willDelayInterval = 0, ...properties } = { ...will.properties } as { willDelayInterval?: number }
  assertTopic(will.topic)
  const packet = { ...will, cmd: 'publish', dup: false, properties } as const
  return { delaySeconds: willDelayInterval, message: messageOf(packet, protocolVersion === 5) }
}
