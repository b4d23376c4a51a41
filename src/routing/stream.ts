import { SequenceList } from './sequence-list.ts'

/** What a stream knows of those who read it. The delivery stage implements it. */
export interface Reader {
  readonly qos: number
  /** Nothing at or below this sequence is still to be sent to it. */
  readonly lowSequence: number
  /** A message of the stream is committed, and the reader was at the end. */
  arrived(): void
}

/**
 * One distinct filter and the sequences of the messages it matched. A publish adds one entry per matching stream,
 * however many sessions read it; a session that reads it keeps a position only while it is connected.
 */
export class Stream<R extends Reader = Reader> {
  readonly streamId: number
  readonly filter: string
  readonly sequences = new SequenceList()
  /** Subscriptions with QoS 1 or 2, of connected and of absent sessions. */
  readonly durable = new Set<R>()
  /** Subscriptions of connected sessions, of any QoS. */
  readonly online = new Set<R>()
  /** Connected readers that have sent all there is; emptied at the next message. */
  readonly waiting = new Set<R>()
  /** Subscriptions of any kind; the stream ends with the last. */
  subscribers = 0
  /** Connected subscriptions of QoS 0, which get messages of a higher QoS as they are committed. */
  online0 = 0
  /** Whether the store has a row of it, or may have one. */
  isStored = false

  constructor(streamId: number, filter: string) {
    this.streamId = streamId
    this.filter = filter
  }

  /** Enters a committed message and wakes those who were waiting for one. */
  add(sequence: number): void {
    this.sequences.push(sequence)
    if (this.waiting.size === 0) return
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const reader of waiting) reader.arrived()
  }

  /** Everything above this sequence is still wanted by somebody; Infinity when nothing is. */
  lowSequence(): number {
    let low = Number.POSITIVE_INFINITY
    for (const reader of this.durable) if (reader.lowSequence < low) low = reader.lowSequence
    return low
  }
}
