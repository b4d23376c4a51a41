import type { IClientPublishOptions, MqttClient } from 'mqtt'
import { settlesWithin } from './clock.ts'
import { ClientError, invalidOption, problemText } from './errors.ts'
import { encodePayload } from './payload.ts'
import { reasonText } from './reasons.ts'

/** How to publish. All but `qos` and `retain` need MQTT 5. */
export interface PublishOptions {
  /** Default 1: the promise resolves when the server has stored the message. */
  readonly qos?: 0 | 1 | 2
  /** The server keeps it as the last message of its topic, for new subscribers. */
  readonly retain?: boolean
  /** Seconds after which the server gives it to nobody any more. */
  readonly expirySeconds?: number
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  readonly userProperties?: Readonly<Record<string, string | readonly string[]>>
}

/** What the publisher needs of the connection. */
export interface PublisherWire {
  readonly mqtt: MqttClient
  readonly protocol: 4 | 5
}

interface Publish {
  readonly sequence: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly options: IClientPublishOptions
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Most publishes that wait for their acks at a time, if the server does not ask for fewer. */
const MOST_OPEN = 1_000
/** How long a planned reconnect waits for the acks of publishes. */
const DRAIN_MS = 5_000

/**
 * Publishes in the order in which they were asked for, no more at a time than the server takes (Receive
 * Maximum).
 */
export class Publisher {
  readonly #wire: PublisherWire
  #waiting: Publish[] = []
  readonly #open = new Set<Publish>()
  #sequence = 0
  #isReady = false
  #closed: ClientError | undefined
  #whenIdle: (() => void)[] = []

  constructor(wire: PublisherWire) {
    this.#wire = wire
  }

  /** Publishes asked for and not yet acked. */
  get size(): number {
    return this.#waiting.length + this.#open.size
  }

  /**
   * Resolves when the server has it.
   * @throws ClientError CLIENT_OPTIONS_INVALID, CLIENT_PUBLISH_REFUSED, CLIENT_CLOSED
   */
  async publish(topic: string, payload: unknown, options: PublishOptions): Promise<void> {
    const bytes = encodePayload(payload)
    const packetOptions = mqttOptions(options)
    if (this.#closed) throw this.#closed
    await new Promise<void>((resolve, reject) => {
      this.#sequence += 1
      const publish = {
        sequence: this.#sequence,
        topic,
        payload: bytes,
        options: packetOptions,
        resolve,
        reject
      }
      this.#waiting.push(publish)
      this.#send()
    })
  }

  /** A connection is there. */
  resume(): void {
    this.#isReady = true
    this.#send()
  }

  /** Sends nothing more until `resume`. */
  pause(): void {
    this.#isReady = false
  }

  /** Sends nothing more and waits a while for the acks that are due. */
  async drain(): Promise<void> {
    this.pause()
    if (this.#open.size === 0) return
    await settlesWithin(new Promise<void>(resolve => this.#whenIdle.push(resolve)), DRAIN_MS)
  }

  /** Resolves when everything is acked. */
  async idle(): Promise<void> {
    while (this.size > 0) await new Promise<void>(resolve => this.#whenIdle.push(resolve))
  }

  /** Rejects what is open, and all that is asked for from now on. */
  close(error: ClientError): void {
    this.#closed = error
    const publishes = [...this.#open, ...this.#waiting]
    this.#open.clear()
    this.#waiting = []
    for (const { reject } of publishes) reject(error)
    this.#tellIdle()
  }

  #send(): void {
    const { serverProperties } = this.#wire.mqtt
    const most = Math.min(MOST_OPEN, serverProperties?.receiveMaximum ?? MOST_OPEN)
    while (this.#isReady && this.#open.size < most && this.#waiting.length > 0)
      this.#sendOne(this.#waiting.shift()!)
  }

  #sendOne(publish: Publish): void {
    const { topic, payload, options, reject } = publish
    const problem = this.#problem(publish)
    if (problem) {
      reject(problem)
      return
    }
    this.#open.add(publish)
    // Buffer is what MQTT.js names; it sends any bytes. In a browser there is no Buffer to make.
    this.#wire.mqtt.publish(topic, payload as Buffer, options, error => this.#answered(publish, error))
  }

  #answered(publish: Publish, error: (Error & { code?: unknown }) | null | undefined): void {
    if (!this.#open.delete(publish)) return // closed meanwhile
    if (!error) publish.resolve()
    else if (typeof error.code === 'number')
      publish.reject(refused(publish.topic, reasonText(error.code), error))
    else this.#putBack(publish)
    this.#tellIdle()
    this.#send()
  }

  /**
   * MQTT.js lets go of a publish when the connection ends at certain moments: it goes out again, in its old
   * place.
   */
  #putBack(publish: Publish): void {
    this.pause() // until the next connection
    const at = this.#waiting.findIndex(({ sequence }) => sequence > publish.sequence)
    this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, publish)
  }

  /** What is wrong with a publish for this server. It is told here: the server would end the connection. */
  #problem({ topic, payload, options }: Publish): ClientError | undefined {
    const { mqtt, protocol } = this.#wire
    const { maximumPacketSize = Number.POSITIVE_INFINITY, retainAvailable } = mqtt.serverProperties ?? {}
    const maximumQos = (mqtt.serverProperties as { maximumQoS?: number } | undefined)?.maximumQoS ?? 2
    if (protocol === 4 && options.properties !== undefined) {
      return invalidOption(
        Object.keys(options.properties).join(', '),
        'needs MQTT 5; the server speaks MQTT 3.1.1'
      )
    }
    if (payload.length + topic.length + 5 > maximumPacketSize) {
      return refused(
        topic,
        `${payload.length} bytes are more than the server takes (packets of ${maximumPacketSize} bytes)`
      )
    }
    if ((options.qos ?? 0) > maximumQos) return refused(topic, `the server takes QoS ${maximumQos} at most`)
    if (options.retain && retainAvailable === false) return refused(topic, 'the server retains no messages')
    return undefined
  }

  #tellIdle(): void {
    if (this.#open.size > 0) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }
}

function refused(topic: string, reason: string, cause?: unknown): ClientError {
  return new ClientError('CLIENT_PUBLISH_REFUSED', {
    cause,
    detail: { topic, reason: reason || problemText(cause) }
  })
}

function mqttOptions(options: PublishOptions): IClientPublishOptions {
  const {
    qos = 1,
    retain = false,
    expirySeconds,
    contentType,
    responseTopic,
    correlationData,
    userProperties
  } = options
  if (qos !== 0 && qos !== 1 && qos !== 2)
    throw invalidOption('qos', `expected 0, 1 or 2, found ${String(qos)}`)
  if (
    expirySeconds !== undefined &&
    !(Number.isInteger(expirySeconds) && expirySeconds >= 0 && expirySeconds < 2 ** 32)
  ) {
    throw invalidOption(
      'expirySeconds',
      `expected a whole number from 0 to 4,294,967,295, found ${String(expirySeconds)}`
    )
  }
  const properties = {
    ...(expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData: correlationData as Buffer }),
    ...(userProperties === undefined ? {} : { userProperties: copied(userProperties) })
  }
  return { qos, retain, ...(Object.keys(properties).length === 0 ? {} : { properties }) }
}

function copied(
  properties: Readonly<Record<string, string | readonly string[]>>
): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]])
  )
}
