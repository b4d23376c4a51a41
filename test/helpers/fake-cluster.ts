import type { ExecutionContext } from 'ava'
import type { FastifyInstance } from 'fastify'
import { introspection } from '../../plugins/introspection/index.ts'
import { systemClock } from '../../src/clock.ts'
import { type ErrorCode, isQueueError, QueueError } from '../../src/errors.ts'
import type { BrokerRow } from '../../src/store/cluster.ts'
import { startCore, type TestCore } from './core.ts'
import { fakeContext, mountRoutes } from './http-directory.ts'
import { type ModelBroker, ModelDatabase } from './model-cluster.ts'

/** One broker of a cluster in memory, and its HTTP. */
export interface FakeBroker extends TestCore<ModelBroker> {
  readonly name: string
  readonly http: FastifyInstance
  /** What the others see of it, where it differs. */
  row: Partial<BrokerRow>
  /** Whether calls of it are answered, fail as after the time that they have, or are left open. */
  answers: 'all' | 'none' | 'never'
  /** Calls that were made to it. */
  readonly calls: string[]
  /** The body of an answer to GET /v1/<path>. */
  get(path: string): Promise<Record<string, unknown>>
  /** A list under the name of its path. */
  list(path: string): Promise<Record<string, unknown>[]>
}

/** Cores on one database in memory that call each other as through a store: by JSON, with errors by code. */
export async function startFakeCluster(t: ExecutionContext, count: number): Promise<FakeBroker[]> {
  const db = new ModelDatabase()
  const all: FakeBroker[] = []
  for (let i = 0; i < count; i++) {
    const store = db.broker()
    store.brokers = () => all.map(broker => rowOf(broker, broker.store === store))
    store.call = (name, method, params) => call(all, name, method, params)
    const started = await startCore(t, { store })
    const { directory, messages, control, publisher, peers } = started.core
    const parts = { directory, messages, control, publisher, peers, clock: systemClock, log: started.log }
    const http = await mountRoutes(await introspection.setup(fakeContext(parts), {}))
    t.teardown(() => http.close())
    const get = async (path: string) => {
      const { body } = await http.inject({ url: `/v1/${path}` })
      return JSON.parse(body) as Record<string, unknown>
    }
    const list = async (path: string) => {
      const body = await get(path)
      return (body[path.split('?')[0]!.split('/').at(-1)!] ?? t.fail(JSON.stringify(body))) as Record<
        string,
        unknown
      >[]
    }
    all.push({ ...started, name: store.brokerName, http, row: {}, answers: 'all', calls: [], get, list })
  }
  return all
}

async function call(
  all: readonly FakeBroker[],
  name: string,
  method: string,
  params: unknown
): Promise<unknown> {
  const other = all.find(broker => broker.name === name)
  other?.calls.push(method)
  if (other?.answers === 'never') return await new Promise(() => {})
  if (other?.answers !== 'all') {
    throw new QueueError('QUEUE_BROKER_AWAY', { detail: { name, problem: 'no answer' } })
  }
  try {
    return copied(await other.store.listener!.answer(method, copied(params)))
  } catch (error) {
    if (!isQueueError(error)) throw error
    throw new QueueError(error.code as ErrorCode, { detail: copied(error.detail) as Record<string, unknown> })
  }
}

function copied(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null))
}

function rowOf({ name, store, core, row }: FakeBroker, isSelf: boolean): BrokerRow {
  const { headSequence, startedAt } = core.directory.server()
  return {
    ...{ name, lane: store.laneIndex, state: 'live', isSelf, heartbeatAgeMs: 10, startedAt },
    ...{ headSequence, followedSequence: headSequence, host: 'here', version: '1.2.3' },
    ...row
  }
}
