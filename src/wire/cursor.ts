import { isUtf8 } from 'node:buffer'
import { QueueError } from '../errors.ts'
import { readVarint, varintBytes, varintValue } from './varint.ts'

/** The error of a packet that breaks the format. */
export function malformed(problem: string): QueueError {
  return new QueueError('QUEUE_PACKET_MALFORMED', { detail: { problem } })
}

/** The error of a packet that is well formed and not allowed. */
export function protocolError(problem: string): QueueError {
  return new QueueError('QUEUE_PROTOCOL_ERROR', { detail: { problem } })
}

/** Reads the fields of one packet, checking every length. Throws QUEUE_PACKET_MALFORMED. */
export class PacketCursor {
  readonly bytes: Buffer
  at: number
  readonly end: number

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get isAtEnd(): boolean {
    return this.at >= this.end
  }

  byte(): number {
    this.#need(1)
    return this.bytes[this.at++]!
  }

  uint16(): number {
    this.#need(2)
    const value = this.bytes.readUInt16BE(this.at)
    this.at += 2
    return value
  }

  uint32(): number {
    this.#need(4)
    const value = this.bytes.readUInt32BE(this.at)
    this.at += 4
    return value
  }

  varint(): number {
    const packed = readVarint(this.bytes, this.at, this.end)
    if (packed <= 0) throw malformed('a Variable Byte Integer is cut off or too long')
    this.at += varintBytes(packed)
    return varintValue(packed)
  }

  /** Binary data with its two length bytes: a view. @see MQTT 5.0 section 1.5.6 */
  binary(): Buffer {
    const length = this.uint16()
    this.#need(length)
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  /** A UTF-8 string with its two length bytes. @see MQTT 5.0 section 1.5.4 */
  text(what: string): string {
    const bytes = this.binary()
    if (!isUtf8(bytes)) throw malformed(`${what} is not valid UTF-8`) // [MQTT-1.5.4-1]
    const text = bytes.toString('utf8')
    if (text.includes('\0')) throw malformed(`${what} has the character U+0000`) // [MQTT-1.5.4-2]
    return text
  }

  /** Steps over the properties and answers with a view of them, length not included. */
  properties(): Buffer {
    const length = this.varint()
    this.#need(length)
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  #need(length: number): void {
    if (this.at + length > this.end) throw malformed('the packet ends in the middle of a field')
  }
}
