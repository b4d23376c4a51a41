import type { LaneMarks } from '../lane.ts'
import type { Feed } from '../routing/feed.ts'
import type { Reader, Stream } from '../routing/stream.ts'
import { Place } from './place.ts'
import type { Session } from './session.ts'

/** Begins the filters of streams that belong to one session: what is published to it alone. No client can name them. */
const DIRECT = '$direct/'

/** Whether a filter is that of such a stream, or could match one. */
export function isDirect(filter: string): boolean {
  return filter.startsWith(DIRECT)
}

/** The filter of the stream of one session. */
export function directFilter(sessionName: string): string {
  return `${DIRECT}${encodeURIComponent(sessionName)}`
}

/** A session's subscription to a filter. */
export class Subscription implements Reader {
  readonly session: Session
  readonly stream: Stream<Subscription>
  /** Granted QoS. */
  readonly qos: number
  /** Subscription Identifier; 0: none. @see MQTT 5.0 section 3.8.2.1.2 */
  readonly identifier: number
  /** Not for messages that its own client publishes. @see MQTT 5.0 section 3.8.3.1 */
  readonly isNoLocal: boolean
  /** Messages keep the RETAIN flag with which they were published. */
  readonly keepsRetain: boolean
  /** Messages above these sequences belong to it. */
  readonly from: LaneMarks
  /** Messages of this server up to here were routed before there was the subscription. */
  readonly routedFrom: number
  readonly createdAt: number
  /** While connected with QoS 1 or 2: how far it is in each lane. */
  readonly places: Place[] = []

  constructor(session: Session, stream: Stream<Subscription>, options: SubscriptionOptions) {
    this.session = session
    this.stream = stream
    this.qos = options.qos
    this.from = options.from
    this.routedFrom = options.routedFrom ?? 0
    this.createdAt = options.createdAt
    this.identifier = options.identifier ?? 0
    this.isNoLocal = options.isNoLocal ?? false
    this.keepsRetain = options.keepsRetain ?? false
  }

  /** Whether it asks for more than a QoS, so that each message must be looked at. */
  get isSpecial(): boolean {
    return this.identifier !== 0 || this.isNoLocal || this.keepsRetain
  }

  get filter(): string {
    return this.stream.filter
  }

  lowSequence(lane: number): number {
    return Math.max(this.session.frontiers.at(lane), this.from.at(lane))
  }

  begun(feed: Feed): void {
    const place = new Place(this, feed)
    this.places.push(place)
    feed.waiting.add(place)
  }
}

/** What a subscription is from its first moment. */
export interface SubscriptionOptions {
  readonly qos: number
  readonly from: LaneMarks
  readonly routedFrom?: number
  readonly createdAt: number
  readonly identifier?: number
  readonly isNoLocal?: boolean
  readonly keepsRetain?: boolean
}
