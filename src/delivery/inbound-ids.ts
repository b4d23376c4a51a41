/** Told what became of a message: the connection that asked last. */
export interface InboundWaiter {
  stored(packetId: number): void
  idRefused(packetId: number, error: Error): void
}

/** In place of a sequence: a hook has made QoS 0 of the message. */
export const UNKEPT = -1

/** A packet id that a publisher has taken for a QoS 2 message. */
export interface InboundId {
  readonly packetId: number
  /** Sequence of the message; 0 while it is on its way to the store, {@link UNKEPT} when it is not kept. */
  sequence: number
  /** Null once it is stored. */
  waiter: InboundWaiter | null
}

/**
 * The packet ids of a session's own QoS 2 publishes, from PUBLISH to PUBREL. What stands here is not accepted a second
 * time. @see MQTT 5.0 section 4.3.3 (receiver, method A)
 */
export class InboundIds {
  readonly #byId = new Map<number, InboundId>()

  get size(): number {
    return this.#byId.size
  }

  get(packetId: number): InboundId | undefined {
    return this.#byId.get(packetId)
  }

  /** Takes an id for a message that is on its way to the store. */
  take(packetId: number, waiter: InboundWaiter): void {
    this.#byId.set(packetId, { packetId, sequence: 0, waiter })
  }

  /** The message is stored. */
  store(packetId: number, sequence: number): void {
    const entry = this.#byId.get(packetId)
    if (!entry) return
    entry.sequence = sequence
    const { waiter } = entry
    entry.waiter = null
    waiter?.stored(packetId)
  }

  /** The message is not stored: its id is free again. */
  refuse(packetId: number, error: Error): void {
    const entry = this.#byId.get(packetId)
    this.#byId.delete(packetId)
    entry?.waiter?.idRefused(packetId, error)
  }

  /** Gives an id back: PUBREL has come. */
  free(packetId: number): void {
    this.#byId.delete(packetId)
  }

  /** Puts back an id found in the store. */
  restore(packetId: number, sequence: number): void {
    this.#byId.set(packetId, { packetId, sequence, waiter: null })
  }

  /** Those whose message is stored: what a later server must know of. */
  *storedIds(): Iterable<InboundId> {
    for (const entry of this.#byId.values()) if (entry.sequence > 0) yield entry
  }
}
