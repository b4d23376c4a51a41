import { assertClientTopic, type Broker, messageOf } from '../broker/broker.ts'
import type { MessagePublisher, NewMessage, Published } from '../control.ts'
import type { Publisher } from '../delivery/publisher.ts'
import type { Subscription } from '../delivery/subscription.ts'
import { errorText, QueueError } from '../errors.ts'
import type { LaneNames } from '../lane-names.ts'
import type { Router } from '../routing/router.ts'
import { assertTopic } from '../topic.ts'
import type { Message } from '../wire/message.ts'

/** What publishing from inside needs. */
export interface PublishingParts {
  readonly broker: Broker
  readonly publisher: Publisher
  readonly router: Router<Subscription>
  readonly laneNames: LaneNames
  readonly maxTopicLevels: number
  readonly maxPacketBytes: number
}

/** Publishes for plugins: as a client would, or as the server itself. */
export class Publishing implements MessagePublisher {
  readonly #parts: PublishingParts

  constructor(parts: PublishingParts) {
    this.#parts = parts
  }

  async publish(asked: NewMessage): Promise<Published> {
    return await this.#store(await this.#authorize(asked))
  }

  async publishAll(asked: readonly NewMessage[]): Promise<PromiseSettledResult<Published>[]> {
    const results: Promise<Published>[] = []
    for (const one of asked) {
      // the next is asked about when the answer is there, so that none overtakes; nobody waits for a commit in between
      const authorized = this.#authorize(one)
      await authorized.catch(() => {})
      const result = authorized.then(message => this.#store(message))
      result.catch(() => {}) // it is told below
      results.push(result)
    }
    return await Promise.allSettled(results)
  }

  async #authorize(asked: NewMessage): Promise<Message> {
    assertTopic(asked.topic, this.#parts.maxTopicLevels)
    assertClientTopic(asked.topic)
    return await this.#parts.broker.authorizeInside(this.#encode(asked))
  }

  async #store(message: Message): Promise<Published> {
    const { broker, publisher, laneNames, maxTopicLevels } = this.#parts
    const topic = message.topic()
    assertTopic(topic, maxTopicLevels)
    const sequence = await publisher.publish(message, topic)
    broker.observe(message, null)
    return { id: sequence === 0 ? null : laneNames.idOf(sequence), topic }
  }

  announce(topic: string, payload: Buffer | string, { isRetained = false } = {}): void {
    if (!topic.startsWith('$')) {
      const problem = 'the server’s own messages have topics that begin with $'
      throw new QueueError('QUEUE_TOPIC_INVALID', { detail: { topic: JSON.stringify(topic), problem } })
    }
    assertTopic(topic)
    this.#parts.publisher.announce(this.#encode({ topic, payload, qos: 0, isRetained }), topic)
  }

  isHeard(topic: string): boolean {
    return this.#parts.router.route(topic).streams.some(({ online }) => online.size > 0)
  }

  #encode({ topic, payload, qos = 1, isRetained = false, properties }: NewMessage): Message {
    const packet = { cmd: 'publish', topic, payload, qos, retain: isRetained, dup: false } as const
    let message: Message
    try {
      message = messageOf(properties ? { ...packet, properties: { ...properties } } : packet)
    } catch (cause) {
      const problem = `the message cannot be written as MQTT: ${errorText(cause)}`
      throw new QueueError('QUEUE_REQUEST_INVALID', { cause, detail: { problem } })
    }
    const { maxPacketBytes } = this.#parts
    if (message.length <= maxPacketBytes) return message
    const detail = { bytes: message.length, limit: maxPacketBytes }
    throw new QueueError('QUEUE_PACKET_TOO_LARGE', { detail })
  }
}
