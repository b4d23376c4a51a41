import { type LaneMarks, laneOf } from '../lane.ts'
import type { Message } from '../wire/message.ts'
import type { Subscription } from './subscription.ts'

/**
 * The retained messages that a subscribe has brought up, read from the table as they are sent: each is the newest of
 * its topic at that moment. @see MQTT 5.0 section 3.3.1.3
 */
export class RetainedFeed {
  readonly subscription: Subscription
  /** What the subscription brings by itself has higher sequences. */
  readonly #through: LaneMarks
  readonly #messages: Iterator<Message | null, void>
  #next: Message | undefined
  #isOver = false

  constructor(subscription: Subscription, through: LaneMarks, messages: Iterator<Message | null, void>) {
    this.subscription = subscription
    this.#through = through
    this.#messages = messages
  }

  /** Whether its subscription is still the one that the session has for the filter. */
  get isWanted(): boolean {
    const { session, filter } = this.subscription
    return session.subscriptions.get(filter) === this.subscription
  }

  /**
   * Whether the subscription brings a message by itself: from here it would come a second time. One that was on its way to
   * the store when the subscription was made was not routed to it. QoS 0 stands in no list: it was sent as it came.
   */
  comesLive({ sequence, qos: messageQos }: Message): boolean {
    if (this.#through.covers(sequence)) return false
    const { qos, stream } = this.subscription
    const feed = stream.feed(laneOf(sequence))
    return (
      qos === 0 || messageQos === 0 || !feed || sequence <= feed.coveredFrom || feed.sequences.has(sequence)
    )
  }

  /** The next message; null: ask again in a later step; undefined: there are no more. */
  peek(): Message | null | undefined {
    if (this.#next || this.#isOver) return this.#next
    const { done, value } = this.#messages.next()
    if (done) this.#isOver = true
    else this.#next = value ?? undefined
    return done ? undefined : value
  }

  /** Steps over the message of {@link peek}. */
  advance(): void {
    this.#next = undefined
  }
}
