const PACKET_IDS = 65_535

/** What an inflight entry is, as bits; they stand in notes and cursors, so they never change. */
export const ENTRY = {
  /** Sent with QoS 2: it ends with PUBCOMP. */
  qos2: 1,
  /** PUBREC has come: only PUBREL is sent for it, never the message. */
  released: 2,
  /** A retained message sent because of a subscribe: its sequence says nothing of how far the session is. */
  aside: 4
} as const

/** A message that was sent and is not acked. */
export interface InflightEntry {
  /** Grows by at least one with every first delivery of a session; the packet id follows from it. */
  readonly counter: number
  readonly sequence: number
  /** Bits of {@link ENTRY}. */
  flags: number
  /** Whether it was sent on the present connection. */
  isSent: boolean
}

/** The packet id of a delivery: 1 to 65,535, round and round. */
export function packetIdOf(counter: number): number {
  return (counter % PACKET_IDS) + 1
}

/**
 * What is inflight for one session, in the order in which it was first sent. Acks may come in any order: an entry
 * that is never acked stays behind while ids go round past it, and costs one slot.
 */
export class Inflight {
  /** In order of insertion, which is the order of counters. */
  readonly #byId = new Map<number, InflightEntry>()
  /** Entries whose message is gone; the client may hold their packet ids still. */
  readonly #lost = new Map<number, InflightEntry>()
  #nextCounter = 0
  #outstanding = 0
  #resend: InflightEntry[] = []

  /** Messages sent and not acked, those of earlier connections included. */
  get size(): number {
    return this.#byId.size
  }

  /** Messages sent on the present connection and not acked: what the window limits. */
  get outstanding(): number {
    return this.#outstanding
  }

  /** The counter of the next first delivery, or a later one when ids in use must be skipped. */
  get nextCounter(): number {
    return this.#nextCounter
  }

  set nextCounter(counter: number) {
    this.#nextCounter = counter
  }

  /** What is inflight under a packet id. */
  get(packetId: number): InflightEntry | undefined {
    return this.#byId.get(packetId)
  }

  /** All entries, oldest first. */
  entries(): Iterable<InflightEntry> {
    return this.#byId.values()
  }

  /** The same with those whose message is lost: what a later server must know of. */
  allEntries(): InflightEntry[] {
    return [...this.#lost.values(), ...this.#byId.values()].sort((a, b) => a.counter - b.counter)
  }

  /**
   * Steps over ids in use; false when all 65,535 are. Afterwards `nextCounter` is free. An id of a lost message is
   * left out once: when it is met again, the client has been sent a whole round of others.
   */
  findFree(): boolean {
    if (this.#byId.size >= PACKET_IDS) return false
    for (;;) {
      const packetId = packetIdOf(this.#nextCounter)
      if (!this.#byId.has(packetId) && !this.#lost.delete(packetId)) return true
      this.#nextCounter++
    }
  }

  /** The message of {@link nextResend} is gone: it is not sent, and its packet id is set aside. */
  lose(): void {
    const entry = this.#resend.pop()
    if (!entry) return
    const packetId = packetIdOf(entry.counter)
    this.#byId.delete(packetId)
    this.#lost.set(packetId, entry)
  }

  /** Enters a first delivery under `nextCounter`, which must be free, and returns its packet id. */
  send(sequence: number, flags = 0): number {
    const counter = this.#nextCounter++
    const packetId = packetIdOf(counter)
    this.#byId.set(packetId, { counter, sequence, flags, isSent: true })
    this.#outstanding++
    return packetId
  }

  /** PUBREC has come for an entry. */
  release(entry: InflightEntry): void {
    entry.flags |= ENTRY.released
  }

  /** Takes an entry out; undefined when nothing is inflight under this packet id. */
  ack(packetId: number): InflightEntry | undefined {
    this.#lost.delete(packetId)
    const entry = this.#byId.get(packetId)
    if (!entry) return undefined
    this.#byId.delete(packetId)
    if (entry.isSent) this.#outstanding--
    return entry
  }

  /** Forgets everything; ids go on from where they are. */
  clear(): void {
    this.#byId.clear()
    this.#outstanding = 0
    this.#resend = []
  }

  /** A new connection: everything inflight is to be sent again, in order, before anything else. */
  connect(): void {
    this.#outstanding = 0
    this.#resend = []
    for (const entry of this.#byId.values()) {
      entry.isSent = false
      this.#resend.push(entry)
    }
    this.#resend.reverse()
  }

  /** The next entry to be sent again on this connection; undefined when there is none. */
  nextResend(): InflightEntry | undefined {
    for (;;) {
      const entry = this.#resend[this.#resend.length - 1]
      // acked before its turn came
      if (entry && this.#byId.get(packetIdOf(entry.counter)) !== entry) this.#resend.pop()
      else return entry
    }
  }

  /** The entry of {@link nextResend} was sent. */
  resent(): void {
    const entry = this.#resend.pop()
    if (!entry) return
    entry.isSent = true
    this.#outstanding++
  }

  /** Puts back an entry found in the store; call in order of counters. */
  restore(counter: number, sequence: number, flags = 0): void {
    this.#byId.set(packetIdOf(counter), { counter, sequence, flags, isSent: false })
    if (counter >= this.#nextCounter) this.#nextCounter = counter + 1
  }
}
