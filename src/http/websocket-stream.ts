import { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import { QueueError } from '../errors.ts'

const HIGH_WATER_BYTES = 65_536

/** Where the other end of a connection is. */
export interface PeerAddress {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
}

/**
 * An open WebSocket as a stream of bytes, with back-pressure both ways: what is not read stays at the sender, and
 * `write` says when to wait. What one call writes goes out as one binary frame; frames that come in may be cut
 * anywhere [MQTT-6.0.0-2]. A text frame ends it: close code 1003, then `error` QUEUE_PROTOCOL_ERROR [MQTT-6.0.0-1].
 *
 * `end` closes with code 1000 after what was written, and stops reading; `destroy` cuts the connection at once.
 */
export class WebSocketStream extends Duplex {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly #socket: WebSocket
  /** Whether a closing handshake says why; the socket's own time limit ends it when the other side does not answer. */
  #isClosing = false

  constructor(socket: WebSocket, { remoteAddress, remotePort }: PeerAddress) {
    super({ allowHalfOpen: false, highWaterMark: HIGH_WATER_BYTES })
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
    this.#socket = socket
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary))
    socket.on('error', error => this.#leave(error)) // ws itself tells the other side why
    socket.on('close', () => {
      if (!this.destroyed) this.push(null)
    })
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#socket.send(chunk, { binary: true }, callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    const last = chunks.length - 1
    for (let i = 0; i < last; i++) this.#socket.send(chunks[i]!.chunk, { binary: true }, ignore)
    this.#socket.send(chunks[last]!.chunk, { binary: true }, callback) // errors of those before it come here too
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#socket.readyState === this.#socket.CLOSED) {
      callback()
      return
    }
    this.#socket.once('close', () => {
      callback()
      this.destroy()
    })
    this.#socket.close(1000)
    this.#socket.resume() // to see the answer
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.#isClosing) this.#socket.terminate()
    callback(error)
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.destroyed || this.writableEnded) return
    if (!isBinary) {
      this.#socket.close(1003, 'MQTT needs binary frames')
      this.#leave(new QueueError('QUEUE_PROTOCOL_ERROR', { detail: { problem: 'a WebSocket text frame' } }))
      return
    }
    // a Buffer, since the socket's binaryType is left at nodebuffer
    if (!this.push(data as Buffer)) this.#socket.pause()
  }

  #leave(error: Error): void {
    this.#isClosing = true
    this.#socket.resume()
    this.destroy(error)
  }
}

function ignore(): void {}
