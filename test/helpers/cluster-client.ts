import type { IPublishPacket, QoS } from 'mqtt-packet'
import type { ClusterBroker } from './cluster.ts'
import { ExactClient, type ExactPublish } from './exact-client.ts'
import type { History } from './history.ts'
import { RawClient } from './raw-client.ts'

/** What a client of a cluster needs besides its name. */
export interface ClientOptions {
  readonly name: string
  readonly isV5?: boolean
  /** Most unacked messages in either direction. */
  readonly window?: number
  /** Its session does not outlive a connection. */
  readonly isClean?: boolean
}

/** `maxInflight` of the servers, by default. */
const SERVER_WINDOW = 100

/** How long a broker may take to let a client in, before the client tries another one. */
const PATIENCE_MS = 4_000

/** A client that goes from broker to broker, keeps to the specification, and writes down all it sees. */
export class ClusterClient {
  readonly name: string
  readonly exact: ExactClient<ExactPublish>
  /** What the server did and must not do. */
  readonly problems: string[] = []
  /** The present connection, `p1#3` for the third of p1. */
  connection = ''
  broker: ClusterBroker | null = null
  protected readonly history: History
  readonly #isClean: boolean
  #connections = 0
  #isConnecting = false
  /** Its session was there, as far as it knows. */
  #hasSession = false

  constructor(history: History, { name, isV5 = true, window = 20, isClean = false }: ClientOptions) {
    this.history = history
    this.name = name
    this.#isClean = isClean
    this.exact = new ExactClient<ExactPublish>(
      // a client of 3.1.1 has no say
      { name, isV5, window: isV5 ? window : SERVER_WINDOW },
      {
        arrived: (packet, isNew) => this.#arrived(packet, isNew),
        accepted: ({ payload }) => this.accepted(payload),
        refused: publish => this.refused(publish),
        repeated: publish => this.#record(publish),
        done: payload => this.history.record({ kind: 'ack', session: name, message: payload }),
        broken: text => this.problems.push(text)
      }
    )
  }

  /** Whether it has a connection that is open, and looks for no other one. */
  get isConnected(): boolean {
    return !this.#isConnecting && this.exact.raw !== null && !this.exact.raw.isClosed
  }

  /**
   * Goes to a broker. The connection that it has stays open meanwhile, so that the broker takes it over.
   * @returns whether it was let in, in time.
   */
  async connect(broker: ClusterBroker): Promise<boolean> {
    if (broker.mqttPort === 0) return false
    const [old, oldName] = [this.exact.raw, this.connection]
    const raw = RawClient.open(broker.mqttPort)
    const timer = setTimeout(() => raw.destroy(), PATIENCE_MS)
    this.#isConnecting = true
    this.connection = `${this.name}#${++this.#connections}`
    try {
      const isPresent = await this.exact.connect(raw, this.#isClean)
      this.#came(broker, isPresent)
      old?.destroy()
      return true
    } catch {
      raw.destroy()
      this.connection = oldName
      return false
    } finally {
      clearTimeout(timer)
      this.#isConnecting = false
    }
  }

  /** Leaves its broker, with a DISCONNECT or without a word. */
  leave(isPolite: boolean): void {
    const raw = this.exact.raw
    if (isPolite) void raw?.disconnect().catch(() => {})
    else raw?.destroy()
    this.exact.left()
    this.broker = null
  }

  /** Sends a message. */
  publish(topic: string, payload: string, qos: QoS): void {
    const publish = { topic, payload, qos, isRetained: false }
    this.#record(publish)
    this.exact.publish(publish)
  }

  /** A message was acked. */
  protected accepted(message: string): void {
    this.history.record({ kind: 'accept', connection: this.connection, message })
  }

  /** A message was refused with a reason. */
  protected refused(publish: ExactPublish): void {
    this.history.record({ kind: 'note', text: `${publish.payload} was refused` })
  }

  #came(broker: ClusterBroker, isPresent: boolean): void {
    this.broker = broker
    const isClean = this.#isClean
    if (this.#hasSession && !isPresent && !isClean) this.problems.push(`${this.name}: its session is gone`)
    this.#hasSession = !isClean
    this.history.record({ kind: 'connect', session: this.name, broker: broker.name, isPresent, isClean })
  }

  #arrived(packet: IPublishPacket, isNew: boolean): void {
    const { topic, qos, dup: isDup } = packet
    const message = packet.payload.toString()
    this.history.record({ kind: 'receive', session: this.name, message, topic, qos, isDup, isNew })
  }

  #record({ payload, topic, qos }: ExactPublish): void {
    this.history.record({ kind: 'publish', connection: this.connection, message: payload, topic, qos })
  }
}
