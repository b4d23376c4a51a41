import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { startMongodb, type TestMongodb } from './mongodb.ts'
import { MongodbProxy, targetOf, throughProxy } from './mongodb-proxy.ts'
import {
  type ExitStatus,
  launchServer,
  type Program,
  type ServerProcess,
  startServer,
  testFolder
} from './process.ts'
import { startRedis, type TestRedis } from './redis.ts'
import { DEADLINE_MS } from './signal.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** What a cluster is made of. */
export interface ClusterOptions {
  /** How many; they are named b1, b2 and so on. */
  readonly brokers: number
  /** Shortest that is allowed: others take a silent broker for dead after it. */
  readonly brokerTimeoutMs?: number
  readonly storeTimeoutMs?: number
  /** Default true. */
  readonly hasRedis?: boolean
  /** Whether single commands to the database can be made to fail ({@link ClusterBroker.faults}); default false. */
  readonly hasFaults?: boolean
  /** Default true; otherwise the test starts them. */
  readonly isStarted?: boolean
  /** Further arguments of `restante start`. */
  readonly args?: readonly string[]
}

/** A server process that shares a database with others, and its links, which a test can harm. */
export class ClusterBroker {
  readonly name: string
  readonly mongodbLink: TcpProxy
  readonly redisLink: TcpProxy | null
  isPaused = false
  readonly #faults: MongodbProxy | null
  readonly #t: ExecutionContext
  readonly #dataDirectory: string
  readonly #args: readonly string[]
  /** All that were started, oldest first. */
  readonly #programs: Program[] = []
  #server: ServerProcess | null = null

  constructor(t: ExecutionContext, parts: BrokerParts) {
    this.#t = t
    this.name = parts.name
    this.mongodbLink = parts.mongodbLink
    this.redisLink = parts.redisLink
    this.#faults = parts.faults ?? null
    this.#dataDirectory = join(parts.folder, parts.name)
    this.#args = parts.args
  }

  /** Whether its process is there, stopped or not. */
  get isRunning(): boolean {
    return this.#server !== null && !this.#server.program.exit
  }

  /** Where it listens; another port after each start, 0 when it does not run. */
  get mqttPort(): number {
    return this.isRunning ? this.#server!.mqttPort : 0
  }

