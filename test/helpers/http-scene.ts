import type { ExecutionContext } from 'ava'
import { metrics } from '../../plugins/metrics/index.ts'
import { publish } from '../../plugins/publish/index.ts'
import { defaultSettings, type Settings } from '../../src/config/settings.ts'
import type { Plugin } from '../../src/plugin.ts'
import { createServer, type QueueServer } from '../../src/server.ts'
import { RecordingLog } from './core.ts'
import { ModelStore } from './model-store.ts'
import { RawClient, type RawConnect } from './raw-client.ts'
import { DEADLINE_MS } from './signal.ts'

/** What a test changes of a server. */
export interface SceneOptions {
  readonly settings?: Partial<Settings>
  /** Besides the store, `publish` and `metrics`. */
  readonly plugins?: readonly Plugin[]
}

/** What was answered. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The text read as JSON; an empty object when it is none. */
  readonly body: Record<string, unknown>
}

/** A whole server on a model store, with real listeners. */
export interface HttpScene {
  readonly server: QueueServer
  readonly store: ModelStore
  readonly log: RecordingLog
  /** Its address, without a slash at the end. */
  readonly url: string
  request(path: string, init?: RequestInit): Promise<Answer>
  post(path: string, body?: RequestInit['body'], headers?: Readonly<Record<string, string>>): Promise<Answer>
  /** A client over TCP; cut with the test. */
  connect(options?: RawConnect): Promise<RawClient>
}

/** Starts a server; it is stopped with the test. */
export async function startScene(t: ExecutionContext, options: SceneOptions = {}): Promise<HttpScene> {
  const store = new ModelStore()
  const log = new RecordingLog()
  const settings = defaultSettings({ mqttPort: 0, httpPort: 0, checkpointMs: 3_600_000, ...options.settings })
  const giver: Plugin = { name: 'model-store', schema: { type: 'object' }, setup: () => ({ store }) }
  const plugins = [giver, publish, metrics, ...(options.plugins ?? [])]
  const server = await createServer({ settings, plugins, log })
  t.teardown(() => server.stop().catch(() => {}))
  const url = `http://127.0.0.1:${server.httpAddress.port}`
  const request = async (path: string, init: RequestInit = {}) => answerOf(await fetch(url + path, init))
  return {
    ...{ server, store, log, url, request },
    post: (path, body = null, headers = {}) => request(path, { method: 'POST', body, headers }),
    async connect(connectOptions = {}) {
      const client = await RawClient.connect(server.mqttAddress.port, connectOptions)
      t.teardown(() => client.destroy())
      return client
    }
  }
}

/** Asks again until the answer fits; for what happens soon after something else. */
export async function untilAnswered<Value>(
  ask: () => Promise<Value>,
  fits: (value: Value) => boolean
): Promise<Value> {
  const deadline = Date.now() + DEADLINE_MS
  for (;;) {
    const value = await ask()
    if (fits(value)) return value
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(value)}`)
  }
}

async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response
  const text = await response.text()
  return { status, headers, text, body: bodyOf(text) }
}

function bodyOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}
