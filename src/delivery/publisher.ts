import type { Clock } from '../clock.ts'
import type { Receipt } from '../journal/batch.ts'
import type { Journal } from '../journal/journal.ts'
import type { Route, Router } from '../routing/router.ts'
import { TopicCounter } from '../routing/topic-counter.ts'
import type { Message } from '../wire/message.ts'
import { expiresAt, expirySecondsOf } from '../wire/reshape.ts'
import { type Counters, countAccepted } from './counters.ts'
import type { FanOut } from './fan-out.ts'
import type { Retained } from './retained.ts'
import { directFilter, type Subscription } from './subscription.ts'

/** What the publisher works with. */
export interface PublisherOptions {
  readonly clock: Clock
  readonly counters: Counters
  readonly fanOut: FanOut
  readonly journal: Journal
  readonly retained: Retained
  readonly router: Router<Subscription>
}

/** Where a message of the server itself comes from. */
export interface Source {
  /** Client id; '' when no client stands behind it. */
  readonly publisherId: string
  /** As `Message.origin` and `Message.originId`. */
  readonly origin: number
  readonly originId: number
}

const INSIDE: Source = { publisherId: '', origin: 0, originId: 0 }

/** Whether a message goes through the journal: those that somebody may be owed, and those that change what is retained. */
export function isJournaled(message: Message): boolean {
  return message.qos > 0 || message.isRetained
}

/** Publishes what does not come from a connection: wills, what the process itself publishes, `$SYS`. */
export class Publisher {
  readonly #options: PublisherOptions

  constructor(options: PublisherOptions) {
    this.#options = options
  }

  /**
   * Publishes a message as a client would. Resolves when it is stored, at once when it is not kept.
   * @returns its sequence; 0 when it is not kept.
   * @throws QueueError QUEUE_TOPIC_INVALID, QUEUE_STORE_FULL, QUEUE_STORE_FAILED, QUEUE_SERVER_STOPPING
   */
  async publish(message: Message, topic: string, source: Source = INSIDE): Promise<number> {
    const { router, counters } = this.#options
    const route = router.route(topic)
    if (isJournaled(message)) return await this.#append(message, route, source)
    countAccepted(counters, route.counter, this.#options.clock.now())
    this.#forward(message, route)
    this.#options.fanOut.elsewhere?.(message)
    return 0
  }

  /**
   * Publishes a message of QoS 1 or 2 to one session alone, which is subscribed to its own stream. Resolves when it
   * is stored. @throws as {@link publish}
   */
  async publishTo(clientId: string, message: Message): Promise<void> {
    const counter = new TopicCounter('')
    const route = { ...this.#options.router.route(directFilter(clientId)), counter }
    await this.#append(message, route, INSIDE)
  }

  /** Publishes what nobody keeps: `$SYS`. What is retained of it lives in memory. */
  announce(message: Message, topic: string): void {
    if (message.isRetained) this.#options.retained.apply(message, topic)
    this.#forward(message, this.#options.router.route(topic))
  }

  #forward(message: Message, route: Route<Subscription>): void {
    this.#options.fanOut.publish(route, message, () => {})
  }

  #append(message: Message, route: Route<Subscription>, source: Source): Promise<number> {
    const { bytes, offset, length, isV5, qos } = message
    const isReplayed = message.isRetained || source.origin !== 0
    const owed = qos > 0 ? route.streamIds : []
    const streamIds = !isReplayed ? owed : qos > 0 ? route.replayedIds : route.replayedIds.slice(0, 1)
    const { clock, journal } = this.#options
    return new Promise((resolve, reject) => {
      const receipt: Receipt = {
        accepted: ({ message: stored }) => resolve(stored.sequence),
        refused: (_pending, error) => reject(error)
      }
      const fields = {
        ...{ ...source, route, streamIds, isV5 },
        expiresAt: expiresAt(clock.now(), expirySecondsOf(message)),
        publisher: Buffer.from(source.publisherId),
        header: bytes[offset]!,
        packet: bytes,
        from: offset,
        to: offset + length
      }
      journal.append(fields, receipt, 0)
    })
  }
}
