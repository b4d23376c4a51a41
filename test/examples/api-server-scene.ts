import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import mqtt from 'mqtt'
import { startOutbox } from '../../examples/api-server/outbox.ts'
import { createApi } from '../../examples/api-server/server.ts'
import { SqliteStore } from '../../examples/api-server/sqlite-store.ts'
import { addUser, RIGHTS, Users } from '../../examples/api-server/users.ts'
import type { Customer } from '../../examples/shared/customer.ts'
import { connect } from '../../src/client/index.ts'
import { type Program, startProgram, testFolder } from '../helpers/process.ts'
import { DEADLINE_MS, Signal } from '../helpers/signal.ts'

/** The compiled program. */
export const API_SERVER = fileURLToPath(new URL('../../examples/api-server/main.js', import.meta.url))

/** An API server to ask. */
export interface Api {
  readonly url: string
  /** Of a user with all rights. */
  readonly token: string
  post(body: unknown): Promise<Response>
  get(path: string): Promise<Response>
}

/** An API server as a process of its own. */
export interface ApiProcess extends Api {
  readonly program: Program
  readonly port: number
  /** The folder of its database and users. */
  readonly data: string
}

/** How to start it. */
export interface ApiOptions {
  /** Port of the queue server. */
  readonly mqttPort: number
  /** Where an API server of this test was before. */
  readonly data?: string
  readonly port?: number
  readonly args?: readonly string[]
}

const TOKEN = 'token-of-ann'

/** Starts an API server as a process of its own and waits until it listens. */
export async function startApi(t: ExecutionContext, options: ApiOptions): Promise<ApiProcess> {
  const data = options.data ?? join(testFolder(t), 'api')
  addAnn(data)
  const program = startProgram(t, process.execPath, [
    API_SERVER,
    ...['--data', data, '--port', String(options.port ?? 0)],
    ...['--queue-url', `mqtt://127.0.0.1:${options.mqttPort}`],
    ...(options.args ?? [])
  ])
  const url = await program.until(() => {
    if (program.exit) throw new Error(`the API server did not start: ${program.story()}`)
    return /^API server: (\S+)\n/m.exec(program.stdout)?.[1]
  })
  return { ...apiAt(url), program, port: Number(new URL(url).port), data }
}

/** Runs an API server in this process, for tests that do not kill it. */
export async function runApi(t: ExecutionContext, { mqttPort }: ApiOptions): Promise<Api> {
  const data = testFolder(t)
  const users = new Users(addAnn(data))
  const store = new SqliteStore(join(data, 'customers.db'))
  const client = await connect(`mqtt://127.0.0.1:${mqttPort}`, { openTimeoutMs: DEADLINE_MS })
  const outbox = startOutbox(store, client)
  const app = createApi({ store, users, onSaved: outbox.notify })
  t.teardown(async () => {
    await app.close()
    await outbox.stop(0)
    await client.close({ timeoutMs: 0 })
    await store.close()
  })
  return apiAt(await app.listen({ host: '127.0.0.1', port: 0 }))
}

function addAnn(data: string): string {
  mkdirSync(data, { recursive: true })
  const file = join(data, 'users.json')
  addUser(file, 'ann', RIGHTS, TOKEN)
  return file
}

function apiAt(url: string): Api {
  const authorization = `Bearer ${TOKEN}`
  return {
    url,
    token: TOKEN,
    get: path => fetch(`${url}${path}`, { headers: { authorization } }),
    post: body => {
      const headers = { authorization, 'content-type': 'application/json' }
      return fetch(`${url}/customers`, { method: 'POST', headers, body: JSON.stringify(body) })
    }
  }
}

/** A durable subscriber of `DB/CREATE`. */
export class CreateEvents {
  /** All that came, repetitions as well. */
  readonly received: Customer[] = []
  readonly #signal = new Signal()
  readonly #client: mqtt.MqttClient

  private constructor(client: mqtt.MqttClient) {
    this.#client = client
  }

  /** Subscribes; what is published from then on comes sooner or later. */
  static async subscribe(t: ExecutionContext, mqttPort: number, clientId = 'auditor'): Promise<CreateEvents> {
    const client = mqtt.connect(`mqtt://127.0.0.1:${mqttPort}`, {
      clientId,
      clean: false,
      reconnectPeriod: 50,
      reconnectOnConnackError: true
    })
    const events = new CreateEvents(client)
    client.on('error', () => {}) // the server is killed in some tests
    client.on('message', (_topic, payload) => {
      events.received.push(JSON.parse(payload.toString()) as Customer)
      events.#signal.notify()
    })
    t.teardown(() => client.endAsync(true))
    await client.subscribeAsync('DB/CREATE', { qos: 1 })
    return events
  }

  /** Goes away; the session stays. */
  async leave(): Promise<void> {
    await this.#client.endAsync()
  }

  /** The events in the order in which each came first, as soon as there are so many. */
  first(count: number): Promise<Customer[]> {
    const describe = () => `${count} events; got the numbers ${this.received.map(({ number }) => number)}`
    return this.#signal.until(() => this.firsts().length >= count && this.firsts(), { describe })
  }

  /** The events that came so far, each once. */
  firsts(): Customer[] {
    const firsts = new Map<string, Customer>()
    for (const customer of this.received) if (!firsts.has(customer.id)) firsts.set(customer.id, customer)
    return [...firsts.values()]
  }
}
