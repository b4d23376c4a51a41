import { duplexPair } from 'node:stream'
import type { TestCore } from './core.ts'
import type { ModelStore } from './model-store.ts'
import { DEADLINE_MS, Signal } from './signal.ts'

/** Bytes of a packet, or of a part of one. */
export type Bytes = readonly number[]

/** A string field: two length bytes and UTF-8; bytes are taken as they are. */
export function text(value: string | Bytes): Bytes {
  const bytes = typeof value === 'string' ? [...Buffer.from(value)] : value
  return [bytes.length >> 8, bytes.length & 255, ...bytes]
}

/** A Variable Byte Integer in as few bytes as possible. */
export function varint(value: number): Bytes {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
}

/** A packet from its first byte and the parts of its body. */
export function packet(header: number, ...parts: readonly (number | Bytes)[]): Bytes {
  const body = parts.flat()
  return [header, ...varint(body.length), ...body]
}

/** Properties of MQTT 5 with their length in front. */
export function properties(...parts: readonly Bytes[]): Bytes {
  const bytes = parts.flat()
  return [...varint(bytes.length), ...bytes]
}

/** What CONNECT is made of. */
export interface ConnectParts {
  readonly version?: 4 | 5
  /** Connect Flags; default: Clean Session only. */
  readonly flags?: number
  /** MQTT 5: the properties without their length. */
  readonly properties?: Bytes
  /** What follows the variable header; default: a client id. */
  readonly payload?: Bytes
}

/** A CONNECT whose flags, properties and payload need not fit together. */
export function connect({ version = 4, flags = 2, ...rest }: ConnectParts): Bytes {
  const ours = version === 5 ? properties(rest.properties ?? []) : []
  return packet(0x10, text('MQTT'), version, flags, 0, 0, ours, rest.payload ?? text('visitor'))
}

/** One packet as it came: its first byte, its Remaining Length as written, its body. */
export interface RawPacket {
  readonly header: number
  readonly length: Bytes
  readonly body: Buffer
}

/** A client that reads no more than packets as bytes, for what a parser would hide. */
export class ByteClient {
  readonly packets: RawPacket[] = []
  isClosed = false
  readonly #signal = new Signal()
  readonly #stream
  #rest: Buffer = Buffer.alloc(0)

  private constructor(core: TestCore<ModelStore>['core']) {
    const [ours, theirs] = duplexPair()
    this.#stream = ours
    ours.on('data', (chunk: Buffer) => this.#read(chunk))
    ours.on('end', () => ours.end())
    ours.on('error', () => {})
    ours.on('close', () => {
      theirs.destroy()
      this.isClosed = true
      this.#signal.notify()
    })
    core.front.handle(theirs)
  }

  /** Opens a connection to a core and sends these bytes. */
  static open({ core }: Pick<TestCore<ModelStore>, 'core'>, ...first: readonly Bytes[]): ByteClient {
    const client = new ByteClient(core)
    client.send(...first)
    return client
  }

  send(...packets: readonly Bytes[]): void {
    this.#stream.write(Buffer.from(packets.flat()))
  }

  /** Ends this side, as a client does that says no more. */
  end(): void {
    this.#stream.end()
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#stream.destroy()
  }

  /** The packet at this place, once it has come. */
  async packet(index: number): Promise<RawPacket> {
    return await this.#signal.until(() => this.packets[index], {
      deadlineMs: DEADLINE_MS,
      describe: () => `packet ${index}; ${this.packets.length} came`
    })
  }

  /** Resolves when the connection is closed. */
  async closed(deadlineMs = DEADLINE_MS): Promise<void> {
    await this.#signal.until(() => this.isClosed, { deadlineMs, describe: () => 'a close' })
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    for (let found = cut(this.#rest); found; found = cut(this.#rest)) {
      this.packets.push(found.packet)
      this.#rest = found.rest
    }
    this.#signal.notify()
  }
}

/** The first packet of a stream of bytes, and what follows it; null when it is not whole. */
function cut(bytes: Buffer): { packet: RawPacket; rest: Buffer } | null {
  let size = 0
  for (let at = 1; at < bytes.length && at <= 4; at++) {
    size += (bytes[at]! & 127) * 128 ** (at - 1)
    if (bytes[at]! > 127) continue
    const end = at + 1 + size
    if (end > bytes.length) return null
    const length = [...bytes.subarray(1, at + 1)]
    return {
      packet: { header: bytes[0]!, length, body: bytes.subarray(at + 1, end) },
      rest: bytes.subarray(end)
    }
  }
  return null
}
