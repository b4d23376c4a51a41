import type { MessageProperties } from './control.ts'

/** A message that is kept. */
export interface StoredMessage {
  /** `<lane>:<sequence>`. */
  readonly id: string
  readonly sequence: number
  readonly topic: string
  readonly qos: number
  /** Whether it was published with RETAIN. */
  readonly isRetained: boolean
  readonly payload: Buffer
  /** Null for a message of MQTT 3.1 or 3.1.1. */
  readonly properties: MessageProperties | null
  /** Client id of the publisher; '' when it came from inside. */
  readonly publisher: string
  /** Milliseconds since 1970. */
  readonly acceptedAt: number
  /** Milliseconds since 1970; null: never. */
  readonly expiresAt: number | null
}

/** A message that a session has still to ack. */
export interface OwedMessage {
  readonly status: 'queued' | 'inflight'
  readonly sequence: number
  /** Null when the store does not have it any more, or it is damaged there. */
  readonly message: StoredMessage | null
}

/** Reads messages. What is acked by all and not retained is freed after a while, and not found any more. */
export interface MessageReader {
  /** A message by its id; null when there is none, or none any more. */
  byId(id: string): Promise<StoredMessage | null>
  /**
   * What a session has still to ack, from the oldest on: first what is inflight, then what is queued, both by sequence.
   * @param after places to begin behind, as `next` of the part before; null: from the start.
   * @param limit most messages; there may be fewer although there are more.
   * @throws QueueError QUEUE_NOT_FOUND, QUEUE_REQUEST_INVALID (`after` is no such place)
   */
  owed(clientId: string, after: string | null, limit: number): Promise<MessagePart<OwedMessage>>
  /**
   * Kept messages, the newest first. A part looks at so many places only, so it may have few messages, or none,
   * although there are more.
   * @param before as `next` of the part before; null: from the newest.
   * @throws QueueError QUEUE_REQUEST_INVALID (`before` is no such place)
   */
  newest(filter: MessageFilter, before: string | null, limit: number): Promise<MessagePart<StoredMessage>>
}

/** Which kept messages are wanted. */
export interface MessageFilter {
  /** A legal topic filter. */
  readonly topicFilter?: string | undefined
  readonly publisher?: string | undefined
  /** Accepted at or after, and before; milliseconds since 1970. */
  readonly from?: number | undefined
  readonly to?: number | undefined
}

/** A part of a list. */
export interface MessagePart<Item> {
  readonly items: readonly Item[]
  /** Where the next part begins; null at the end. */
  readonly next: string | null
}
