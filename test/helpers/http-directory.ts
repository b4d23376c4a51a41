import fastify, { type FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import type {
  ClientView,
  Directory,
  ServerView,
  SessionView,
  SubscriptionView,
  TopicView
} from '../../src/directory.ts'
import { silentLog } from '../../src/log.ts'
import type { Plugin, PluginContext, PluginParts } from '../../src/plugin.ts'

/** When the fake world stands still, milliseconds since 1970. */
export const FAKE_NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

/** What a test says of a session; the rest is as of a persistent one that is away and has nothing to get. */
export interface FakeSession
  extends Partial<Omit<SessionView, 'subscriptions' | 'backlog' | 'inflight' | 'oldestAt'>> {
  readonly filters?: readonly string[]
  /** Of all queues; by default those of `backlogs` added up. */
  readonly backlog?: number
  /** By queue. */
  readonly backlogs?: Readonly<Record<string, number>>
  readonly inflight?: number
  readonly oldestAt?: number | null | (() => Promise<number | null>)
}

/** A directory of maps; counts how often it was looked at. */
export class FakeDirectory implements Directory {
  readonly clientMap = new Map<string, ClientView>()
  readonly sessionMap = new Map<string, SessionView>()
  /** Messages by topic. */
  readonly topicMap = new Map<string, number>()
  /** What differs of a topic. */
  readonly topicParts = new Map<string, Partial<TopicView>>()
  serverParts: Partial<ServerView> = {}
  backlogReads = 0
  /** Entries of lists that were handed out, and counts that were made. */
  looks = 0

  addClient(clientId: string, parts: Partial<ClientView> = {}): void {
    this.clientMap.set(clientId, {
      clientId,
      username: null,
      address: '192.0.2.1:50000',
      transport: 'tcp',
      protocolVersion: 4,
      connectedAt: FAKE_NOW,
      lastActivityAt: FAKE_NOW,
      keepAliveSeconds: 60,
      isPersistent: true,
      receivedBytes: 0,
      sentBytes: 0,
      receivedMessages: 0,
      sentMessages: 0,
      droppedMessages: 0,
      ...parts
    })
  }

  addSession(clientId: string, parts: FakeSession = {}): void {
    const { filters = [], backlogs = {}, backlog, inflight = 0, oldestAt = null, ...rest } = parts
    const subscriptions: SubscriptionView[] = filters.map(filter => ({
      clientId,
      filter,
      qos: 1,
      createdAt: FAKE_NOW
    }))
    const whole = backlog ?? Object.values(backlogs).reduce((sum, count) => sum + count, 0)
    this.sessionMap.set(clientId, {
      clientId,
      isConnected: false,
      isPersistent: true,
      createdAt: FAKE_NOW,
      connectedAt: null,
      disconnectedAt: null,
      lastActivityAt: null,
      expirySeconds: null,
      expiresAt: null,
      state: 'offline',
      subscriptions: () => subscriptions.values(),
      backlog: async queue => {
        this.backlogReads++
        this.looks++
        return queue === undefined ? whole : (backlogs[queue] ?? 0)
      },
      inflight: () => inflight,
      oldestAt: typeof oldestAt === 'function' ? oldestAt : async () => oldestAt,
      ...rest
    })
  }

  clients(): Iterable<ClientView> {
    return this.#counted(this.clientMap.values())
  }

  client(clientId: string): ClientView | undefined {
    return this.clientMap.get(clientId)
  }

  sessions(): Iterable<SessionView> {
    return this.#counted(this.sessionMap.values())
  }

  session(clientId: string): SessionView | undefined {
    return this.sessionMap.get(clientId)
  }

  *topics(): Iterable<TopicView> {
    for (const [topic, acceptedMessages] of this.topicMap) {
      this.looks++
      const usual = { topic, acceptedMessages, recentMessages: 0, lastAcceptedAt: FAKE_NOW }
      yield { ...usual, ...this.topicParts.get(topic) }
    }
  }

  server(): ServerView {
    return {
      lane: 'lane-1',
      startedAt: FAKE_NOW - 5_000,
      headSequence: 9,
      storedBytes: 1_234,
      acceptedMessages: 8,
      deliveredMessages: 7,
      refusedMessages: 6,
      droppedMessages: 5,
      expiredMessages: 7,
      drops: { 'socket-full': 1, 'not-taken': 2, expired: 7, purged: 1, replaced: 1, lost: 0 },
      receivedByQos: [1, 2, 3],
      sentByQos: [4, 5, 6],
      receivedBytes: 100,
      sentBytes: 200,
      connections: 12,
      connectedClients: this.clientMap.size,
      sessions: this.sessionMap.size,
      persistentSessions: this.sessionMap.size,
      subscriptions: 0,
      recentMessages: 5,
      inflightMessages: 3,
      retainedMessages: 9,
      isAccepting: true,
      ...this.serverParts
    }
  }

  *#counted<View>(views: Iterable<View>): Generator<View> {
    for (const view of views) {
      this.looks++
      yield view
    }
  }
}

/** What a plugin under test is given; a call of what is left out throws. */
export type FakeContext = Partial<PluginContext> & { readonly directory: Directory }

/** A context for `setup`, in a world where time stands still unless a clock is given. */
export function fakeContext(parts: FakeContext): PluginContext {
  const idle = { cancel: () => {} }
  return {
    log: silentLog,
    clock: { now: () => FAKE_NOW, after: () => idle, every: () => idle },
    settings: {
      ...{ dataDirectory: '', fsync: 'off', fsyncIntervalMs: 200 },
      ...{ maxPacketBytes: 16_777_216, maxTopicLevels: 100 },
      ...{ mongodbUrl: '', redisUrl: '', brokerName: 'test', brokerTimeoutMs: 5_000, storeTimeoutMs: 30_000 }
    },
    messages: missing('messages'),
    control: missing('control'),
    publisher: missing('publisher'),
    peers: null,
    events: { on: () => () => {} },
    metrics: new Registry(),
    ...parts
  }
}

/** A Fastify app with the routes of one plugin under /v1. */
export async function mountPlugin(
  plugin: Plugin,
  directory: Directory,
  parts: Partial<PluginContext> = {}
): Promise<FastifyInstance> {
  return mountRoutes(await plugin.setup(fakeContext({ directory, ...parts }), {}))
}

/** A Fastify app with the routes of a plugin that is set up. */
export async function mountRoutes({ routes, rootRoutes }: PluginParts): Promise<FastifyInstance> {
  // as the server's own: nothing unknown is ignored, ids may be long
  const app = fastify({
    routerOptions: { maxParamLength: 200_000 },
    ajv: { customOptions: { removeAdditional: false } }
  })
  if (routes) await app.register(routes, { prefix: '/v1' })
  if (rootRoutes) await app.register(rootRoutes)
  return app
}

function missing<Part extends object>(name: string): Part {
  return new Proxy({} as Part, {
    get(_, method) {
      throw new Error(`the test gives no ${name}, and ${String(method)} was asked of it`)
    }
  })
}
