import { type LaneMarks, laneOf } from '../lane.ts'
import { Feed } from './feed.ts'

/** What a stream knows of those who read it. The delivery stage implements it. */
export interface Reader {
  readonly qos: number
  /** Nothing of this lane at or below this sequence is still to be sent to it. */
  lowSequence(lane: number): number
  /** A connected reader is told of the first message of a lane in its stream. */
  begun(feed: Feed): void
}

/**
 * One distinct filter and the sequences of the messages it matched. A publish adds one entry per matching stream,
 * however many sessions read it; a session that reads it keeps a position only while it is connected.
 */
export class Stream<R extends Reader = Reader> {
  streamId: number
  readonly filter: string
  /** Subscriptions with QoS 1 or 2, of connected and of absent sessions. */
  readonly durable = new Set<R>()
  /** Subscriptions of connected sessions, of any QoS. */
  readonly online = new Set<R>()
  /** Subscriptions of any kind; the stream ends with the last, unless others share it. */
  subscribers = 0
  /** Connected subscriptions of QoS 0, which get messages of a higher QoS as they are committed. */
  online0 = 0
  /** Whether the store has a row of it, or may have one. */
  isStored = false
  /** Whether sessions of other servers may read it: messages are marked with it whoever reads it here. */
  isShared = false
  /** By lane. */
  readonly #feeds: (Feed | undefined)[] = []

  constructor(streamId: number, filter: string) {
    this.streamId = streamId
    this.filter = filter
  }

  /** What it has of each lane. */
  *feeds(): Iterable<Feed> {
    for (const feed of this.#feeds) if (feed) yield feed
  }

  feed(lane: number): Feed | undefined {
    return this.#feeds[lane]
  }

  /** The feed of a lane, made when there is none. @param coveredFrom of a new one: its list has all above. */
  openFeed(lane: number, coveredFrom: number): Feed {
    const known = this.#feeds[lane]
    if (known) return known
    const feed = new Feed(coveredFrom)
    while (this.#feeds.length < lane) this.#feeds.push(undefined)
    this.#feeds[lane] = feed
    for (const reader of this.online) if (reader.qos > 0) reader.begun(feed)
    return feed
  }

  /** Enters a committed message and wakes those who were waiting for one. */
  add(sequence: number): void {
    const feed = this.#feeds[laneOf(sequence)] ?? this.openFeed(laneOf(sequence), sequence - 1)
    feed.add(sequence)
  }

  /** Forgets all lists: nobody reads them any more. */
  forget(): void {
    this.#feeds.length = 0
  }

  /** The first durable reader has come: its lists are complete from here on. @param heads newest sequences of all lanes. */
  cover(heads: LaneMarks): void {
    this.#feeds.length = 0
    for (const head of heads.all()) this.openFeed(laneOf(head), head)
  }

  /** Everything of a lane above this sequence is still wanted by somebody; Infinity when nothing is. */
  lowSequence(lane: number): number {
    let low = Number.POSITIVE_INFINITY
    for (const reader of this.durable) {
      const own = reader.lowSequence(lane)
      if (own < low) low = own
    }
    return low
  }
}
