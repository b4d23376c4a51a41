import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ExecutionContext } from 'ava'
import { WebSocket } from 'ws'
import { createHttp, type Http, type HttpOptions } from '../../src/http/http.ts'
import { silentLog } from '../../src/log.ts'
import { withDeadline } from './signal.ts'

/** What came back on a raw connection. */
export interface RawAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** A running HTTP side on a free port of the loopback address; closed with the test. */
export async function startHttp(
  t: ExecutionContext,
  options: Partial<HttpOptions> = {}
): Promise<{ http: Http; port: number }> {
  const http = createHttp({
    log: silentLog,
    isReady: () => ({ ready: true }),
    onMqtt: stream => stream.destroy(),
    ...options
  })
  t.teardown(() => http.close())
  const { port } = await http.listen('127.0.0.1', 0)
  return { http, port }
}

/** Sends the lines of a request head as they are, and reads until the server closes. */
export function rawRequest(port: number, lines: readonly string[], body = ''): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1')
  const answer = new Promise<RawAnswer>((resolve, reject) => {
    const chunks: Buffer[] = []
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('end', () => resolve(parseAnswer(Buffer.concat(chunks).toString())))
  })
  return withDeadline(answer, { describe: () => `the answer to ${lines[0]}` }).finally(() => socket.destroy())
}

/** An upgrade request to WebSocket; `headers` replace the usual ones, null leaves one out. */
export function upgradeLines(path: string, headers: Readonly<Record<string, string | null>> = {}): string[] {
  const all: Record<string, string | null> = {
    host: 'localhost',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol': 'mqtt',
    ...headers
  }
  const lines = Object.entries(all).filter(([, value]) => value !== null)
  return [`GET ${path} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`)]
}

/** A server that hands over its MQTT streams one by one, and the port of it. */
export async function startMqttUpgrades(
  t: ExecutionContext,
  options: Partial<HttpOptions> = {}
): Promise<{ http: Http; port: number; nextStream: () => Promise<MqttStream> }> {
  const streams: MqttStream[] = []
  const waiting: ((stream: MqttStream) => void)[] = []
  const onMqtt: HttpOptions['onMqtt'] = stream => {
    t.teardown(() => stream.destroy())
    const taker = waiting.shift()
    if (taker) taker(stream)
    else streams.push(stream)
  }
  const { http, port } = await startHttp(t, { onMqtt, ...options })
  const nextStream = () => {
    const stream = streams.shift()
    const promise = stream
      ? Promise.resolve(stream)
      : new Promise<MqttStream>(resolve => waiting.push(resolve))
    return withDeadline(promise, { describe: () => 'a WebSocket connection at the server' })
  }
  return { http, port, nextStream }
}

/** What `onMqtt` gets. */
export type MqttStream = Duplex & {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
}

/** What a WebSocket client asks for; path /mqtt and subprotocol mqtt unless told otherwise. */
export interface WebSocketRequest {
  readonly path?: string
  readonly protocols?: string[]
  readonly origin?: string
}

/** A WebSocket client, not yet open; cut with the test. */
export function dialWebSocket(t: ExecutionContext, port: number, request: WebSocketRequest = {}): WebSocket {
  const { path = '/mqtt', protocols = ['mqtt'], origin } = request
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, {
    perMessageDeflate: true, // what a server without it must not agree to
    ...(origin === undefined ? {} : { origin })
  })
  socket.on('error', () => {}) // tests look at the close
  t.teardown(() => socket.terminate())
  return socket
}

/** A WebSocket client that is open; cut with the test. */
export async function openWebSocket(
  t: ExecutionContext,
  port: number,
  request: WebSocketRequest = {}
): Promise<WebSocket> {
  const socket = dialWebSocket(t, port, request)
  await withDeadline(once(socket, 'open'), { describe: () => 'a WebSocket to open' })
  return socket
}

/** Whatever was sent to the port before has arrived when this has been answered. */
export async function roundTrip(port: number): Promise<void> {
  await (await fetch(`http://127.0.0.1:${port}/health/live`, { headers: { connection: 'close' } })).text()
}

/** Connects to the port and sends nothing; cut with the test. */
export function openSocket(t: ExecutionContext, port: number): Socket {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  return socket
}

function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...headerLines] = text.slice(0, end).split('\r\n')
  const headers = headerLines.map(line => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  return { status: Number(statusLine.split(' ')[1]), headers: new Map(headers), body: text.slice(end + 4) }
}
