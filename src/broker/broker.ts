import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { Aedes, type AedesPublishPacket, type Client } from 'aedes'
import memory from 'aedes-persistence'
import mqttPacket from 'mqtt-packet'
import { errorText, QueueError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { Message } from '../wire/message.ts'

/** A connected client as Aedes and its users know it. */
export type AedesClient = Client

/** A publish as the authorisation hook sees it. */
export interface HookPublish {
  cmd: 'publish'
  topic: string
  payload: Buffer
  qos: 0 | 1 | 2
  retain: boolean
  dup: boolean
  messageId: number
}

/** A subscription as the authorisation hook sees it. */
export interface HookSubscription {
  topic: string
  qos: 0 | 1 | 2
}

/** Takes what is published inside the process: wills, `broker.publish`, `$SYS`. */
export interface InProcess {
  /** A QoS 1 or 2 message; resolves when it is stored. */
  store(message: Message, topic: string): Promise<void>
  /** A QoS 0 message, or one under `$SYS`. */
  forward(message: Message, topic: string): void
}

/** What the broker is told at the start. */
export interface BrokerOptions {
  readonly brokerId: string
  readonly connectTimeoutMs: number
  readonly log: Logger
}

interface Persistence {
  outgoingEnqueueCombi(subscriptions: unknown, packet: AedesPublishPacket): Promise<void>
}

// its types describe callbacks; what is called here returns promises as well, which is what Aedes uses
const newMemory = memory as unknown as () => Persistence

/**
 * The one place that knows Aedes. It judges CONNECT, authenticates, answers with CONNACK, keeps the registry of
 * clients and closes an older connection of the same id; its hooks, events and methods stay what its users know.
 * Subscriptions and messages never reach it. Each thing relied on has a test in `test/aedes-contract.test.ts`.
 */
export class Broker {
  readonly aedes: Aedes
  readonly #defaultAuthorizePublish: Aedes['authorizePublish']
  readonly #defaultAuthorizeSubscribe: Aedes['authorizeSubscribe']

  private constructor(aedes: Aedes) {
    this.aedes = aedes
    this.#defaultAuthorizePublish = aedes.authorizePublish
    this.#defaultAuthorizeSubscribe = aedes.authorizeSubscribe
  }

  /** Starts Aedes and takes over what is published inside the process. */
  static async create(options: BrokerOptions, inside: InProcess): Promise<Broker> {
    const persistence = newMemory()
    const aedes = await Aedes.createBroker({
      id: options.brokerId,
      persistence,
      connectTimeout: options.connectTimeoutMs
    })
    // an event 'error' without a listener would end the process
    aedes.on(
      'error' as 'closed',
      ((error: unknown) => {
        options.log.error({ err: error }, `Aedes: ${errorText(error)}`)
      }) as () => void
    )
    // a client named like a property of Object must not be found in an empty table
    for (const table of ['clients', 'brokers'] as const) {
      Object.setPrototypeOf((aedes as unknown as Record<string, object>)[table], null)
    }
    // called and awaited by Aedes for every QoS 1 or 2 message published inside the process
    persistence.outgoingEnqueueCombi = async (_subscriptions, packet) => {
      if (!isSystem(packet.topic)) await inside.store(toMessage(packet), packet.topic)
    }
    await new Promise<void>(resolve => {
      aedes.subscribe(
        '#',
        (packet, done) => {
          try {
            if (packet.qos === 0 || isSystem(packet.topic)) inside.forward(toMessage(packet, 0), packet.topic)
          } catch (error) {
            // thrown on, it would end the process
            options.log.error({ err: error }, `a message from inside was dropped: ${errorText(error)}`)
          }
          done()
        },
        resolve
      )
    })
    return new Broker(aedes)
  }

  /** The version of Aedes this server stands on. */
  get aedesVersion(): string {
    return (this.aedes as unknown as { version: string }).version
  }

  /** Gives a connection to Aedes; the client's id is known once its CONNACK is. */
  handle(stream: Duplex, request?: IncomingMessage): AedesClient {
    return this.aedes.handle(stream, request)
  }

  /** Whether publishes must be shown to a hook: the default one only guards `$SYS`, and so do we. */
  get hasPublishHook(): boolean {
    return this.aedes.authorizePublish !== this.#defaultAuthorizePublish
  }

  get hasSubscribeHook(): boolean {
    return this.aedes.authorizeSubscribe !== this.#defaultAuthorizeSubscribe
  }

  /**
   * Asks the hook about a publish; it may change the packet.
   * @param done called once, perhaps during the call, with the error when it refuses.
   */
  authorizePublish(client: AedesClient, packet: HookPublish, done: (error: Error | null) => void): void {
    try {
      this.aedes.authorizePublish(client, packet, error => done(error ?? null))
    } catch (error) {
      done(error as Error)
    }
  }

  /**
   * Asks the hook about a subscription.
   * @returns the granted QoS; null when it is refused. Never rejects: a hook that throws refuses.
   */
  authorizeSubscribe(client: AedesClient, subscription: HookSubscription): Promise<number | null> {
    if (!this.hasSubscribeHook) return Promise.resolve(subscription.qos)
    return new Promise(resolve => {
      try {
        this.aedes.authorizeSubscribe(client, subscription, (error, granted) =>
          resolve(error || !granted ? null : granted.qos)
        )
      } catch {
        resolve(null)
      }
    })
  }

  /** Tells listeners of an event that Aedes itself does not see any more. */
  emit(
    event: 'subscribe' | 'unsubscribe' | 'publish' | 'ack' | 'ping' | 'keepaliveTimeout',
    ...args: unknown[]
  ): void {
    if (this.aedes.listenerCount(event) > 0) this.aedes.emit(event as string, ...args)
  }

  /** Closes all clients and stops Aedes. */
  close(): Promise<void> {
    return new Promise(resolve => this.aedes.close(resolve))
  }
}

/** Topics that the server itself publishes and nobody else may. */
export function isSystem(topic: string): boolean {
  return topic.startsWith('$SYS/')
}

/** Whether a client may publish to a topic at all, hooks apart. */
export function assertClientTopic(topic: string): void {
  if (!topic.startsWith('$')) return
  const problem = `clients cannot publish to ${JSON.stringify(topic)}: topics that begin with $ are the server's`
  throw new QueueError('QUEUE_NOT_AUTHORIZED', { detail: { problem } })
}

function toMessage(packet: AedesPublishPacket, qos: number = packet.qos): Message {
  const properties = { ...packet.properties } as NonNullable<typeof packet.properties> & {
    willDelayInterval?: number
  }
  delete properties.willDelayInterval // [MQTT-3.3.2] not a property of PUBLISH
  const isV5 = Object.keys(properties).length > 0
  const bytes = mqttPacket.generate(
    {
      cmd: 'publish',
      topic: packet.topic,
      payload: packet.payload,
      qos: qos as 0 | 1 | 2,
      retain: packet.retain,
      dup: false,
      ...(qos > 0 ? { messageId: 1 } : {}),
      ...(isV5 ? { properties } : {})
    },
    { protocolVersion: isV5 ? 5 : 4 }
  )
  return new Message(bytes, 0, bytes.length, isV5)
}
