import { connect, type Socket } from 'node:net'
import { FIRST, PacketReader } from './load-wire.ts'
import { Signal } from './signal.ts'

/** One connection of a load client: packets in, bytes out in one write per turn. */
export class LoadSocket {
  isClosed = false
  readonly signal = new Signal()
  /** Session Present of the CONNACK; undefined before it came. */
  isSessionPresent: boolean | undefined
  readonly #socket: Socket
  readonly #reader = new PacketReader()
  #outgoing: Buffer[] = []

  /** Connects; `take` gets every packet but CONNACK. */
  constructor(port: number, take: (first: number, body: Buffer) => void) {
    this.#socket = connect(port, '127.0.0.1').setNoDelay()
    this.#socket.on('data', bytes => {
      this.#reader.push(bytes, (first, body) => {
        if (first === FIRST.connack) this.#login(body)
        else take(first, body)
      })
      this.#flush()
      this.signal.notify()
    })
    this.#socket.on('error', () => {}) // a killed server resets; 'close' follows
    this.#socket.on('close', () => {
      this.isClosed = true
      this.signal.notify()
    })
  }

  /** Writes at the end of this turn. */
  send(bytes: Buffer): void {
    if (this.#outgoing.length === 0) queueMicrotask(() => this.#flush())
    this.#outgoing.push(bytes)
  }

  /** Waits for an accepting CONNACK. */
  async login(name: string): Promise<void> {
    const isDone = () => this.isSessionPresent !== undefined || this.isClosed
    await this.signal.until(isDone, { describe: () => `${name} waited for CONNACK` })
    if (this.isSessionPresent === undefined) throw new Error(`${name}: refused or closed before CONNACK`)
  }

  /** Stops and resumes reading, as a stalled client does. */
  pause(isPaused: boolean): void {
    if (isPaused) this.#socket.pause()
    else this.#socket.resume()
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** Sends the rest and closes. */
  end(): void {
    this.#flush()
    this.#socket.end()
  }

  /** Waits for the close. */
  async closed(name: string): Promise<void> {
    await this.signal.until(() => this.isClosed, { describe: () => `${name} waited for the close` })
  }

  #login(body: Buffer): void {
    if (body[1] === 0) this.isSessionPresent = (body[0]! & 1) === 1
    else this.destroy()
  }

  #flush(): void {
    if (this.#outgoing.length === 0) return
    if (!this.isClosed) this.#socket.write(Buffer.concat(this.#outgoing))
    this.#outgoing = []
  }
}
