import { QueueError } from '../errors.ts'
import { readVarint, varintBytes, varintValue } from './varint.ts'

/** Takes the packets of one connection, in order. */
export interface PacketSink {
  /**
   * One whole packet: bytes[start .. end), its body from `body`. `header` is its first byte.
   * The bytes are a view of what was read: keep a copy of what outlives the call.
   */
  packet(header: number, bytes: Buffer, start: number, body: number, end: number): void
  /** While true no packet is handed over; call {@link Framer.resume} afterwards. */
  readonly isHeld: boolean
  /** Largest packet taken, fixed header included. */
  readonly maxPacketBytes: number
}

const EMPTY = Buffer.alloc(0)
/** So many pieces become one: each takes some hundred bytes besides its own. */
const MAX_SMALL_PIECES = 512

/**
 * Cuts the byte stream of a connection into MQTT packets. A packet that came in pieces is joined once, when it is
 * whole. @see MQTT 5.0 section 2.1 (fixed header)
 */
export class Framer {
  readonly #sink: PacketSink
  #rest: Buffer = EMPTY
  #pieces: Buffer[] = []
  #piecesBytes = 0
  /** Pieces at the end that were not put together yet. */
  #smallPieces = 0
  /** Bytes wanted before it is worth looking again; 0: look at once. */
  #wantedBytes = 0

  constructor(sink: PacketSink) {
    this.#sink = sink
  }

  /** Bytes that are kept for a packet not yet whole, or while held. */
  get pendingBytes(): number {
    return this.#rest.length + this.#piecesBytes
  }

  /**
   * Takes what was read from the socket.
   * @throws QueueError QUEUE_PACKET_MALFORMED, QUEUE_PACKET_TOO_LARGE, and what the sink throws.
   */
  push(chunk: Buffer): void {
    if (this.pendingBytes > 0) {
      this.#pieces.push(chunk)
      this.#piecesBytes += chunk.length
      if (++this.#smallPieces === MAX_SMALL_PIECES) this.#joinSmall()
      if (this.#sink.isHeld || this.pendingBytes < this.#wantedBytes) return
      this.#join()
    } else this.#rest = chunk
    this.#cut()
  }

  /** Goes on after a hold. Throws as {@link push}. */
  resume(): void {
    this.#join()
    this.#cut()
  }

  /** Forgets what is pending; the connection is over. */
  clear(): void {
    this.#rest = EMPTY
    this.#forgetPieces()
  }

  #join(): void {
    if (this.#pieces.length === 0) return
    const pieces = this.#rest.length > 0 ? [this.#rest, ...this.#pieces] : this.#pieces
    this.#rest = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
    this.#forgetPieces()
  }

  /** A packet that comes byte by byte is not to take hundreds of times its size. */
  #joinSmall(): void {
    const small = this.#pieces.splice(-MAX_SMALL_PIECES)
    this.#pieces.push(Buffer.concat(small))
    this.#smallPieces = 0
  }

  #forgetPieces(): void {
    this.#pieces = []
    this.#piecesBytes = 0
    this.#smallPieces = 0
  }

  #cut(): void {
    const bytes = this.#rest
    const length = bytes.length
    let at = 0
    this.#wantedBytes = 0
    while (!this.#sink.isHeld && length - at >= 2) {
      const packed = readVarint(bytes, at + 1, length)
      if (packed < 0) throw malformed('the remaining length is not a valid Variable Byte Integer')
      if (packed === 0) break
      const body = at + 1 + varintBytes(packed)
      const end = body + varintValue(packed)
      if (end - at > this.#sink.maxPacketBytes) throw tooLarge(end - at, this.#sink.maxPacketBytes)
      if (end > length) {
        this.#wantedBytes = end - at
        break
      }
      const start = at
      at = end
      this.#sink.packet(bytes[start]!, bytes, start, body, end)
    }
    // a closed sink has called clear(): what is left must not come back
    if (this.#rest === bytes) this.#rest = at === length ? EMPTY : at === 0 ? bytes : bytes.subarray(at)
  }
}

function malformed(problem: string): QueueError {
  return new QueueError('QUEUE_PACKET_MALFORMED', { detail: { problem } })
}

function tooLarge(bytes: number, limit: number): QueueError {
  return new QueueError('QUEUE_PACKET_TOO_LARGE', { detail: { bytes, limit } })
}
