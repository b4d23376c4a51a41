/**
 * The documents that aedes-persistence-mongodb 9 keeps, as far as they are read here. Their `_id` is an ObjectId, made by the
 * process that wrote them: four bytes of seconds, five that are random for each process, three of a counter.
 */
export interface AedesId {
  toHexString(): string
}

/** A packet as Aedes keeps it. */
export interface AedesPacket {
  readonly cmd?: string
  readonly topic?: string
  readonly payload?: Buffer
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  /** The broker that took it, by default another name at each start, and how many it had taken. */
  readonly brokerId?: string
  readonly brokerCounter?: number
  /** Of outgoing packets: set when it was sent, or was about to be. */
  readonly messageId?: number | null
  readonly properties?: Readonly<Record<string, unknown>> | null
  /** Milliseconds since 1970. */
  readonly messageExpiry?: number | null
}

/** A subscription of a client that is not clean. */
export interface AedesSubscription {
  readonly _id: AedesId
  readonly clientId: string
  /** The filter. */
  readonly topic: string
  readonly qos: number
  readonly nl?: boolean | null
  readonly rap?: boolean | null
  readonly subscriptionIdentifier?: number | null
}

/** A packet for a client, or of it. */
export interface AedesClientPacket {
  readonly _id: AedesId
  readonly clientId: string
  readonly packet: AedesPacket
}

/** A retained message. */
export type AedesRetained = AedesPacket & { readonly _id: AedesId; readonly topic: string }

/** What is read of such a database; each list in the order of `_id`, which is the only order that it can be asked for. */
export interface AedesDatabase {
  subscriptions(): AsyncIterable<AedesSubscription>
  retained(): AsyncIterable<AedesRetained>
  wills(): AsyncIterable<AedesClientPacket>
  /** QoS 2 messages of clients for which PUBREL has not come. */
  incoming(): AsyncIterable<AedesClientPacket>
  /** What clients are owed, without payloads and properties. */
  outgoing(): AsyncIterable<AedesClientPacket>
  /** Some of it in full. */
  packets(ids: readonly AedesId[]): Promise<readonly AedesClientPacket[]>
  close(): Promise<void>
}

/** When the document was made, seconds since 1970, to a second. */
export function secondsOf(id: AedesId): number {
  return Number.parseInt(id.toHexString().slice(0, 8), 16)
}

/** What is the same for all documents of one process. */
export function processOf(id: AedesId): string {
  return id.toHexString().slice(8, 18)
}
