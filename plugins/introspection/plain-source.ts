import { type Clock, type MessagePart, QueueError } from '../../src/plugin.ts'
import {
  type PlainAedes,
  type PlainClient,
  type PlainCollections,
  type PlainSubscription,
  plainClient
} from './plain-broker.ts'
import { MongodbQueue, type PlainQueue, StreamedQueue } from './plain-queue.ts'
import { PlainTopics } from './plain-topics.ts'
import type { ClientEntry, Messages, OwedEntry, ServerEntry, SessionEntry, Source } from './source.ts'

/** What a plain Aedes is looked at with. */
export interface PlainOptions {
  readonly clock: Clock
  /** Collections of aedes-persistence-mongodb; null with another persistence. */
  readonly collections: PlainCollections | null
}

/**
 * What can be known of an Aedes without Restante: from its events and clients, from the public methods of its
 * persistence, and, with MongoDB, from the collections. A persistence has no list of its clients; without the
 * database those are shown that were connected since this was attached.
 */
export class PlainSource implements Source, Messages {
  readonly #aedes: PlainAedes
  readonly #clock: Clock
  readonly #collections: PlainCollections | null
  readonly #queue: PlainQueue
  readonly #topics: PlainTopics
  readonly #startedAt: number
  /** When connected clients came, as far as it was seen. */
  readonly #connectedAt = new WeakMap<PlainClient, number>()
  /** Clients with a session that is kept, and when they left; null: they are there. */
  readonly #leftAt = new Map<string, number | null>()
  #connections = 0
  readonly #stops: (() => void)[] = []

  constructor(aedes: PlainAedes, { clock, collections }: PlainOptions) {
    this.#aedes = aedes
    this.#clock = clock
    this.#collections = collections
    this.#queue = collections ? new MongodbQueue(collections.outgoing) : new StreamedQueue(aedes.persistence)
    this.#topics = new PlainTopics(clock)
    this.#startedAt = clock.now()
    for (const client of Object.values(aedes.clients)) this.#note(client)
    this.#listen('clientReady', client => this.#came(client as PlainClient))
    this.#listen('clientDisconnect', client => this.#left(client as PlainClient))
    this.#listen('publish', packet => this.#published((packet as { topic: string }).topic))
  }

