import { encodeWill } from '../delivery/will-row.ts'
import { errorText, QueueError } from '../errors.ts'
import type { LaneBlock, LaneStore, Posting, Store, StoreContents } from '../store/store.ts'
import { REPLAY_STREAM } from '../store/store.ts'
import { type Message, ORIGIN } from '../wire/message.ts'
import {
  type AedesClientPacket,
  type AedesDatabase,
  type AedesId,
  type AedesPacket,
  secondsOf
} from './aedes-documents.ts'
import { messageFrom } from './aedes-message.ts'
import { type AedesQueue, QueueSorter } from './aedes-queue.ts'
import { AedesSessions, noteOf, type SentBefore } from './aedes-sessions.ts'
import { recordOf } from './messages.ts'
import { refusal } from './place.ts'

/** Documents asked for at a time. */
const BLOCK_MESSAGES = 256

/** A message as it would stand in a lane. */
interface Planned {
  readonly streamIds: readonly number[]
  /** Of the document in `outgoing`, where the message is fetched when it is read. */
  readonly id?: AedesId
  readonly message?: Message
}

/**
 * What a plain Aedes has left in a database of aedes-persistence-mongodb, seen as a store: it can be opened and read,
 * not written. Of its messages only what tells their order is kept in memory. The same database gives the same contents each time.
 */
export class AedesStore implements Store {
  readonly supports = { isDurable: true }
  readonly lane: LaneStore
  readonly state = { write: refuse }
  readonly notes = { append: refuse, checkpoint: refuse, sizeBytes: () => 0 }
  /** What is not taken over, and what cannot be known; known once it is open. */
  readonly remarks = new Set<string>()
  readonly #openDatabase: () => Promise<AedesDatabase>
  #database: AedesDatabase | null = null
  /** In the order of sequences, from 1 on. */
  #planned: Planned[] = []
  #latestSeconds = 0

