import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { Signal } from '../helpers/signal.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

test('bytes and the end of a stream pass in both directions', async t => {
  const { proxy, server } = await scene(t)
  const [ours, theirs] = await pair(proxy, server)
  ours.write('to the server')
  await theirs.heard('to the server')
  theirs.write('to the client')
  await ours.heard('to the client')
  ours.socket.end()
  await theirs.until(() => theirs.hasEnded)
  theirs.write(', which listens on')
  await ours.heard('to the client, which listens on')
  theirs.socket.end()
  await ours.until(() => ours.isClosed)
  await theirs.until(() => theirs.isClosed)
  t.is(ours.error, undefined)
  t.is(theirs.error, undefined)
  t.is(proxy.connections, 0)
})

test('what is more than the sockets take passes complete', async t => {
  const { proxy, server } = await scene(t)
  const [ours, theirs] = await pair(proxy, server)
  const bytes = 'x'.repeat(8 * 1_048_576)
  ours.write(bytes)
  await theirs.heard(bytes)
  t.is(theirs.text.length, bytes.length)
})

test('a cut resets both ends, and the next connection passes', async t => {
  const { proxy, server } = await scene(t)
  const [ours, theirs] = await pair(proxy, server)
  proxy.cut()
  await ours.until(() => ours.isClosed)
  await theirs.until(() => theirs.isClosed)
  t.is(ours.error, 'ECONNRESET')
  t.is(theirs.error, 'ECONNRESET')
  const [next, peer] = await pair(proxy, server)
  next.write('again')
  await peer.heard('again')
  t.is(proxy.connections, 1)
})

test('a reset of one end is a reset of the other', async t => {
  const { proxy, server } = await scene(t)
  const [ours, theirs] = await pair(proxy, server)
  theirs.socket.resetAndDestroy()
  await ours.until(() => ours.isClosed)
  t.is(ours.error, 'ECONNRESET')
})

test('bytes of a held direction wait while the other one goes on', async t => {
  const { proxy, server } = await scene(t)
  const [ours, theirs] = await pair(proxy, server)
  proxy.hold('toServer')
  ours.write('held')
  theirs.write('passes')
  await ours.heard('passes')
  t.is(theirs.text, '')
  await proxy.resume()
  await theirs.heard('held')
  t.false(ours.isClosed || theirs.isClosed)
})

test('what is held arrives although its sender has closed the connection', async t => {
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const { proxy, server } = await scene(t)
    const [ours, theirs] = await pair(proxy, server)
    proxy.hold('toServer')
    ours.write('late')
    // the proxy has it when a later byte of the other direction is back
    theirs.write('!')
    await ours.heard('!')
    ours.socket[leave]()
    t.is(theirs.text, '')
    await proxy.resume()
    await theirs.heard('late')
    await theirs.until(() => theirs.hasEnded || theirs.isClosed)
  }
})

test('a connection that is opened while bytes are held waits as well', async t => {
  const { proxy, server } = await scene(t)
  proxy.hold()
  const ours = new End(connect(proxy.port, '127.0.0.1'))
  ours.write('first')
  await ours.until(() => !ours.socket.connecting)
  const theirs = await server.next()
  t.is(theirs.text, '')
  await proxy.resume()
  await theirs.heard('first')
})

test('swallowed bytes are lost, and the connection is reset when the link is healed', async t => {
  const { proxy, server } = await scene(t)
  const [ours, theirs] = await pair(proxy, server)
  const [quiet, peer] = await pair(proxy, server)
  proxy.swallow('toClient')
  ours.write('passes')
  await theirs.heard('passes')
  theirs.write('lost')
  theirs.socket.end()
  await theirs.until(() => theirs.socket.writableFinished)
  ours.write(', still')
  await theirs.heard('passes, still')
  t.is(ours.text, '')
  t.false(ours.isClosed)
  await proxy.resume()
  await ours.until(() => ours.isClosed)
  t.is(ours.error, 'ECONNRESET')
  t.is(ours.text, '')
  // no byte was lost on this one
  quiet.write('unharmed')
  await peer.heard('unharmed')
})

