import { request as httpRequest, type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { strangeOrigin } from './same-origin.ts'

/** What is handed to whom. */
export interface ProxyOptions {
  /** Path of the WebSockets, on this server and on the other. */
  readonly path: string
  /** HTTP address of the queue server. */
  readonly target: string
  /** Names of this server. @see strangeOrigin */
  readonly allowedHosts: readonly string[]
}

/**
 * Hands WebSockets of the server's own page on to the queue server, so that the page needs to reach, and the queue
 * server to allow, nothing but this program.
 * @returns ends all that are open.
 */
export function proxyWebSockets(server: Server, { path, target, allowedHosts }: ProxyOptions): () => void {
  const open = new Set<Duplex>()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => socket.destroy())
    if (request.url !== path) refuse(socket, 404, `WebSockets are at ${path}`)
    else {
      const problem = strangeOrigin(request, allowedHosts)
      if (problem) refuse(socket, 403, problem)
      else connect(request, socket, head, new URL(path, target))
    }
  })
  return () => {
    for (const socket of open) socket.destroy()
  }
}

/** What was said last: a page tries again and again, and needs no line for each time. */
let lastFailure = ''

function connect(request: IncomingMessage, socket: Duplex, head: Buffer, target: URL): void {
  // the origin has been checked here; the queue server is asked by a program, and so without one
  const {
    host: _host,
    origin: _origin,
    cookie: _cookie,
    authorization: _authorization,
    ...headers
  } = request.headers
  const asked = httpRequest(target, { headers, agent: false })
  const fail = (reason: string) => {
    if (reason !== lastFailure) console.error(`WebSocket to the queue server ${target}: ${reason}`)
    lastFailure = reason
    refuse(socket, 502, 'the queue server does not take the connection')
  }
  asked.on('error', error => fail(error.message))
  asked.on('response', ({ statusCode }) => fail(`refused with ${statusCode}`))
  asked.on('upgrade', (answer, upstream, upstreamHead) => {
    lastFailure = ''
    const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`)
    socket.write(upstreamHead)
    upstream.write(head)
    socket.pipe(upstream).pipe(socket)
    socket.on('close', () => upstream.destroy())
    upstream.on('close', () => socket.destroy())
    upstream.on('error', () => upstream.destroy())
  })
  socket.on('close', () => asked.destroy())
  asked.end()
}

function refuse(socket: Duplex, status: number, detail: string): void {
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/plain',
    `Content-Length: ${Buffer.byteLength(detail)}`
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${detail}`)
}
