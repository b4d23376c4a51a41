import { QueueError } from '../errors.ts'
import { protocolError } from '../wire/cursor.ts'

/** An alias that a client has for a topic, or is to get. */
export interface TopicAlias {
  readonly alias: number
  /** Whether the client has been told. */
  readonly isKnown: boolean
}

/** Aliases of what is sent on one connection: the first topics get them, as many as the client takes. [MQTT-3.1.2-26] */
export class OutgoingAliases {
  readonly #byTopic = new Map<string, number>()
  readonly #maximum: number

  /** @param maximum Topic Alias Maximum of the client. */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /** The alias of a topic; null when there is none left for it. It is known once {@link tell} says so. */
  find(topic: string): TopicAlias | null {
    const alias = this.#byTopic.get(topic)
    if (alias !== undefined) return { alias, isKnown: true }
    return this.#byTopic.size < this.#maximum ? { alias: this.#byTopic.size + 1, isKnown: false } : null
  }

  /** The packet that tells the client of the next alias is on its way. */
  tell(topic: string): void {
    this.#byTopic.set(topic, this.#byTopic.size + 1)
  }
}

/** Aliases of what one connection has sent. @see MQTT 5.0 section 3.3.2.3.4 */
export class IncomingAliases {
  readonly #byAlias = new Map<number, Buffer>()
  readonly #maximum: number

  /** @param maximum Topic Alias Maximum of the server; 0: none is allowed. */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /**
   * The topic of a PUBLISH with an alias, with its two length bytes.
   * @param topicField as it stands in the packet: when it is not empty, the alias is for it from now on.
   * @throws QueueError QUEUE_TOPIC_ALIAS_INVALID (0, above the maximum), QUEUE_PROTOCOL_ERROR (without a topic so far)
   */
  resolve(alias: number, topicField: Buffer): Buffer {
    if (alias === 0 || alias > this.#maximum) {
      const problem = `is not between 1 and ${this.#maximum}`
      throw new QueueError('QUEUE_TOPIC_ALIAS_INVALID', { detail: { alias, problem } }) // [MQTT-3.3.2-8], [MQTT-3.3.2-9]
    }
    if (topicField.length > 2) {
      this.#byAlias.set(alias, Buffer.from(topicField))
      return topicField
    }
    const known = this.#byAlias.get(alias)
    if (known) return known
    throw protocolError(`topic alias ${alias} has no topic on this connection`)
  }
}
