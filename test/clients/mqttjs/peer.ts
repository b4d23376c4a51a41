import {
  connect,
  type IClientOptions,
  type IClientPublishOptions,
  type IClientSubscribeOptions,
  type IConnackPacket,
  type IDisconnectPacket,
  type IPublishPacket,
  type MqttClient
} from 'mqtt'
import { Signal, withDeadline } from '../../helpers/signal.ts'

/** A will as the library takes it. */
export type Will = NonNullable<IClientOptions['will']>

/** The versions by their names; 3 is MQTT 3.1. */
export const LEVELS = { '3.1': 3, '3.1.1': 4, '5': 5 } as const

/** The name of a version. */
export type Version = keyof typeof LEVELS

/** A message that arrived. */
export interface Message {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly properties: NonNullable<IPublishPacket['properties']>
}

const opened = new Set<MqttClient>()

/** Ends the connections that a failed check has left open. */
export function closeAll(): void {
  for (const client of opened) client.end(true)
}

/** One connection of MQTT.js, with waits in place of events. */
export class Peer {
  readonly client: MqttClient
  connack!: IConnackPacket
  readonly #messages: Message[] = []
  readonly #signal = new Signal()
  #disconnect: IDisconnectPacket | undefined
  #isClosed = false

  private constructor(client: MqttClient) {
    this.client = client
    opened.add(client)
    client.on('message', (topic, payload, packet) => {
      const { qos, retain, properties = {} } = packet
      this.#messages.push({ topic, payload: payload.toString(), qos, retain, properties })
      this.#signal.notify()
    })
    client.on('disconnect', packet => {
      this.#disconnect = packet
    })
    client.on('close', () => {
      opened.delete(client)
      this.#isClosed = true
      this.#signal.notify()
    })
    client.on('error', error => this.#signal.fail(error))
  }

  /** Connects, with a clean session unless `options` say otherwise. */
  static async open(url: string, version: Version, options: IClientOptions = {}): Promise<Peer> {
    const level = LEVELS[version]
    const protocol = { protocolVersion: level, protocolId: level === 3 ? 'MQIsdp' : 'MQTT' } as const
    const peer = new Peer(connect(url, { ...protocol, clean: true, reconnectPeriod: 0, ...options }))
    const connected = new Promise<IConnackPacket>((resolve, reject) => {
      peer.client.once('connect', resolve)
      peer.client.once('error', reject)
    })
    peer.connack = await withDeadline(connected, { describe: () => `a connection to ${url}` })
    return peer
  }

  get isSessionPresent(): boolean {
    return this.connack.sessionPresent
  }

  /** Subscribes and gives the QoS granted, or the reason code. */
  async subscribe(filter: string, options: IClientSubscribeOptions): Promise<number | undefined> {
    return (await this.client.subscribeAsync(filter, options))[0]?.qos
  }

  /** Publishes all at once, in order, and waits for the acknowledgements. */
  async publish(
    topic: string,
    payloads: string | readonly string[],
    options: IClientPublishOptions
  ): Promise<void> {
    const sent = [payloads].flat().map(payload => this.client.publishAsync(topic, payload, options))
    await Promise.all(sent)
  }

  /** How many messages have arrived and are not taken. */
  get waiting(): number {
    return this.#messages.length
  }

  /** The next message. */
  next(): Promise<Message> {
    return this.#signal.until(() => this.#messages.shift(), { describe: () => 'the next message' })
  }

  /** The next messages. */
  async take(count: number): Promise<Message[]> {
    const taken: Message[] = []
    while (taken.length < count) taken.push(await this.next())
    return taken
  }

  /** What arrives before the message with this payload, which is taken as well. */
  async before(marker: string): Promise<Message[]> {
    const taken: Message[] = []
    for (;;) {
      const message = await this.next()
      if (message.payload === marker) return taken
      taken.push(message)
    }
  }

  /** Waits for the end of the connection; gives the reason code of the server's DISCONNECT. */
  ended(): Promise<number | undefined> {
    return this.#signal
      .until(() => this.#isClosed && [this.#disconnect?.reasonCode], {
        describe: () => 'the end of the connection'
      })
      .then(([reasonCode]) => reasonCode)
  }

  /** Ends the connection without a DISCONNECT. */
  async cut(): Promise<void> {
    this.client.stream.destroy()
    await this.ended()
  }

  /** Says goodbye. */
  async disconnect(packet: Partial<IDisconnectPacket> = {}): Promise<void> {
    await this.client.endAsync(false, packet)
  }
}

/** The payloads of messages. */
export function payloadsOf(messages: readonly Message[]): string[] {
  return messages.map(message => message.payload)
}