  /** Its process, running or not. */
  get server(): ServerProcess {
    if (!this.#server) throw new Error(`${this.name} was never started`)
    return this.#server
  }

  /** Lets single commands fail, behind its link. */
  get faults(): MongodbProxy {
    if (!this.#faults) throw new Error('the cluster was started without hasFaults')
    return this.#faults
  }

  /** Starts it and does not wait. */
  launch(): Program {
    const dataDirectory = this.#dataDirectory
    const program = launchServer(this.#t, { dataDirectory, args: this.#args }, `${dataDirectory}.ready.json`)
    this.#programs.push(program)
    return program
  }

  /** Starts it and waits until it listens. */
  async start(): Promise<void> {
    this.isPaused = false
    const launched = (program: Program) => this.#programs.push(program)
    const options = { dataDirectory: this.#dataDirectory, args: this.#args, launched }
    this.#server = await startServer(this.#t, options)
  }

  /** Ends it at once (kill -9), or as a system does (SIGTERM). */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<ExitStatus> {
    this.isPaused = false
    return await this.server.program.kill(signal)
  }

  /** It stays there and does nothing, as a machine that sleeps. */
  pause(): void {
    this.isPaused = true
    this.server.program.signal('SIGSTOP')
  }

  /** It wakes up, and does not know that it slept. */
  resume(): void {
    this.isPaused = false
    this.server.program.signal('SIGCONT')
  }

  /** What it answers to GET. */
  async get(path: string): Promise<{ readonly status: number; readonly body: unknown }> {
    const answer = await fetch(`http://127.0.0.1:${this.server.httpPort}${path}`, {
      signal: AbortSignal.timeout(DEADLINE_MS)
    })
    return { status: answer.status, body: await answer.json() }
  }

  /** Whether it says that it can do its work. */
  async isReady(): Promise<boolean> {
    if (!this.isRunning || this.isPaused) return false
    return await this.get('/health/ready').then(
      ({ status }) => status === 200,
      () => false
    )
  }

  /** What it wrote, for failure messages. */
  story(): string {
    return `${this.name}: ${this.#programs.at(-1)?.story() ?? 'not started'}`
  }

  /** The log of all its processes. */
  get logLines(): string[] {
    return this.#programs.flatMap(({ stderr }) => stderr.split('\n').filter(line => line !== ''))
  }
}

interface BrokerParts {
  readonly name: string
  readonly folder: string
  readonly mongodbLink: TcpProxy
  readonly redisLink: TcpProxy | null
  /** Between its link and the database. */
  readonly faults?: MongodbProxy | null
  readonly args: readonly string[]
}

/** Brokers on one database and one Redis, each as a process of its own behind links of its own. */
export class Cluster {
  readonly mongodb: TestMongodb
  readonly redis: TestRedis | null
  readonly brokers: readonly ClusterBroker[]

  private constructor(mongodb: TestMongodb, redis: TestRedis | null, brokers: readonly ClusterBroker[]) {
    this.mongodb = mongodb
    this.redis = redis
    this.brokers = brokers
  }

  /** Starts all of it; undefined when a program is missing, and the test is skipped. */
  static async start(t: ExecutionContext, options: ClusterOptions): Promise<Cluster | undefined> {
    const mongodb = await startMongodb(t)
    const redis = mongodb && options.hasRedis !== false ? await startRedis(t) : null
    if (!mongodb || redis === undefined) return undefined
    const folder = testFolder(t)
    const brokers: ClusterBroker[] = []
    for (let i = 1; i <= options.brokers; i++) {
      const name = `b${i}`
      const links = await link(t, mongodb, redis, options.hasFaults ?? false)
      const args = argumentsOf(name, mongodb, links, options)
      brokers.push(new ClusterBroker(t, { name, folder, args, ...links }))
    }
    if (options.isStarted !== false) await Promise.all(brokers.map(broker => broker.start()))
    return new Cluster(mongodb, redis, brokers)
  }

  /** The broker of this name. */
  broker(name: string): ClusterBroker {
    const broker = this.brokers.find(each => each.name === name)
    if (!broker) throw new Error(`no broker is named ${name}`)
    return broker
  }

  /** All links work, all brokers are awake; those that have ended are started again. */
  async heal(): Promise<void> {
    for (const { mongodbLink, redisLink } of this.brokers) {
      await mongodbLink.resume()
      await redisLink?.resume()
    }
    for (const broker of this.brokers) if (broker.isPaused) broker.resume()
    await Promise.all(this.brokers.map(broker => (broker.isRunning ? undefined : broker.start())))
  }

  /** What all brokers wrote. */
  story(): string {
    return this.brokers.map(broker => broker.story()).join('\n\n')
  }
}

type Links = Pick<BrokerParts, 'mongodbLink' | 'redisLink' | 'faults'>

async function link(
  t: ExecutionContext,
  mongodb: TestMongodb,
  redis: TestRedis | null,
  hasFaults: boolean
): Promise<Links> {
  const database = targetOf(mongodb.url)
  const faults = hasFaults ? await MongodbProxy.start(t, database) : null
  const mongodbLink = await TcpProxy.start(t, faults ?? database)
  return { mongodbLink, redisLink: redis ? await TcpProxy.start(t, redis) : null, faults }
}

function argumentsOf(name: string, mongodb: TestMongodb, links: Links, options: ClusterOptions): string[] {
  const { brokerTimeoutMs = 1_000, storeTimeoutMs = 30_000, args = [] } = options
  return [
    ...['--store', 'mongodb', '--mongodb-url', throughProxy(mongodb.url, links.mongodbLink.port)],
    ...(links.redisLink ? ['--redis-url', `redis://127.0.0.1:${links.redisLink.port}`] : []),
    ...['--broker-name', name, '--broker-timeout-ms', String(brokerTimeoutMs)],
    ...['--store-timeout-ms', String(storeTimeoutMs), ...args]
  ]
}
