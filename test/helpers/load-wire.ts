/**
 * Just enough of MQTT 3.1.1 and 5 for load: built and read by hand, because a general codec costs more per packet
 * than the server under test, and a second opinion on the wire format does no harm.
 */

/** First bytes of the packets that load clients send or read. */
export const FIRST = {
  connack: 0x20,
  publish: 0x30,
  puback: 0x40,
  pingresp: 0xd0,
  disconnect: 0xe0,
  suback: 0x90
} as const

/** A CONNECT packet. `receiveMaximum` and `expirySeconds` count for MQTT 5 only. */
export interface LoadConnect {
  readonly clientId: string
  readonly isV5: boolean
  readonly isClean: boolean
  readonly receiveMaximum?: number
  readonly expirySeconds?: number
}

/** Builds CONNECT without keep-alive. */
export function connectPacket({ clientId, isV5, isClean, ...options }: LoadConnect): Buffer {
  const properties = Buffer.alloc(isV5 ? 8 : 0)
  if (isV5) {
    properties[0] = 0x11 // Session Expiry Interval
    properties.writeUInt32BE(options.expirySeconds ?? 0xffff_ffff, 1)
    properties[5] = 0x21 // Receive Maximum
    properties.writeUInt16BE(options.receiveMaximum ?? 65_535, 6)
  }
  const head = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, isV5 ? 5 : 4, isClean ? 2 : 0, 0, 0])
  const body = [head, ...(isV5 ? [Buffer.from([properties.length]), properties] : []), text(clientId)]
  return packet(0x10, Buffer.concat(body))
}

/** Builds SUBSCRIBE of one filter. */
export function subscribePacket(filter: string, qos: number, isV5: boolean): Buffer {
  return packet(
    0x82,
    Buffer.concat([Buffer.from(isV5 ? [0, 1, 0] : [0, 1]), text(filter), Buffer.from([qos])])
  )
}

/** What {@link publishPacket} puts together. */
export interface LoadPublish {
  readonly topic: Buffer
  readonly payload: string
  /** Padded with blanks to at least so many bytes. */
  readonly payloadBytes: number
  readonly packetId: number
  readonly isDup: boolean
  readonly isV5: boolean
}

/** Builds a PUBLISH of QoS 1. `topic` is a length-prefixed string, see {@link text}. */
export function publishPacket({ topic, payload, payloadBytes, packetId, isDup, isV5 }: LoadPublish): Buffer {
  const id = Buffer.from(isV5 ? [packetId >> 8, packetId & 255, 0] : [packetId >> 8, packetId & 255])
  return packet(
    isDup ? 0x3a : 0x32,
    Buffer.concat([topic, id, Buffer.from(payload.padEnd(payloadBytes, ' '))])
  )
}

/** Builds PUBACK. */
export function pubackPacket(packetId: number): Buffer {
  return Buffer.from([FIRST.puback, 2, packetId >> 8, packetId & 255])
}

/** The DISCONNECT packet. */
export const DISCONNECT = Buffer.from([FIRST.disconnect, 0])

/** A string with its two length bytes. */
export function text(value: string): Buffer {
  const field = Buffer.alloc(2 + Buffer.byteLength(value))
  field.writeUInt16BE(field.length - 2)
  field.write(value, 2)
  return field
}

/** A received PUBLISH. */
export interface LoadMessage {
  readonly topic: string
  readonly payload: string
  readonly packetId: number
  readonly qos: number
  readonly isDup: boolean
}

/** Reads the body of a PUBLISH whose first byte is `first`. */
export function readPublish(first: number, body: Buffer, isV5: boolean): LoadMessage {
  const qos = (first >> 1) & 3
  let at = 2 + body.readUInt16BE(0)
  const topic = body.toString('utf8', 2, at)
  const packetId = qos > 0 ? body.readUInt16BE(at) : 0
  if (qos > 0) at += 2
  if (isV5) at += 1 + body[at]! // load publishes carry fewer than 128 bytes of properties
  return { topic, payload: body.toString('utf8', at).trimEnd(), packetId, qos, isDup: (first & 8) !== 0 }
}

/** Cuts a stream of bytes into packets. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0)

  /** Takes bytes; calls back with first byte and body of every whole packet. */
  push(bytes: Buffer, take: (first: number, body: Buffer) => void): void {
    const all = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    let at = 0
    while (at + 2 <= all.length) {
      const [length, lengthBytes] = readLength(all, at + 1)
      const start = at + 1 + lengthBytes
      if (lengthBytes === 0 || start + length > all.length) break
      take(all[at]!, all.subarray(start, start + length))
      at = start + length
    }
    this.#rest = all.subarray(at)
  }
}

/** Value and bytes of a remaining length; no bytes when it is not all there. */
function readLength(source: Buffer, offset: number): [value: number, bytes: number] {
  let value = 0
  for (let i = 0; i < 4 && offset + i < source.length; i++) {
    const byte = source[offset + i]!
    value += (byte & 127) * 128 ** i
    if (byte < 128) return [value, i + 1]
  }
  return [0, 0]
}

function packet(first: number, body: Buffer): Buffer {
  const head = [first]
  let rest = body.length
  do {
    head.push(rest > 127 ? (rest & 127) | 128 : rest)
    rest = Math.floor(rest / 128)
  } while (rest > 0)
  return Buffer.concat([Buffer.from(head), body])
}
