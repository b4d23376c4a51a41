import { connect, type Socket } from 'node:net'

/** Takes a packet: its type, and its body bytes[body .. end). */
export type PacketHandler = (type: number, bytes: Buffer, body: number, end: number) => void

/**
 * A bare MQTT 3.1.1 client for load: packets are built by hand and counted, not parsed, so that the client takes as
 * little of the machine as it can. It is no model of how to write a client.
 */
export class RawClient {
  readonly #socket: Socket
  #rest = Buffer.alloc(0)
  #onPacket: PacketHandler = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', chunk => this.#read(chunk))
    socket.on('error', () => {})
  }

  /** Connects and waits for CONNACK; what comes right behind it goes to `onPacket`. */
  static async connect(
    port: number,
    clientId: string,
    isClean: boolean,
    onPacket: PacketHandler = () => {}
  ): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    const client = new RawClient(socket)
    const id = field(clientId)
    const head = Buffer.from([0, 4, 77, 81, 84, 84, 4, isClean ? 2 : 0, 0, 0])
    client.write(packet(0x10, Buffer.concat([head, id])))
    await new Promise<void>(resolve => {
      client.onPacket = () => {
        client.onPacket = onPacket
        resolve()
      }
    })
    return client
  }

  set onPacket(handler: PacketHandler) {
    this.#onPacket = handler
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /** Resolves at the next packet of a type. */
  next(type: number): Promise<void> {
    return new Promise(resolve => {
      this.#onPacket = got => {
        if (got === type) resolve()
      }
    })
  }

  async subscribe(filter: string, qos: number): Promise<void> {
    const acked = this.next(9)
    this.write(packet(0x82, Buffer.concat([Buffer.from([0, 1]), field(filter), Buffer.of(qos)])))
    await acked
  }

  /** Ends with DISCONNECT and waits until the socket is closed. */
  async end(): Promise<void> {
    const closed = new Promise(resolve => this.#socket.once('close', resolve))
    this.#socket.end(Buffer.from([0xe0, 0]))
    await closed
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    let at = 0
    for (;;) {
      if (bytes.length - at < 2) break
      let remaining = 0
      let factor = 1
      let body = at + 1
      let byte = 128
      while (byte > 127 && body < bytes.length) {
        byte = bytes[body++]!
        remaining += (byte & 127) * factor
        factor *= 128
      }
      if (byte > 127 || body + remaining > bytes.length) break
      this.#onPacket(bytes[at]! >> 4, bytes, body, body + remaining)
      at = body + remaining
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at))
  }
}

/** A string with its two length bytes. */
export function field(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes])
}

/** A packet of a first byte and a body. */
export function packet(header: number, body: Buffer): Buffer {
  const length: number[] = []
  let rest = body.length
  do {
    length.push((rest % 128) | (rest > 127 ? 128 : 0))
    rest = Math.floor(rest / 128)
  } while (rest > 0)
  return Buffer.concat([Buffer.of(header), Buffer.from(length), body])
}

/** A QoS 1 PUBLISH and the offset of its packet id. */
export function publishTemplate(topic: string, payload: Buffer): { bytes: Buffer; idAt: number } {
  const name = field(topic)
  const bytes = packet(0x32, Buffer.concat([name, Buffer.alloc(2), payload]))
  return { bytes, idAt: bytes.length - payload.length - 2 }
}
