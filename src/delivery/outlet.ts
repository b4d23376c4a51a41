import type { Message } from '../wire/message.ts'

/** Where a session's messages go: a connection. The front implements it. */
export interface Outlet {
  readonly isV5: boolean
  /** Most unacked messages the receiver takes. @see MQTT 5.0 section 3.1.2.11.3 (Receive Maximum) */
  readonly window: number
  /** So much is waiting for the socket that the pump should stop; it is woken when the socket has drained. */
  readonly isFull: boolean
  /** More than half of what may wait for the socket is waiting: whoever sends QoS 0 should slow down. */
  readonly isCrowded: boolean
  /**
   * The form of a message that this receiver is to get next: its version, what is left of its expiry, Subscription
   * Identifiers, topic alias. It must be given to {@link publish} before another one is prepared.
   * @returns null when the receiver cannot take it: it is larger than the Maximum Packet Size, or a hook keeps it back.
   */
  prepare(message: Message, identifiers: readonly number[], qos: number): Message | null
  /**
   * Queues a PUBLISH for the next write.
   * @param message a form that {@link prepare} gave. @param header its first byte.
   */
  publish(message: Message, header: number, packetId: number): void
  /** A QoS 0 message, in any form; dropped and counted when the socket is too full or it cannot be prepared. */
  publishUnacked(message: Message, identifiers: readonly number[], header: number): void
  /** Queues a PUBREL. */
  release(packetId: number): void
  /** What is queued from now on may not be written before the first note is written and the second synced; 0: none. */
  holdFor(note: number, syncNote: number): void
  /** Another connection has taken the session over. */
  takenOver(): void
}
