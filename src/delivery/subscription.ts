import type { Reader, Stream } from '../routing/stream.ts'
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
  /** Messages above this sequence belong to it. */
  readonly fromSequence: number
  readonly createdAt: number
  /** While connected: index in the stream of the next message to send, and its sequence. */
  position = 0
  next = 0

  constructor(session: Session, stream: Stream<Subscription>, options: SubscriptionOptions) {
    this.session = session
    this.stream = stream
    this.qos = options.qos
    this.fromSequence = options.fromSequence
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

  get lowSequence(): number {
    return Math.max(this.session.frontier, this.fromSequence)
  }

  arrived(): void {
    this.session.arrived(this)
  }

  /** Finds the place behind what the session has had; false when there is nothing to send. */
  seek(): boolean {
    this.position = this.stream.sequences.indexAfter(this.lowSequence)
    return this.read()
  }

  /** Steps to the next message; false when there is none. */
  advance(): boolean {
    this.position++
    return this.read()
  }

  /** Looks at the present place; false when nothing is there yet. */
  read(): boolean {
    const sequence = this.stream.sequences.at(this.position)
    if (sequence === undefined) return false
    this.next = sequence
    return true
  }
}

/** What a subscription is from its first moment. */
export interface SubscriptionOptions {
  readonly qos: number
  readonly fromSequence: number
  readonly createdAt: number
  readonly identifier?: number
  readonly isNoLocal?: boolean
  readonly keepsRetain?: boolean
}