  /** Listens to the broker no more. */
  close(): void {
    for (const stop of this.#stops.splice(0)) stop()
  }

  *clients(): Generator<ClientEntry> {
    for (const client of Object.values(this.#aedes.clients)) yield this.#clientEntry(client)
  }

  client(clientId: string): ClientEntry | undefined {
    const client = plainClient(this.#aedes, clientId)
    return client && this.#clientEntry(client)
  }

  async *sessions(): AsyncGenerator<SessionEntry> {
    const online = new Set<string>()
    for (const [clientId, client] of Object.entries(this.#aedes.clients)) {
      online.add(clientId)
      yield this.#sessionEntry(clientId, subscriptionsOf(client), client)
    }
    for await (const [clientId, subscriptions] of this.#offline()) {
      if (!online.has(clientId)) yield this.#sessionEntry(clientId, subscriptions)
    }
  }

  async session(clientId: string): Promise<SessionEntry | undefined> {
    const client = plainClient(this.#aedes, clientId)
    if (client) return this.#sessionEntry(clientId, subscriptionsOf(client), client)
    const subscriptions = (await this.#aedes.persistence.subscriptionsByClient({ id: clientId })) ?? []
    return subscriptions.length === 0 ? undefined : this.#sessionEntry(clientId, subscriptions)
  }

  topics() {
    return this.#topics.views()
  }

  async server(): Promise<ServerEntry> {
    const { messages, recent } = this.#topics.all
    const { clientsCount } = await this.#aedes.persistence.countOffline()
    const retained = await this.#collections?.retained.countDocuments({})
    return {
      ...{
        lane: null,
        headSequence: null,
        storedBytes: null,
        deliveredMessages: null,
        refusedMessages: null
      },
      ...{ droppedMessages: null, expiredMessages: null, drops: null, receivedByQos: null, sentByQos: null },
      ...{
        receivedBytes: null,
        sentBytes: null,
        sessions: null,
        subscriptions: null,
        inflightMessages: null
      },
      startedAt: this.#startedAt,
      acceptedMessages: messages,
      recentMessages: recent,
      connections: this.#connections,
      connectedClients: this.#aedes.connectedClients,
      persistentSessions: clientsCount,
      retainedMessages: retained ?? null,
      isAccepting: !this.#aedes.closed
    }
  }

  async owed(clientId: string, after: string | null, limit: number): Promise<MessagePart<OwedEntry>> {
    if (!(await this.session(clientId))) {
      const detail = { kind: 'session', name: JSON.stringify(clientId) }
      throw new QueueError('QUEUE_NOT_FOUND', { detail })
    }
    const skip = Number(after ?? 0)
    if (!Number.isSafeInteger(skip) || skip < 0) {
      const detail = { problem: 'the cursor is not one of this list' }
      throw new QueueError('QUEUE_REQUEST_INVALID', { detail })
    }
    const items = await this.#queue.list(clientId, skip, limit + 1)
    return { items: items.slice(0, limit), next: items.length > limit ? String(skip + limit) : null }
  }

  #listen(event: 'clientReady' | 'clientDisconnect' | 'publish', listener: (subject: object) => void): void {
    const emitter: NodeJS.EventEmitter = this.#aedes
    emitter.on(event, listener)
    this.#stops.push(() => emitter.off(event, listener))
  }

  #came(client: PlainClient): void {
    this.#connections++
    this.#connectedAt.set(client, this.#clock.now())
    this.#note(client)
  }

  #note({ id, clean }: PlainClient): void {
    if (clean) this.#leftAt.delete(id)
    else this.#leftAt.set(id, null)
  }

  #left({ id, clean }: PlainClient): void {
    if (!clean) this.#leftAt.set(id, this.#clock.now())
  }

  #published(topic: string): void {
    if (!topic.startsWith('$SYS/')) this.#topics.add(topic)
  }

  async *#offline(): AsyncGenerator<readonly [string, readonly PlainSubscription[]]> {
    if (this.#collections) {
      yield* await bySubscriber(this.#collections)
      return
    }
    for (const [clientId, leftAt] of this.#leftAt) {
      const subscriptions = await this.#aedes.persistence.subscriptionsByClient({ id: clientId })
      if (subscriptions?.length) yield [clientId, subscriptions]
      else if (leftAt !== null) this.#leftAt.delete(clientId) // nothing is kept for it
    }
  }

  #clientEntry(client: PlainClient): ClientEntry {
    const stream: Partial<SocketFigures> = client.req?.socket ?? (client.conn as object)
    const { remoteAddress, remotePort, bytesRead, bytesWritten } = stream
    return {
      ...{ username: null, keepAliveSeconds: null, lastActivityAt: null },
      ...{ receivedMessages: null, sentMessages: null, droppedMessages: null },
      clientId: client.id,
      address: remoteAddress === undefined ? null : addressText(remoteAddress, remotePort),
      transport: client.req ? 'websocket' : remoteAddress === undefined ? 'stream' : 'tcp',
      protocolVersion: client.version,
      connectedAt: this.#connectedAt.get(client) ?? null,
      isPersistent: !client.clean,
      receivedBytes: bytesRead ?? null,
      sentBytes: bytesWritten ?? null
    }
  }

  #sessionEntry(clientId: string, found: readonly PlainSubscription[], client?: PlainClient): SessionEntry {
    // nothing keeps a database from having two rows of one subscription
    const subscriptions = new Map(found.map(({ topic, qos }) => [topic, qos]))
    const isKept = !client?.clean
    return {
      ...{ lastActivityAt: null, expirySeconds: null, expiresAt: null, createdAt: null },
      clientId,
      isConnected: client !== undefined,
      isPersistent: isKept,
      connectedAt: client ? (this.#connectedAt.get(client) ?? null) : null,
      disconnectedAt: client ? null : (this.#leftAt.get(clientId) ?? null),
      state: client ? null : 'offline',
      *subscriptions() {
        for (const [filter, qos] of subscriptions) yield { clientId, filter, qos, createdAt: null }
      },
      backlog: async queue => (isKept ? this.#queue.count(clientId, 'queued', queue) : null),
      inflight: () => (isKept ? this.#queue.count(clientId, 'inflight') : null),
      oldestAt: async () => (isKept ? this.#queue.oldestAt(clientId) : null)
    }
  }
}

interface SocketFigures {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly bytesRead: number
  readonly bytesWritten: number
}

function addressText(address: string, port: number | undefined): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}

function subscriptionsOf({ subscriptions = {} }: PlainClient): PlainSubscription[] {
  return Object.entries(subscriptions).map(([topic, { qos }]) => ({ topic, qos }))
}

async function bySubscriber({ subscriptions }: PlainCollections): Promise<Map<string, PlainSubscription[]>> {
  const found = new Map<string, PlainSubscription[]>()
  const projection = { clientId: 1, topic: 1, qos: 1 }
  for await (const document of subscriptions.find({}, { projection })) {
    const { clientId, topic, qos } = document as PlainSubscription & { readonly clientId: string }
    const own = found.get(clientId) ?? []
    found.set(clientId, own)
    own.push({ topic, qos })
  }
  return found
}
