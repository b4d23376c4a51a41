/** What the server did since it started. */
export interface Counters {
  acceptedMessages: number
  /** PUBLISH packets queued for subscribers, redeliveries included. */
  deliveredMessages: number
  /** Deliveries dropped: QoS 0 for a full socket, any QoS for a receiver that cannot take them (too large). */
  droppedMessages: number
  /** Deliveries whose message expired before it could be sent. */
  expiredMessages: number
  /** Messages that could not be read back from the store. */
  lostMessages: number
}

/** All zero. */
export function newCounters(): Counters {
  return {
    acceptedMessages: 0,
    deliveredMessages: 0,
    droppedMessages: 0,
    expiredMessages: 0,
    lostMessages: 0
  }
}