test('delayed bytes come later, in order, and at once when the delay ends', async t => {
  const { proxy, server } = await scene(t)
  const [ours, theirs] = await pair(proxy, server)
  proxy.delay(80, 'toServer')
  const began = performance.now()
  ours.write('a')
  ours.write('b')
  await theirs.heard('ab')
  t.true(performance.now() - began >= 79)
  proxy.delay(3_600_000, 'toServer')
  ours.write('c')
  theirs.write('!')
  await ours.heard('!')
  t.is(theirs.text, 'ab')
  await proxy.resume()
  await theirs.heard('abc')
})

test('new connections are refused while open ones stay, and accepted on the same port afterwards', async t => {
  const { proxy, server } = await scene(t)
  const [ours, theirs] = await pair(proxy, server)
  proxy.refuse()
  const refused = new End(connect(proxy.port, '127.0.0.1'))
  await refused.until(() => refused.isClosed)
  t.is(refused.error, 'ECONNREFUSED')
  ours.write('stays')
  await theirs.heard('stays')
  const { port } = proxy
  await proxy.resume()
  t.is(proxy.port, port)
  const [next, peer] = await pair(proxy, server)
  next.write('again')
  await peer.heard('again')
})

test('a dropped server takes its connections along', async t => {
  const { proxy, server } = await scene(t)
  const [ours] = await pair(proxy, server)
  proxy.drop()
  await ours.until(() => ours.isClosed)
  const refused = new End(connect(proxy.port, '127.0.0.1'))
  await refused.until(() => refused.isClosed)
  t.is(refused.error, 'ECONNREFUSED')
})

test('a server that does not listen is a reset, and another one can take its place', async t => {
  const { proxy, server } = await scene(t)
  const other = await Peer.start(t)
  await server.close()
  const ours = new End(connect(proxy.port, '127.0.0.1'))
  await ours.until(() => ours.isClosed)
  t.is(ours.error, 'ECONNRESET')
  proxy.retarget({ port: other.port })
  const [next, peer] = await pair(proxy, other)
  next.write('there')
  await peer.heard('there')
  t.pass()
})

async function scene(t: ExecutionContext): Promise<{ proxy: TcpProxy; server: Peer }> {
  const server = await Peer.start(t)
  return { proxy: await TcpProxy.start(t, { port: server.port }), server }
}

/** Both ends of a new connection through the proxy. */
async function pair(proxy: TcpProxy, server: Peer): Promise<[End, End]> {
  const ours = new End(connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }))
  return [ours, await server.next()]
}

/** A socket and what came out of it. */
class End {
  readonly socket: Socket
  text = ''
  error: string | undefined
  hasEnded = false
  isClosed = false
  readonly #signal = new Signal()

  constructor(socket: Socket) {
    this.socket = socket
    const changed = (change: () => void) => {
      change()
      this.#signal.notify()
    }
    socket.on('connect', () => changed(() => {}))
    socket.on('data', (bytes: Buffer) => changed(() => (this.text += bytes.toString())))
    socket.on('end', () => changed(() => (this.hasEnded = true)))
    socket.on('finish', () => changed(() => {}))
    socket.on('close', () => changed(() => (this.isClosed = true)))
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code))
  }

  write(text: string): void {
    this.socket.write(text)
  }

  until(condition: () => boolean): Promise<true> {
    const seen = () => `read ${this.text.length} bytes, error ${this.error}, closed ${this.isClosed}`
    return this.#signal.until(() => condition() || undefined, { describe: seen })
  }

  heard(text: string): Promise<true> {
    return this.until(() => this.text === text)
  }
}

/** A server that does nothing by itself. */
class Peer {
  readonly #server: Server
  readonly #ends: End[] = []
  readonly #signal = new Signal()

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', socket => {
      this.#ends.push(new End(socket))
      this.#signal.notify()
    })
  }

  static async start(t: ExecutionContext): Promise<Peer> {
    const server = createServer({ allowHalfOpen: true })
    const peer = new Peer(server)
    t.teardown(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return peer
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  next(): Promise<End> {
    return this.#signal.until(() => this.#ends.shift(), { describe: () => 'no connection came' })
  }

  async close(): Promise<void> {
    this.#server.close()
    await once(this.#server, 'close')
  }
}
