import fastify, { type FastifyInstance } from 'fastify'
import type { ClientView, Directory, ServerView, SessionView, SubscriptionView } from '../../src/directory.ts'
import { silentLog } from '../../src/log.ts'
import type { Plugin, PluginContext } from '../../src/plugin.ts'

/** When the fake world stands still, milliseconds since 1970. */
export const FAKE_NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

/** What a test says of a session; the rest is as of a persistent one that is away and has nothing to get. */
export interface FakeSession
  extends Partial<Omit<SessionView, 'subscriptions' | 'backlog' | 'inflight' | 'oldestAt'>> {
  readonly filters?: readonly string[]
  readonly backlog?: number
  readonly inflight?: number
  readonly oldestAt?: number | null | (() => Promise<number | null>)
}

/** A directory of maps; counts how often a backlog was asked for. */
export class FakeDirectory implements Directory {
  readonly clientMap = new Map<string, ClientView>()
  readonly sessionMap = new Map<string, SessionView>()
  readonly topicMap = new Map<string, number>()
  backlogReads = 0

  addClient(clientId: string, parts: Partial<ClientView> = {}): void {
    this.clientMap.set(clientId, {
      clientId,
      address: '192.0.2.1:50000',
      transport: 'tcp',
      protocolVersion: 4,
      connectedAt: FAKE_NOW,
      keepAliveSeconds: 60,
      isPersistent: true,
      receivedBytes: 0,
      sentBytes: 0,
      droppedMessages: 0,
      ...parts
    })
  }

  addSession(clientId: string, parts: FakeSession = {}): void {
    const { filters = [], backlog = 0, inflight = 0, oldestAt = null, ...rest } = parts
    const subscriptions: SubscriptionView[] = filters.map(filter => ({
      clientId,
      filter,
      qos: 1,
      createdAt: FAKE_NOW
    }))
    this.sessionMap.set(clientId, {
      clientId,
      isConnected: false,
      isPersistent: true,
      createdAt: FAKE_NOW,
      connectedAt: null,
      disconnectedAt: null,
      state: 'offline',
      subscriptions: () => subscriptions.values(),
      backlog: () => {
        this.backlogReads++
        return backlog
      },
      inflight: () => inflight,
      oldestAt: typeof oldestAt === 'function' ? oldestAt : async () => oldestAt,
      ...rest
    })
  }

  clients(): Iterable<ClientView> {
    return this.clientMap.values()
  }

  client(clientId: string): ClientView | undefined {
    return this.clientMap.get(clientId)
  }

  sessions(): Iterable<SessionView> {
    return this.sessionMap.values()
  }

  session(clientId: string): SessionView | undefined {
    return this.sessionMap.get(clientId)
  }

  *topics() {
    for (const [topic, acceptedMessages] of this.topicMap) yield { topic, acceptedMessages }
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
      retainedMessages: 9,
      isAccepting: true
    }
  }
}

/** A Fastify app with the routes of one plugin under /v1, in a world where time stands still. */
export async function mountPlugin(plugin: Plugin, directory: Directory): Promise<FastifyInstance> {
  const idle = { cancel: () => {} }
  const context: PluginContext = {
    log: silentLog,
    clock: { now: () => FAKE_NOW, after: () => idle, every: () => idle },
    settings: { dataDirectory: '', fsync: 'off', fsyncIntervalMs: 200 },
    directory
  }
  const { routes } = await plugin.setup(context, {})
  const app = fastify({ routerOptions: { maxParamLength: 200_000 } })
  if (routes) await app.register(routes, { prefix: '/v1' })
  return app
}
