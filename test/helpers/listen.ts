import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'
import type { Settings } from '../../src/config/settings.ts'
import type { Store } from '../../src/store/store.ts'
import { startCore, type TestCore } from './core.ts'
import type { ModelStore } from './model-store.ts'
import { RawClient, type RawConnect } from './raw-client.ts'

/** A core that listens on a port of this machine. */
export interface Listening<S extends Store> extends TestCore<S> {
  readonly port: number
  /** A socket that has sent nothing; destroyed when the test ends. */
  dial(): Socket
  /** The server's end of a connected socket. */
  peerOf(socket: Socket): Socket | undefined
  /** A client over TCP, logged in, and its socket. */
  join(options?: RawConnect): Promise<{ readonly client: RawClient; readonly socket: Socket }>
}

/** Starts the stages of a server and a listener in this process, for what only real sockets show. */
export async function listen<S extends Store = ModelStore>(
  t: ExecutionContext,
  options: { readonly store?: S; readonly settings?: Partial<Settings> } = {}
): Promise<Listening<S>> {
  const scene = await startCore<S>(t, options)
  const peers = new Map<number | undefined, Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    const { remotePort } = socket
    peers.set(remotePort, socket)
    socket.on('close', () => peers.delete(remotePort))
    scene.core.front.handle(socket)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', 4_096, resolve))
  const { port } = server.address() as AddressInfo
  const sockets = new Set<Socket>()
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const dial = () => {
    const socket = connect(port, '127.0.0.1').setNoDelay()
    socket.on('error', () => {}) // a reset ends in 'close' as well
    socket.on('close', () => sockets.delete(socket))
    sockets.add(socket)
    return socket
  }
  return {
    ...scene,
    port,
    dial,
    peerOf: socket => peers.get(socket.localPort),
    async join(connectOptions = {}) {
      const socket = dial()
      const client = RawClient.open(socket)
      await client.login(connectOptions)
      return { client, socket }
    }
  }
}
