/** What the server did since it started. */
export interface Counters {
  acceptedMessages: number
  /** PUBLISH packets queued for subscribers, redeliveries included. */
  deliveredMessages: number
  /** QoS 0 messages dropped because a socket was full. */
  droppedMessages: number
  /** Messages that could not be read back from the store. */
  lostMessages: number
}

/** All zero. */
export function newCounters(): Counters {
  return { acceptedMessages: 0, deliveredMessages: 0, droppedMessages: 0, lostMessages: 0 }
}
