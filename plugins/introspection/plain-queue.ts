import { splitTopic } from '../../src/plugin.ts'
import type { PlainCollection, PlainPacket, PlainPersistence } from './plain-broker.ts'
import type { OwedEntry } from './source.ts'
import { Turn } from './turn.ts'

/** The queue of a client in a persistence: what it has not acked, the oldest first. */
export interface PlainQueue {
  /** @param queue counts those of this queue only. */
  count(clientId: string, status: OwedEntry['status'], queue?: string): Promise<number>
  /** When the oldest was queued, milliseconds since 1970; null when there is none, or nobody knows. */
  oldestAt(clientId: string): Promise<number | null>
  /** What is in the queue behind the first `skip`. */
  list(clientId: string, skip: number, limit: number): Promise<OwedEntry[]>
}

/** Reads the queues of any persistence, packet by packet. */
export class StreamedQueue implements PlainQueue {
  readonly #persistence: PlainPersistence

  constructor(persistence: PlainPersistence) {
    this.#persistence = persistence
  }

  async count(clientId: string, status: OwedEntry['status'], queue?: string): Promise<number> {
    let count = 0
    for await (const packet of this.#walk(clientId)) {
      const isOfQueue = queue === undefined || splitTopic(packet.topic).queue === queue
      if (isOfQueue && statusOf(packet) === status) count++
    }
    return count
  }

  async oldestAt(): Promise<null> {
    return null
  }

  async list(clientId: string, skip: number, limit: number): Promise<OwedEntry[]> {
    const entries: OwedEntry[] = []
    let place = 0
    for await (const packet of this.#walk(clientId)) {
      if (place++ >= skip) entries.push(owedEntry(packet, null))
      if (entries.length === limit) break
    }
    return entries
  }

  async *#walk(clientId: string): AsyncGenerator<PlainPacket> {
    const turn = new Turn()
    for await (const packet of this.#persistence.outgoingStream({ id: clientId })) {
      // PUBREL of QoS 2 is queued as well; its message has arrived
      if (typeof packet.topic === 'string') yield packet
      if (turn.spend(1)) await turn.next()
    }
  }
}

interface OutgoingDocument {
  readonly _id: { getTimestamp?(): Date }
  readonly packet: PlainPacket & { readonly payload: { readonly buffer?: Uint8Array } | string }
}

/** Reads the queues of aedes-persistence-mongodb; the database counts. */
export class MongodbQueue implements PlainQueue {
  readonly #outgoing: PlainCollection

  constructor(outgoing: PlainCollection) {
    this.#outgoing = outgoing
  }

  async count(clientId: string, status: OwedEntry['status'], queue?: string): Promise<number> {
    const topic = queue === undefined ? { $type: 'string' } : ofQueue(queue)
    const all = { clientId, 'packet.topic': topic }
    const sent = { ...all, 'packet.messageId': { $gt: 0 } }
    const inflight = await this.#outgoing.countDocuments(sent)
    return status === 'inflight' ? inflight : (await this.#outgoing.countDocuments(all)) - inflight
  }

  async oldestAt(clientId: string): Promise<number | null> {
    for await (const document of this.#find(clientId, 0, 1)) return queuedAt(document)
    return null
  }

  async list(clientId: string, skip: number, limit: number): Promise<OwedEntry[]> {
    const entries: OwedEntry[] = []
    for await (const document of this.#find(clientId, skip, limit)) {
      entries.push(owedEntry(document.packet, queuedAt(document)))
    }
    return entries
  }

  #find(clientId: string, skip: number, limit: number): AsyncIterable<OutgoingDocument> {
    const filter = { clientId, 'packet.topic': { $type: 'string' } }
    return this.#outgoing.find(filter, { sort: { _id: 1 }, skip, limit }) as AsyncIterable<OutgoingDocument>
  }
}

/** The driver gives each document an id with the second in which it was made. */
function queuedAt({ _id }: OutgoingDocument): number | null {
  return _id.getTimestamp?.().getTime() ?? null
}

function ofQueue(queue: string): object {
  return { $regex: `^${queue.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')}(/|$)` }
}

function statusOf({ messageId }: PlainPacket): OwedEntry['status'] {
  return messageId ? 'inflight' : 'queued'
}

function owedEntry(packet: PlainPacket, acceptedAt: number | null): OwedEntry {
  return {
    status: statusOf(packet),
    sequence: null,
    message: {
      ...{ id: null, topic: packet.topic, qos: packet.qos, isRetained: packet.retain },
      payload: payloadOf(packet.payload),
      properties: packet.properties ?? null,
      publisher: null,
      acceptedAt,
      expiresAt: packet.messageExpiry ?? null
    }
  }
}

/** A Buffer, a text, or what the driver makes of bytes. */
function payloadOf(payload: unknown): Buffer {
  const bytes = (payload as { buffer?: unknown } | null)?.buffer
  if (Buffer.isBuffer(payload)) return payload
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(String(payload ?? ''))
}
