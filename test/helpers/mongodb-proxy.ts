import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import type { ExecutionContext } from 'ava'
import type { Document } from 'mongodb'
import type { Injection, Judgement, MongodbCommand, MongodbRule } from './mongodb-faults.ts'
import { MongodbLink } from './mongodb-proxy-link.ts'
import type { ProxyTarget } from './tcp-proxy.ts'

/** Commands with which a driver looks after a server; they are never harmed. */
const HARMLESS: ReadonlySet<string> = new Set([
  'hello',
  'ismaster',
  'isMaster',
  'ping',
  'buildInfo',
  'endSessions',
  'saslStart',
  'saslContinue',
  'authenticate',
  'logout'
])

/**
 * A proxy that understands the protocol of MongoDB, in the process of the test: it lets single commands fail in the
 * ways in which a replica set fails. All else passes unchanged. For links that fail put a `TcpProxy` before it.
 */
export class MongodbProxy {
  readonly port: number
  /** How often each command went by: `insert`, and `insert messages` for one collection. */
  readonly counts = new Map<string, number>()
  readonly #target: ProxyTarget
  readonly #server: Server
  readonly #links = new Set<MongodbLink>()
  #waiting: Waiting[] = []
  #failing: number | null = null

  private constructor(server: Server, target: ProxyTarget) {
    this.port = (server.address() as AddressInfo).port
    this.#target = target
    this.#server = server
    server.on('connection', client => {
      const upstream = connect({ host: '127.0.0.1', ...this.#target, noDelay: true })
      const link = new MongodbLink(client, upstream, command => this.#judge(command))
      this.#links.add(link)
      client.once('close', () => this.#links.delete(link))
    })
  }

  /** Starts a proxy on a free port; it ends with the test. */
  static async start(t: Pick<ExecutionContext, 'teardown'>, target: ProxyTarget): Promise<MongodbProxy> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new MongodbProxy(server, target)
    t.teardown(() => proxy.#close())
    return proxy
  }

  /** Lets one command fail. */
  inject(rule: MongodbRule): Injection {
    const waiting = new Waiting(rule, () => {
      this.#waiting = this.#waiting.filter(each => each !== waiting)
    })
    this.#waiting.push(waiting)
    return waiting
  }

  /** All commands fail with this error, as while a primary steps down (189, 11602), until {@link heal}. */
  failAll(code: number): void {
    this.#failing = code
  }

  /** Takes everything back that has not happened yet. */
  heal(): void {
    this.#failing = null
    this.#waiting = []
  }

  #judge(command: MongodbCommand): Judgement | null {
    this.#count(command.name)
    this.#count(`${command.name} ${command.collection}`)
    if (HARMLESS.has(command.name)) return null
    for (const waiting of this.#waiting) if (waiting.isFor(command)) return waiting.judgement(command)
    if (this.#failing === null) return null
    return { fault: { kind: 'error', code: this.#failing }, happened() {}, held() {} }
  }

  #count(key: string): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
  }

  #close(): void {
    this.#server.close()
    for (const link of this.#links) link.end()
    this.#links.clear()
    for (const waiting of this.#waiting) waiting.remove()
  }
}

/** A fault that waits for its command. */
class Waiting implements Injection {
  readonly happened: Promise<MongodbCommand>
  hasHappened = false
  readonly #rule: MongodbRule
  readonly #over: () => void
  #left: number
  #tell: (command: MongodbCommand) => void = () => {}
  #deliver: (() => Promise<Document>) | null = null

  constructor(rule: MongodbRule, over: () => void) {
    this.#rule = rule
    this.#over = over
    this.#left = rule.nth ?? 1
    this.happened = new Promise(resolve => (this.#tell = resolve))
  }

  isFor({ name, collection }: MongodbCommand): boolean {
    const { command = name, collection: wanted = collection } = this.#rule
    return command === name && wanted === collection && --this.#left === 0
  }

  judgement(command: MongodbCommand): Judgement {
    this.#over()
    return {
      fault: this.#rule.fault,
      happened: () => {
        this.hasHappened = true
        this.#tell(command)
      },
      held: deliver => (this.#deliver = deliver)
    }
  }

  async deliver(): Promise<Document> {
    if (!this.#deliver) throw new Error(`no late ${this.#rule.command} is held`)
    return await this.#deliver()
  }

  remove(): void {
    this.#over()
  }
}

/** The address of a database with another port of this machine in it, for a proxy before a single server. */
export function throughProxy(url: string, port: number): string {
  const parts = /^(mongodb:\/\/(?:[^@/]+@)?)[^/?]+(\/[^?]*)?(?:\?(.*))?$/.exec(url)
  if (!parts) throw new Error(`${url} is no address of a single MongoDB server`)
  const options = new URLSearchParams(parts[3])
  options.delete('replicaSet')
  options.set('directConnection', 'true')
  return `${parts[1]}127.0.0.1:${port}${parts[2] ?? '/'}?${options}`
}

/** Where the server of an address listens. */
export function targetOf(url: string): ProxyTarget {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port || 27_017) }
}
