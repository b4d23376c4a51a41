import type { SubscribedFilter } from './events.ts'

/** What may be done to clients and sessions from outside of their connections. */
export interface Control {
  /**
   * Closes the connection of a client; MQTT 5 is told 0x98 (Administrative action). Its session stays as it would at
   * any lost connection; its will is sent.
   * @throws QueueError QUEUE_NOT_FOUND when no such client is connected.
   */
  disconnect(clientId: string): void | Promise<void>
  /**
   * Ends a session: closes the connection, then subscriptions, backlog and inflight are gone.
   * @returns how many messages it had still to receive, those inflight included.
   * @throws QueueError QUEUE_NOT_FOUND, QUEUE_STORE_FULL, QUEUE_STORE_FAILED
   */
  endSession(clientId: string): Promise<number>
  /**
   * Subscribes a session, connected or not, as its client would; hooks are asked when it is connected, and only then
   * retained messages are sent.
   * @returns granted QoS by filter; a filter that a hook has refused is left out.
   * @throws QueueError QUEUE_NOT_FOUND, QUEUE_FILTER_INVALID, QUEUE_NOT_AUTHORIZED, QUEUE_STORE_FULL, QUEUE_STORE_FAILED
   */
  subscribe(clientId: string, subscriptions: readonly SubscribedFilter[]): Promise<SubscribedFilter[]>
  /**
   * Takes subscriptions out of a session, connected or not.
   * @returns for each filter whether there was such a subscription.
   * @throws QueueError QUEUE_NOT_FOUND, QUEUE_STORE_FULL, QUEUE_STORE_FAILED
   */
  unsubscribe(clientId: string, filters: readonly string[]): Promise<boolean[]>
  /**
   * Drops what a session has still to receive, inflight included; they count as dropped (`purged`).
   * @returns how many messages. @throws QueueError QUEUE_NOT_FOUND, QUEUE_STORE_FULL, QUEUE_STORE_FAILED
   */
  purge(clientId: string): Promise<number>
}

/** A message to publish from inside. */
export interface NewMessage {
  readonly topic: string
  readonly payload: Buffer | string
  /** Default 1. */
  readonly qos?: 0 | 1 | 2
  readonly isRetained?: boolean
  /** Properties of MQTT 5, as `mqtt-packet` names them. */
  readonly properties?: MessageProperties
}

/** Properties of a PUBLISH. @see MQTT 5.0 section 3.3.2.3 */
export interface MessageProperties {
  readonly payloadFormatIndicator?: boolean
  readonly messageExpiryInterval?: number
  readonly responseTopic?: string
  readonly correlationData?: Buffer
  readonly userProperties?: Readonly<Record<string, string | string[]>>
  readonly contentType?: string
}

/** What became of a published message. */
export interface Published {
  /** `<lane>:<sequence>`; null when it is not kept (QoS 0 that is not retained). */
  readonly id: string | null
  /** Where it went, as far as hooks have changed it. */
  readonly topic: string
}

/** Publishes from inside the server. */
export interface MessagePublisher {
  /**
   * Publishes as a client would: the hook `authorizePublish` is asked (without a client), the topic must not begin
   * with `$`. Resolves when the message is on stable storage; at once with QoS 0.
   * @throws QueueError QUEUE_TOPIC_INVALID, QUEUE_NOT_AUTHORIZED, QUEUE_PACKET_TOO_LARGE, QUEUE_REQUEST_INVALID (a
   * property that cannot be written), QUEUE_STORE_FULL, QUEUE_STORE_FAILED, QUEUE_SERVER_STOPPING
   */
  publish(message: NewMessage): Promise<Published>
  /**
   * Publishes several messages, each as {@link publish} does; those of one call keep their order, also when a hook takes its
   * time. Never rejects.
   */
  publishAll(messages: readonly NewMessage[]): Promise<PromiseSettledResult<Published>[]>
  /**
   * Sends a message of the server itself (`$SYS/…`, `$events/…`) to whoever listens now, with QoS 0; nothing is stored,
   * a retained one stays in memory.
   * @throws QueueError QUEUE_TOPIC_INVALID for a topic that does not begin with `$`.
   */
  announce(topic: string, payload: Buffer | string, options?: { readonly isRetained?: boolean }): void
  /** Whether a connected client has a filter that matches a topic: what nobody hears need not be made. */
  isHeard(topic: string): boolean
}
