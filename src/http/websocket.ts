import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { errorText, QueueError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { RequestGuard } from './guard.ts'
import { HttpError, pathOf } from './problem.ts'
import { writeProblem } from './replies.ts'
import { type PeerAddress, WebSocketStream } from './websocket-stream.ts'

/** The path of MQTT over WebSocket. */
export const MQTT_PATH = '/mqtt'

/** Names of MQTT as a subprotocol: 3.1.1 and 5 use the first [MQTT-6.0.0-3], 3.1 came with the second. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1']

/** What the WebSocket side works with. */
export interface MqttWebSocketsOptions {
  readonly log: Logger
  readonly guard: RequestGuard
  /** Largest WebSocket message taken, in bytes; a larger one ends the connection with close code 1009. */
  readonly maxMessageBytes: number
  /** How long the other side may take to answer a Close frame before the connection is cut. */
  readonly closeTimeoutMs: number
  /** Gets each connection, as a stream of MQTT bytes. */
  readonly onMqtt: (stream: WebSocketStream, request: IncomingMessage) => void
}

/** The WebSocket side of the HTTP port: takes upgrades on /mqtt, refuses all others with an HTTP answer. */
export class MqttWebSockets {
  readonly #options: MqttWebSocketsOptions
  readonly #server: WebSocketServer
  #isClosing = false

  constructor(options: MqttWebSocketsOptions) {
    this.#options = options
    const settings = {
      noServer: true,
      maxPayload: options.maxMessageBytes,
      perMessageDeflate: false,
      closeTimeout: options.closeTimeoutMs, // known to ws, not to its types
      handleProtocols: (offered: Set<string>) => chooseSubprotocol(offered) ?? false
    }
    this.#server = new WebSocketServer(settings)
    this.#server.on('wsClientError', (error, socket, request) =>
      writeProblem(socket, new HttpError('QUEUE_REQUEST_INVALID', error.message), request.url ?? '')
    )
  }

  /** Listener for `upgrade` of an HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    try {
      this.#check(request)
    } catch (error) {
      writeProblem(socket, error, request.url ?? '')
      return
    }
    const { remoteAddress, remotePort } = request.socket
    this.#server.handleUpgrade(request, socket, head, webSocket =>
      this.#accept(webSocket, request, { remoteAddress, remotePort })
    )
  }

  /** Answers every upgrade from now on with 503. */
  stopAccepting(): void {
    this.#isClosing = true
  }

  /** Closes the connections that there are, with code 1001; a time limit ends those that do not answer. */
  close(): void {
    for (const socket of this.#server.clients) {
      socket.close(1001, 'the server is stopping')
      socket.resume()
    }
  }

  #check(request: IncomingMessage): void {
    if (this.#isClosing) throw new QueueError('QUEUE_SERVER_STOPPING')
    this.#options.guard(request)
    const path = pathOf(request.url ?? '')
    if (path !== MQTT_PATH) {
      throw new QueueError('QUEUE_NOT_FOUND', { detail: { kind: 'WebSocket', name: path.slice(0, 120) } })
    }
    const offered = request.headers['sec-websocket-protocol'] ?? ''
    if (chooseSubprotocol(offered.split(',').map(name => name.trim())) === undefined) {
      throw new HttpError(
        'QUEUE_REQUEST_INVALID',
        `Sec-WebSocket-Protocol must offer mqtt (or mqttv3.1); it is ${JSON.stringify(offered)}`
      )
    }
  }

  #accept(webSocket: WebSocket, request: IncomingMessage, peer: PeerAddress): void {
    const { log, onMqtt } = this.#options
    const stream = new WebSocketStream(webSocket, peer)
    stream.on('error', error =>
      log.debug(
        { address: peer.remoteAddress, port: peer.remotePort, reason: errorText(error) },
        'WebSocket failed'
      )
    )
    try {
      onMqtt(stream, request)
    } catch (error) {
      log.error({ err: error }, 'a WebSocket connection could not be taken over')
      stream.destroy()
    }
  }
}

/** The first name, in the client's order, that is MQTT. */
function chooseSubprotocol(offered: Iterable<string>): string | undefined {
  for (const name of offered) if (SUBPROTOCOLS.includes(name)) return name
  return undefined
}
