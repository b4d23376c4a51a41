import type { Feed, Waiting } from '../routing/feed.ts'
import type { Subscription } from './subscription.ts'

/** How far a connected subscription is in what one lane has brought to its stream. */
export class Place implements Waiting {
  readonly subscription: Subscription
  readonly feed: Feed
  /** Index in the list of the next message to send, and its sequence. */
  position = 0
  next = 0

  constructor(subscription: Subscription, feed: Feed) {
    this.subscription = subscription
    this.feed = feed
  }

  arrived(): void {
    this.subscription.session.arrived(this)
  }

  /** Finds the place behind what the session has had; false when there is nothing to send. */
  seek(): boolean {
    const { sequences, lane } = this.feed
    this.position = sequences.indexAfter(this.subscription.lowSequence(lane))
    return this.read()
  }

  /**
   * Looks at the present place, after something was added. Another server may have accepted it before there was the
   * subscription, and it is read here only now. False when nothing is to be sent.
   */
  find(): boolean {
    if (!this.read()) return false
    return this.next > this.subscription.lowSequence(this.feed.lane) || this.seek()
  }

  /** Steps to the next message; false when there is none. */
  advance(): boolean {
    this.position++
    return this.read()
  }

  /** Looks at the present place; false when nothing is there yet. */
  read(): boolean {
    const sequence = this.feed.sequences.at(this.position)
    if (sequence === undefined) return false
    this.next = sequence
    return true
  }
}
