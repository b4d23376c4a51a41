import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { TcpFlow } from './tcp-proxy-flow.ts'

/** One way of a connection, or both. */
export type Direction = 'toServer' | 'toClient' | 'both'

/** Where the proxied server listens. */
export interface ProxyTarget {
  readonly port: number
  readonly host?: string
}

/** How often the proxy tries to get its port back, 20 ms apart: a connection of somebody else may hold it for a while. */
const LISTEN_ATTEMPTS = 250

/**
 * A TCP proxy in the process of the test, for links that fail. The state of the links is one of the proxy: connections
 * that are opened while it holds or swallows bytes are treated in the same way. {@link resume} heals all.
 */
export class TcpProxy {
  /** The port of this machine on which it listens; the same over {@link refuse} and {@link resume}. */
  readonly port: number
  #target: ProxyTarget
  #server: Server | null
  readonly #links = new Set<Link>()
  readonly #flows: Record<'toServer' | 'toClient', FlowState> = {
    toServer: { mode: 'open', delayMs: 0 },
    toClient: { mode: 'open', delayMs: 0 }
  }

  private constructor(server: Server, target: ProxyTarget) {
    this.port = (server.address() as AddressInfo).port
    this.#target = target
    this.#server = server
    server.on('connection', socket => this.#open(socket))
  }

  /** Starts a proxy on a free port; it ends with the test. */
  static async start(t: Pick<ExecutionContext, 'teardown'>, target: ProxyTarget): Promise<TcpProxy> {
    const proxy = new TcpProxy(await listen(0), target)
    t.teardown(() => proxy.#close())
    return proxy
  }

  /** Open connections. */
  get connections(): number {
    return this.#links.size
  }

  /** New connections go there from now on. */
  retarget(target: ProxyTarget): void {
    this.#target = target
  }

  /** Resets all connections; new ones are accepted. */
  cut(): void {
    for (const link of this.#links) link.reset()
  }

  /** Bytes wait in the proxy, while the connections stay. {@link resume} passes them on, also for a connection that was closed since. */
  hold(direction: Direction = 'both'): void {
    this.#change(direction, { mode: 'hold' })
  }

  /** Bytes are lost, while the connections stay. {@link resume} resets each connection that has a hole. */
  swallow(direction: Direction = 'both'): void {
    this.#change(direction, { mode: 'swallow' })
  }

  /** Bytes come so many milliseconds later. */
  delay(delayMs: number, direction: Direction = 'both'): void {
    this.#change(direction, { delayMs })
  }

  /** Refuses new connections; those that are open stay. */
  refuse(): void {
    this.#server?.close()
    this.#server = null
  }

  /** Refuses new connections and resets those that are open: the server is gone. */
  drop(): void {
    this.refuse()
    this.cut()
  }

  /** Works as a cable again. */
  async resume(): Promise<void> {
    this.#change('both', { mode: 'open', delayMs: 0 })
    for (const link of this.#links) if (link.hasHole) link.reset()
    if (this.#server) return
    this.#server = await listen(this.port)
    this.#server.on('connection', socket => this.#open(socket))
  }

  #change(direction: Direction, change: Partial<FlowState>): void {
    for (const way of ['toServer', 'toClient'] as const) {
      if (direction !== 'both' && direction !== way) continue
      Object.assign(this.#flows[way], change)
      for (const link of this.#links) link[way].set(this.#flows[way])
    }
  }

  #open(client: Socket): void {
    const server = connect({ host: '127.0.0.1', ...this.#target, noDelay: true, allowHalfOpen: true })
    const link = new Link(client, server, () => this.#links.delete(link))
    link.toServer.set(this.#flows.toServer)
    link.toClient.set(this.#flows.toClient)
    this.#links.add(link)
  }

  #close(): void {
    this.#server?.close()
    this.#server = null
    this.cut()
  }
}

interface FlowState {
  mode: 'open' | 'hold' | 'swallow'
  delayMs: number
}

/** A connection of a client and the one to the server that belongs to it. */
class Link {
  readonly toServer: TcpFlow
  readonly toClient: TcpFlow
  readonly #sockets: readonly Socket[]

  constructor(client: Socket, server: Socket, closed: () => void) {
    this.#sockets = [client, server]
    this.toServer = new TcpFlow(client, server)
    this.toClient = new TcpFlow(server, client)
    for (const socket of this.#sockets) {
      socket.once('close', () => this.#sockets.every(each => each.closed) && closed())
    }
  }

  /** Whether bytes were swallowed: no TCP connection goes on with a hole in it. */
  get hasHole(): boolean {
    return this.toServer.hasHole || this.toClient.hasHole
  }

  reset(): void {
    this.toServer.stop()
    this.toClient.stop()
    // Node never closes the handle of a socket that is ending when it is reset
    for (const socket of this.#sockets) {
      if (socket.writableEnded) socket.destroy()
      else socket.resetAndDestroy()
    }
  }
}

async function listen(port: number): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    try {
      return await new Promise<Server>((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, '127.0.0.1', () => resolve(server.removeListener('error', reject)))
      })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === LISTEN_ATTEMPTS) throw error
      await wait(20)
    }
  }
}
