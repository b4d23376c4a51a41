import { buildPublish, NOTHING, QOS_MASK } from './publish.ts'
import { readVarint, varintBytes, varintValue } from './varint.ts'

/** Kinds of {@link Message.origin}; they stand in records as flags, so they never change. */
export const ORIGIN = {
  /** A QoS 2 publish: its packet id is taken in the publisher's session until PUBREL. */
  inbound: 2,
  /** A will: it is done with when this message is stored. */
  will: 4
} as const

/**
 * One PUBLISH, kept as the bytes of its packet. The same bytes go to disk and to every subscriber of that
 * protocol version; whoever sends them patches the first byte and the packet id in his own copy. Other forms
 * (other version, with or without packet id) are built once and shared.
 *
 * ```
 * bytes  ...[ 0x3q | remaining length | topic length, topic | packet id | properties | payload ]...
 *           ^offset                                         ^offset + idOffset (QoS > 0)       ^offset + length
 * ```
 */
export class Message {
  /** Place in the lane; 0 when it is not in the journal. */
  sequence = 0
  /** When it was accepted, milliseconds since 1970. */
  acceptedAt = 0
  /** When it is worthless, milliseconds since 1970; 0: never. @see MQTT 5.0 section 3.3.2.3.3 */
  expiresAt = 0
  /** Client id of the publisher; '' when it came from inside. */
  publisher = ''
  /** What its acceptance changed besides the lane, as {@link ORIGIN}; 0: nothing. */
  origin = 0
  /** The session whose inbound packet id it took, or the will that it is. */
  originId = 0
  readonly bytes: Buffer
  readonly offset: number
  readonly length: number
  /** Whether the packet is in the format of MQTT 5 (with properties). */
  readonly isV5: boolean
  /** QoS of the publish, 0 to 2. */
  readonly qos: number
  /** From `offset` to just behind the topic: where the packet id is, when there is one. */
  readonly idOffset: number
  readonly #topicOffset: number
  #forms: (Message | undefined)[] | undefined

  /** Takes a checked PUBLISH packet at bytes[offset .. offset + length). */
  constructor(bytes: Buffer, offset: number, length: number, isV5: boolean) {
    this.bytes = bytes
    this.offset = offset
    this.length = length
    this.isV5 = isV5
    this.qos = (bytes[offset]! & QOS_MASK) >> 1
    let at = offset + 1
    while (bytes[at]! > 127) at++
    at++
    this.#topicOffset = at - offset
    this.idOffset = at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!) - offset
  }

  /** Builds a message from its parts (in-process publishes, tests). Properties without their length; MQTT 5 when given. */
  static from(parts: {
    topicField: Buffer
    payload: Buffer
    qos: number
    isRetained?: boolean
    properties?: Buffer | null
  }): Message {
    const properties = parts.properties ?? null
    const packet = buildPublish({
      header: 0x30 | (parts.qos << 1) | (parts.isRetained ? 1 : 0),
      topicField: parts.topicField,
      hasPacketId: parts.qos > 0,
      properties,
      payload: parts.payload
    })
    return new Message(packet, 0, packet.length, properties !== null)
  }

  /** Whether the publisher asked to retain it. */
  get isRetained(): boolean {
    return (this.bytes[this.offset]! & 1) === 1
  }

  /** The topic name. */
  topic(): string {
    return this.bytes.toString('utf8', this.offset + this.#topicOffset + 2, this.offset + this.idOffset)
  }

  /** A view of the topic with its two length bytes. */
  topicField(): Buffer {
    return this.bytes.subarray(this.offset + this.#topicOffset, this.offset + this.idOffset)
  }

  /** The packet id in its bytes, the publisher's; 0 without one. */
  packetId(): number {
    return this.qos === 0 ? 0 : this.bytes.readUInt16BE(this.offset + this.idOffset)
  }

  /** The same message in bytes of its own, so that it keeps nothing else in memory. */
  copy(): Message {
    const bytes = Buffer.allocUnsafeSlow(this.length)
    this.bytes.copy(bytes, 0, this.offset, this.offset + this.length)
    return this.#describe(new Message(bytes, 0, this.length, this.isV5))
  }

  /** A view of the payload. */
  payload(): Buffer {
    return this.bytes.subarray(this.#payloadStart(), this.offset + this.length)
  }

  /** A view of the MQTT 5 properties without their length; empty for 3.1.1. */
  properties(): Buffer {
    if (!this.isV5) return NOTHING
    const at = this.#afterId()
    const packed = readVarint(this.bytes, at, this.offset + this.length)
    const start = at + varintBytes(packed)
    return this.bytes.subarray(start, start + varintValue(packed))
  }

  /**
   * This message in the form a receiver needs: MQTT 5 or not, with room for a packet id (QoS > 0) or without.
   * Built once each, then shared. 3.1.1 receivers get no properties; 5 receivers of a 3.1.1 publish an empty set.
   */
  form(isV5: boolean, hasPacketId: boolean): Message {
    if (isV5 === this.isV5 && hasPacketId === this.qos > 0) return this
    this.#forms ??= [undefined, undefined, undefined, undefined]
    const slot = (isV5 ? 2 : 0) + (hasPacketId ? 1 : 0)
    return (this.#forms[slot] ??= this.#build(isV5, hasPacketId))
  }

  #build(isV5: boolean, hasPacketId: boolean): Message {
    const packet = buildPublish({
      // the QoS bits tell the form whether it has a packet id; the sender writes its own first byte
      header: (this.bytes[this.offset]! & ~QOS_MASK) | (hasPacketId ? Math.max(this.qos, 1) << 1 : 0),
      topicField: this.topicField(),
      hasPacketId,
      properties: isV5 ? this.properties() : null,
      payload: this.payload()
    })
    return this.#describe(new Message(packet, 0, packet.length, isV5))
  }

  #describe(form: Message): Message {
    form.sequence = this.sequence
    form.acceptedAt = this.acceptedAt
    form.expiresAt = this.expiresAt
    form.publisher = this.publisher
    return form
  }

  #afterId(): number {
    return this.offset + this.idOffset + (this.qos > 0 ? 2 : 0)
  }

  #payloadStart(): number {
    const at = this.#afterId()
    if (!this.isV5) return at
    const packed = readVarint(this.bytes, at, this.offset + this.length)
    return at + varintBytes(packed) + varintValue(packed)
  }
}
