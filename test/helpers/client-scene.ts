import type { ExecutionContext } from 'ava'
import {
  Client,
  type ClientError,
  type ClientEvents,
  type ConnectOptions,
  type Message
} from '../../src/client/index.ts'
import type { Settings } from '../../src/config/settings.ts'
import { startTap, type Tap } from './client-tap.ts'
import { type Listening, listen } from './listen.ts'
import type { ModelStore } from './model-store.ts'
import { Signal } from './signal.ts'

/** What happened to a client, for tests to wait on. */
export class ClientLog {
  readonly errors: ClientError[] = []
  readonly connected: ClientEvents['connected'][] = []
  readonly disconnected: ClientEvents['disconnected'][] = []
  readonly closed: ClientEvents['closed'][] = []
  /** What handlers have noted. */
  readonly notes: string[] = []
  readonly #signal = new Signal()

  constructor(client: Client) {
    for (const name of ['connected', 'disconnected', 'closed'] as const) {
      client.listen(name, event => {
        ;(this[name] as unknown[]).push(event)
        this.#signal.notify()
      })
    }
    client.listen('error', error => {
      this.errors.push(error)
      this.#signal.notify()
    })
  }

  note(text: string): void {
    this.notes.push(text)
    this.#signal.notify()
  }

  /** Resolves when the condition holds; it is asked again whenever something happens. */
  async until(condition: () => boolean, what = 'a condition'): Promise<void> {
    await this.#signal.until(condition, { describe: () => `${what}; ${this.#story()}` })
  }

  /** Resolves with all notes when there are so many. */
  async noted(count: number): Promise<string[]> {
    await this.until(() => this.notes.length >= count, `${count} notes`)
    return this.notes
  }

  /** The codes of all errors so far. */
  codes(): string[] {
    return this.errors.map(({ code }) => code)
  }

  #story(): string {
    const { notes, connected, disconnected } = this
    return JSON.stringify({ notes, errors: this.errors.map(String), connected, disconnected })
  }
}

/** Delays for tests: a rejected message comes again at once. */
export const QUICK: ConnectOptions = {
  reconnect: { minMs: 5, maxMs: 40 },
  retry: { minMs: 5, maxMs: 40 },
  openTimeoutMs: 10_000
}

/** A client with its log; closed when the test ends. */
export interface LoggedClient {
  readonly client: Client
  readonly log: ClientLog
}

/** A client that is not opened yet. */
export function newClient(t: ExecutionContext, url: string, options: ConnectOptions = {}): LoggedClient {
  const client = new Client(url, { ...QUICK, ...options })
  t.teardown(() => client.close({ timeoutMs: 0 }))
  return { client, log: new ClientLog(client) }
}

/** A client that is connected. */
export async function openClient(
  t: ExecutionContext,
  url: string,
  options: ConnectOptions = {}
): Promise<LoggedClient> {
  const logged = newClient(t, url, options)
  await logged.client.open()
  return logged
}

/** A server in this process. */
export interface ClientScene extends Listening<ModelStore> {
  /** The way from clients to the server. */
  readonly tap: Tap
  /** Its address, by way of the tap. */
  readonly url: string
  /** Publishes events of queue DB as another client does: payload `{"id": n}`. */
  publish(event: string, ...ids: readonly number[]): Promise<void>
}

/** Starts a server in this process, and a publisher. */
export async function startScene(
  t: ExecutionContext,
  options: { readonly settings?: Partial<Settings> } = {}
): Promise<ClientScene> {
  const scene = await listen<ModelStore>(t, options)
  const tap = await startTap(t, scene.port)
  const publisher = await scene.connect({ clientId: 'publisher' })
  return {
    ...scene,
    tap,
    url: tap.url,
    async publish(event, ...ids) {
      for (const id of ids)
        await publisher.publish({ topic: `DB/${event}`, payload: JSON.stringify({ id }), qos: 1 })
    }
  }
}

/** A short name of a message: `CREATE 1`. */
export function nameOf({ event, payload }: Message<unknown>): string {
  return `${event} ${(payload as { id: number }).id}`
}
