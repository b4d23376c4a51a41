import type { Message } from '../wire/message.ts'

/** Bytes that an entry adds besides its packet. */
const ACK_BYTES = 4

/**
 * What one connection is to be sent in this turn: messages as shared bytes, acks as two numbers, other packets as they
 * are. `take` copies all of it into one buffer, patching first bytes and packet ids in the copy.
 */
export class Outbox {
  /** A message, a packet, or null for an ack. */
  #items: (Message | Buffer | null)[] = []
  #headers: number[] = []
  #packetIds: number[] = []
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  /** A PUBLISH; packet id 0 when its form has none. */
  publish(message: Message, header: number, packetId: number): void {
    this.#add(message, header, packetId, message.length)
  }

  /** A packet of a first byte and a packet id: PUBACK and its kin in their short form. */
  ack(header: number, packetId: number): void {
    this.#add(null, header, packetId, ACK_BYTES)
  }

  /** A whole packet. */
  packet(packet: Buffer): void {
    this.#add(packet, 0, 0, packet.length)
  }

  /** All of it in one buffer, in order; empties the box. */
  take(): Buffer {
    const items = this.#items
    const out = this.#bytes > 4_000 ? Buffer.allocUnsafeSlow(this.#bytes) : Buffer.allocUnsafe(this.#bytes)
    let at = 0
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!
      if (item === null) at = writeAck(out, at, this.#headers[i]!, this.#packetIds[i]!)
      else if (Buffer.isBuffer(item)) at += item.copy(out, at)
      else at = writePublish(out, at, item, this.#headers[i]!, this.#packetIds[i]!)
    }
    this.clear()
    return out
  }

  /** Forgets everything. */
  clear(): void {
    this.#items = []
    this.#headers = []
    this.#packetIds = []
    this.#bytes = 0
  }

  #add(item: Message | Buffer | null, header: number, packetId: number, bytes: number): void {
    this.#items.push(item)
    this.#headers.push(header)
    this.#packetIds.push(packetId)
    this.#bytes += bytes
  }
}

function writeAck(out: Buffer, at: number, header: number, packetId: number): number {
  out[at] = header
  out[at + 1] = 2
  out[at + 2] = packetId >> 8
  out[at + 3] = packetId & 255
  return at + ACK_BYTES
}

function writePublish(out: Buffer, at: number, message: Message, header: number, packetId: number): number {
  message.bytes.copy(out, at, message.offset, message.offset + message.length)
  out[at] = header
  if (packetId !== 0) {
    out[at + message.idOffset] = packetId >> 8
    out[at + message.idOffset + 1] = packetId & 255
  }
  return at + message.length
}
