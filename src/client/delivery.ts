import type { IPublishPacket } from 'mqtt'
import type { Lane } from './lane.ts'
import { bytesOf } from './message.ts'

/** A message in hand: received, and neither acked nor given back to the server. */
export class Delivery {
  /** Place in the order of arrival. */
  readonly sequence: number
  /** As it came last. */
  packet: IPublishPacket
  /** Number of the connection on which it came last. */
  connection: number
  /** The lanes that have still to finish it. */
  readonly openLanes = new Set<Lane>()
  /** How often a handler has rejected it. */
  failures = 0
  /** Not to be handled before this time. */
  dueAt = 0
  /** Not to be handled again before a connection of this number: the server is to send it once more. */
  dueConnection = 0
  /** All lanes have finished it, but the connection for the ack is gone. */
  isDone = false
  /** For QoS 2: lets MQTT.js complete the message, or leave it open. */
  complete: (error?: Error) => void

  constructor(
    sequence: number,
    packet: IPublishPacket,
    connection: number,
    complete: (error?: Error) => void = () => {}
  ) {
    this.sequence = sequence
    this.packet = packet
    this.connection = connection
    this.complete = complete
  }

  get topic(): string {
    return this.packet.topic
  }

  /** 0 for a message of QoS 0. */
  get packetId(): number {
    return this.packet.qos === 0 ? 0 : (this.packet.messageId ?? 0)
  }

  /**
   * Whether this packet is the same message, sent again. In a session that goes on, a packet id stays with its
   * message until the ack [MQTT-2.2.1-4], and what comes again has DUP [MQTT-3.3.1-1]. A server may be wrong:
   * topic and payload are compared, and only a message whose handler has not begun is known again without DUP.
   */
  isSentAgainAs(packet: IPublishPacket): boolean {
    const hasBegun = this.isDone || [...this.openLanes].some(lane => lane.isRunning(this))
    const mayBeAgain = packet.dup || packet.qos === 2 || !hasBegun
    return (
      mayBeAgain &&
      packet.qos === this.packet.qos &&
      packet.topic === this.topic &&
      this.#hasBytes(bytesOf(packet))
    )
  }

  #hasBytes(bytes: Uint8Array): boolean {
    const own = bytesOf(this.packet)
    return own.length === bytes.length && own.every((byte, index) => byte === bytes[index])
  }
}
