import type { Aedes, AedesPublishPacket, Client, PublishPacket } from 'aedes'
import type { ExecutionContext } from 'ava'
import type { Settings } from '../../src/config/settings.ts'
import { openClient, quiet } from './aedes.ts'
import { startCore, type TestCore } from './core.ts'
import type { ModelStore } from './model-store.ts'
import type { RawClient, RawConnect } from './raw-client.ts'
import { Signal, withDeadline } from './signal.ts'

/** A server with its Aedes, clients whose `destroy` is a lost connection, and what the application has noted. */
export interface AedesServer extends TestCore<ModelStore> {
  readonly aedes: Aedes
  /** Members of Aedes that its declarations leave out. */
  readonly members: { clients: Record<string, Client>; persistence: AnyPersistence }
  readonly seen: Seen
  connect(options?: RawConnect): Promise<RawClient>
  /** Publishes in the process; resolves with the error of the callback. */
  publish(packet: Partial<PublishPacket>): Promise<Error | undefined>
}

/** The parts of a persistence that applications ask. */
export interface AnyPersistence {
  subscriptionsByClient(client: { id: string }): Promise<{ topic: string; qos: number }[]>
  createRetainedStream(filter: string): NodeJS.ReadableStream & { toArray(): Promise<AedesPublishPacket[]> }
  getWill(client: { id: string }): Promise<unknown>
  countOffline(): Promise<{ subsCount: number; clientsCount: number }>
  getClientList(filter: string): { toArray(): Promise<string[]> }
}

/** Lines that hooks and listeners of a test write, which can be waited for. */
export class Seen {
  readonly lines: string[] = []
  readonly #signal = new Signal()

  add(line: string): void {
    this.lines.push(line)
    this.#signal.notify()
  }

  /** Waits until there are so many lines. */
  async until(count: number): Promise<string[]> {
    return await this.#signal.until(() => (this.lines.length >= count ? this.lines : undefined), {
      describe: () => `${count} lines; there are ${JSON.stringify(this.lines)}`
    })
  }
}

/** Starts it; it is closed when the test ends. */
export async function startAedesServer(
  t: ExecutionContext,
  settings: Partial<Settings> = {}
): Promise<AedesServer> {
  const started = await startCore(t, { settings })
  const { core } = started
  const { aedes } = core.broker
  return {
    ...started,
    aedes,
    members: aedes as unknown as AedesServer['members'],
    seen: new Seen(),
    async connect(options = {}) {
      const client = openClient(t, stream => core.front.handle(stream))
      const { returnCode = 0, reasonCode = returnCode } = await client.login(options)
      t.is(reasonCode, 0)
      return client
    },
    publish: packet => publishInside(aedes, packet)
  }
}

/** Publishes in the process; resolves with the error of the callback. */
export function publishInside(aedes: Aedes, packet: Partial<PublishPacket>): Promise<Error | undefined> {
  const plain = { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false } as const
  return new Promise(resolve => aedes.publish({ ...plain, ...packet }, error => resolve(error ?? undefined)))
}

/** Subscribes in the process. */
export function subscribeInside(
  aedes: Aedes,
  topic: string,
  listener: (packet: AedesPublishPacket, done: () => void) => void
): Promise<void> {
  return new Promise(resolve => aedes.subscribe(topic, listener, resolve))
}

/** What has come once everything that was under way has arrived, as `topic payload`. */
export async function arrived(client: RawClient): Promise<string[]> {
  await quiet()
  await client.ping()
  const messages = client.unreadMessages()
  client.unread.length = 0
  return messages.map(({ topic, payload }) => `${topic} ${payload}`)
}

/** Does something after so many turns of the event loop; at once for 0. */
export function afterTurns(count: number, action: () => void): void {
  if (count === 0) action()
  else setImmediate(() => afterTurns(count - 1, action))
}

/** A method of a client object that calls back. */
export type Method = 'publish' | 'subscribe' | 'unsubscribe' | 'emptyOutgoingQueue' | 'close'

/** Calls a method of a client object; resolves with the error of its callback. */
export function call(
  client: Client | undefined,
  method: Method,
  ...args: unknown[]
): Promise<Error | undefined> {
  const called = new Promise<Error | undefined>(resolve => {
    const run = client![method] as (...args: unknown[]) => void
    run.call(client, ...args, (error?: Error) => resolve(error))
  })
  return withDeadline(called, { describe: () => `the callback of client.${method}` })
}

/** The client object of a connected client. */
export function objectOf({ members }: AedesServer, clientId: string): Client | undefined {
  return members.clients[clientId]
}
