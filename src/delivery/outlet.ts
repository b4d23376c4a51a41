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
   * Queues a PUBLISH for the next write.
   * @param message a form for this receiver's version; with a packet id field when `packetId` is not 0.
   * @param header its first byte.
   */
  publish(message: Message, header: number, packetId: number): void
  /** A QoS 0 PUBLISH; dropped and counted when the socket is too full. */
  publishUnacked(message: Message, header: number): void
  /** Nothing queued so far may be written before this note is; see NoteBook. */
  holdFor(note: number): void
  /** Another connection has taken the session over. */
  takenOver(): void
}
