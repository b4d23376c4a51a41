/** What sessions need to know of a store that several servers share. */
export interface Shared {
  /**
   * The client id belongs to this server, and its session, if one is kept, is in memory. That may end again at any moment.
   * @throws QueueError QUEUE_STORE_AWAY, QUEUE_BROKER_AWAY
   */
  claim(clientId: string): Promise<void>
  /** Whether a client id belongs to this server at this moment. */
  holds(clientId: string): boolean
  /** The client is gone, and no session of it is kept. */
  disown(clientId: string): Promise<void>
  /**
   * What new subscriptions with these filters begin with: ids of their streams, known to all servers, and the newest
   * durable message of each other lane.
   */
  begin(filters: readonly string[]): Promise<SharedBegin>
  /** An id that no session, or no will, has had. */
  sessionId(): Promise<number>
  willId(): Promise<number>
}

/** Where new subscriptions begin. */
export interface SharedBegin {
  /** By filter. */
  readonly streamIds: ReadonlyMap<string, number>
  readonly heads: readonly number[]
}