  constructor(openDatabase: () => Promise<AedesDatabase>) {
    this.#openDatabase = openDatabase
    this.lane = { commit: refuse, release: refuse, sizeBytes: () => 0, read: from => this.#read(from) }
  }

  async open(): Promise<StoreContents> {
    const database = await this.#openDatabase()
    this.#database = database
    this.#planned = []
    this.remarks.clear()
    const sessions = new AedesSessions()
    for await (const subscription of database.subscriptions()) {
      this.#saw(subscription._id)
      sessions.subscribe(subscription)
    }
    const notes = this.#planQueue(await this.#queue(database), sessions)
    const retained = await this.#planRetained(database)
    await this.#planIncoming(database, sessions)
    const wills = await this.#wills(database)
    for (const remark of sessions.refused) this.remarks.add(remark)
    return {
      ...{ lastStop: this.#latestSeconds === 0 ? 'new' : 'clean', lane: 'aedes' },
      nextSequence: this.#planned.length + 1,
      ...{ postings: this.#postings(), expiries: [], meta: new Map(), cursors: new Map(), topics: new Map() },
      ...sessions.tables(this.#latestSeconds * 1_000),
      ...{ retained, wills, notes }
    }
  }

  async close(): Promise<void> {
    await this.#database?.close()
    this.#database = null
  }

  async #queue(database: AedesDatabase): Promise<AedesQueue> {
    const sorter = new QueueSorter()
    for await (const copy of database.outgoing()) {
      this.#saw(copy._id)
      sorter.add(copy)
    }
    const queue = sorter.finish()
    if (queue.duplicates > 0)
      this.remarks.add(`${queue.duplicates} copies of messages that a client had twice`)
    return queue
  }

  /** First what was sent before, so that it stands below all else for each client. @returns notes of what was sent. */
  #planQueue({ sent, queued, released }: AedesQueue, sessions: AedesSessions): Buffer[] {
    const sentBefore = new Map<string, SentBefore[]>()
    const remember = (clientId: string, one: SentBefore) => {
      const list = sentBefore.get(clientId) ?? []
      sentBefore.set(clientId, list)
      list.push(one)
    }
    if (released.size > 0) this.#planned.push({ streamIds: [], message: placeholder() })
    for (const [clientId, packetIds] of released) {
      for (const packetId of packetIds) {
        remember(clientId, { sequence: 1, packetId, qos: 2, isReleased: true })
      }
    }
    const streamsOf = (clientIds: readonly string[]) => clientIds.map(id => sessions.directStreamOf(id))
    for (const { id, qos, clientIds, packetIds } of sent) {
      const sequence = this.#planned.push({ id, streamIds: streamsOf(clientIds) })
      for (const [clientId, packetId] of packetIds) {
        remember(clientId, { sequence, packetId, qos, isReleased: false })
      }
    }
    for (const { id, clientIds } of queued) this.#planned.push({ id, streamIds: streamsOf(clientIds) })
    return [...sentBefore].map(([clientId, list]) => noteOf(sessions.idOf(clientId), list))
  }

  async #planRetained(database: AedesDatabase): Promise<Map<string, Buffer>> {
    const rows = new Map<string, Buffer>()
    for await (const { _id: id, ...packet } of database.retained()) {
      this.#saw(id)
      // those are of the server itself, which sends its own
      if (packet.topic.startsWith('$')) continue
      const message = this.#messageOf({ ...packet, retain: true }, id, `retained message of ${packet.topic}`)
      if (!message || message.payload().length === 0) continue
      message.sequence = this.#planned.push({ streamIds: [REPLAY_STREAM], message })
      rows.set(packet.topic, recordOf(message, []))
    }
    return rows
  }

  /** They were published when they came; what is left is that their packet ids are taken until PUBREL. */
  async #planIncoming(database: AedesDatabase, sessions: AedesSessions): Promise<void> {
    for await (const { _id: id, clientId, packet } of database.incoming()) {
      this.#saw(id)
      const { messageId, topic } = packet
      if (!messageId) continue
      const message = this.#messageOf(
        { topic: topic ?? '', qos: 2 },
        id,
        `packet id ${messageId} of ${clientId}`
      )
      if (!message) continue
      message.bytes.writeUInt16BE(messageId, message.offset + message.idOffset)
      message.origin = ORIGIN.inbound
      message.originId = sessions.idOf(clientId, secondsOf(id) * 1_000)
      message.publisher = clientId
      this.#planned.push({ streamIds: [REPLAY_STREAM], message })
    }
  }

  /** Their clients were connected when Aedes ended: each has the delay, and a grace, to come back. */
  async #wills(database: AedesDatabase): Promise<Map<number, Buffer>> {
    const rows = new Map<number, Buffer>()
    for await (const { _id: id, clientId, packet } of database.wills()) {
      this.#saw(id)
      const message = this.#messageOf(packet, id, `will of ${clientId}`)
      if (!message) continue
      const delaySeconds = Number(packet.properties?.willDelayInterval ?? 0)
      rows.set(rows.size + 1, encodeWill({ clientId, delaySeconds, sendAt: 0, message }))
    }
    return rows
  }

  #messageOf(packet: AedesPacket, id: AedesId, what: string): Message | null {
    try {
      return messageFrom(packet, id)
    } catch (error) {
      this.remarks.add(`${what}: ${errorText(error)}`)
      return null
    }
  }

  #saw(id: AedesId): void {
    this.#latestSeconds = Math.max(this.#latestSeconds, secondsOf(id))
  }

  #postings(): Posting[] {
    const lists = new Map<number, number[]>()
    for (const [index, { streamIds }] of this.#planned.entries()) {
      for (const streamId of streamIds) {
        const list = lists.get(streamId)
        if (list) list.push(index + 1)
        else lists.set(streamId, [index + 1])
      }
    }
    return [...lists].map(([streamId, sequences]) => ({ streamId, sequences }))
  }

  async #read(from: number): Promise<LaneBlock> {
    const planned = this.#planned.slice(from - 1, from - 1 + BLOCK_MESSAGES)
    const packets = await this.#packets(planned)
    const messages: Message[] = []
    for (const [index, { id, message }] of planned.entries()) {
      const found = message ?? this.#fetched(packets, id!)
      if (!found) continue
      found.sequence = from + index
      messages.push(found)
    }
    return { from, to: from + Math.max(planned.length, 1) - 1, messages, bytes: 0 }
  }

  #fetched(packets: ReadonlyMap<string, AedesClientPacket>, id: AedesId): Message | null {
    const found = packets.get(id.toHexString())
    if (!found) throw refusal('the database changes while it is read: stop Aedes first')
    const { packet } = found
    return this.#messageOf(
      { ...packet, qos: packet.qos || 1 },
      id,
      `message to ${packet.topic} for ${found.clientId}`
    )
  }

  async #packets(planned: readonly Planned[]): Promise<Map<string, AedesClientPacket>> {
    const ids = planned.flatMap(({ id }) => (id ? [id] : []))
    const found = ids.length > 0 ? await this.#database!.packets(ids) : []
    return new Map(found.map(copy => [copy._id.toHexString(), copy]))
  }
}

/** Stands in the place of messages of which only PUBREL is owed: what they were is not known any more. */
function placeholder(): Message {
  return messageFrom({ topic: '$import', qos: 1 }, { toHexString: () => '0'.repeat(24) })
}

async function refuse(): Promise<never> {
  throw new QueueError('QUEUE_STORE_FAILED', { detail: { problem: 'a database of Aedes is only read' } })
}
