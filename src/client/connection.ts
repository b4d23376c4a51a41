import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient, type Packet } from 'mqtt'
import { backOffMs } from './back-off.ts'
import { after, nowMs, type Timer } from './clock.ts'
import { ClientError, problemText } from './errors.ts'
import type { ConnectPlan } from './options.ts'
import { isFinal, NO_VERDICT, reasonText, TAKEN_OVER, type Verdict, WRONG_VERSION } from './reasons.ts'

/** What a connection tells its owner. */
export interface ConnectionOwner {
  /** CONNACK has come; called before any message of this connection. */
  accepted(isSessionResumed: boolean): void
  /** Publishes of an earlier connection are settled; new packets may be sent. */
  ready(): void
  /** The connection is gone, or was not made; another attempt follows. */
  lost(reason: string, retryInMs: number, isPlanned: boolean): void
  /** The server has ended it for good. */
  failed(error: ClientError): void
  /** A message. Nothing more is read until `readOn` is called; an error in it leaves a QoS 2 message open. */
  received(packet: IPublishPacket, readOn: (error?: Error) => void): void
}

/** A connection that stood so long was a good one: the delays of reconnecting start anew. */
const STABLE_MS = 10_000
/** How long the server may take to close a connection after our DISCONNECT. */
const CLOSE_MS = 2_000
/** The longest time of a timer. */
const NEVER_MS = 2 ** 31 - 1
const LEFT_TO_US = new Error('acked later')

/**
 * The connection to the server, made again whenever it is lost, with acks that are sent when they are due.
 *
 * MQTT.js acks a message when the callback of `handleMessage` is called, and reads nothing until then, not even
 * PINGRESP or SUBACK. A slow handler would stall its own connection. So the callback is called at once, with an
 * error: then MQTT.js reads on and sends no PUBACK (`test/client/contract.test.ts` keeps watch over this). The
 * PUBACK is written to `client.stream` when the handler is done: four bytes, the same in 3.1.1 and 5, between
 * whole packets, since MQTT.js writes each packet in one go. DISCONNECT before a planned reconnect is written
 * in the same way.
 */
export class Connection {
  /** Counts the accepted connections: 0 before the first. */
  number = 0
  #client: MqttClient
  #protocol: 4 | 5
  readonly #plan: ConnectPlan
  readonly #owner: ConnectionOwner
  #isAccepted = false
  #isEnding = false
  #isPlannedEnd = false
  #verdict: Verdict = NO_VERDICT
  #lastProblem = ''
  #failures = 0
  #acceptedAt = 0
  #acks: number[] = []
  #retry: Timer | undefined
  #stuck: Timer | undefined

  constructor(plan: ConnectPlan, owner: ConnectionOwner) {
    this.#plan = plan
    this.#owner = owner
    this.#protocol = plan.protocol
    this.#client = this.#newClient()
  }

  /** MQTT.js, for subscribe and publish. */
  get mqtt(): MqttClient {
    return this.#client
  }

  get protocol(): 4 | 5 {
    return this.#protocol
  }

  /** Whether packets can be sent. */
  get isUp(): boolean {
    return this.#isAccepted && this.#client.stream.writable
  }

  /** Why there is no connection, for people. */
  get problem(): string {
    return this.#verdict.text || this.#lastProblem || 'no answer'
  }

  /** Makes the first attempt. */
  open(): void {
    this.#client.connect()
  }

  /** Acks a QoS 1 message of connection `number`. @returns false when that connection is gone. */
  ack(number: number, packetId: number): boolean {
    if (number !== this.number || !this.isUp) return false
    // [MQTT-4.6.0-2] asks for acks in the order of the messages. With handlers side by side one slow message would
    // then hold the acks of all behind it, and the window would close; so they go out as the handlers finish.
    if (this.#acks.push(packetId) === 1) queueMicrotask(() => this.#flushAcks())
    return true
  }

  /** Ends the connection and makes a new one at once: the way to be given unacked messages again. */
  cycle(): void {
    if (!this.isUp) return
    this.#isPlannedEnd = true
    this.#flushAcks()
    this.#client.stream.write(Uint8Array.of(0xe0, 0)) // DISCONNECT, normal: the session stays, the will is not sent
    this.#client.stream.end()
    this.#destroyIfStuck()
  }

  /** Ends the connection for good; what was sent before arrives. Resolves when it is closed. */
  async end(): Promise<void> {
    this.#isEnding = true
    this.#retry?.cancel()
    this.#client.options.reconnectPeriod = 0 // a close that is still to come must not set the timer of MQTT.js
    if (!this.isUp) return await this.#client.endAsync(true)
    this.#flushAcks()
    this.#destroyIfStuck()
    // with a publish that is still open `end` would wait for its ack, for ever perhaps
    const isOpen = Object.keys(this.#client.outgoing).length > 0
    if (isOpen) this.#client.stream.write(Uint8Array.of(0xe0, 0))
    await this.#client.endAsync(isOpen)
    this.#stuck?.cancel()
  }

  // ---- MQTT.js

  #newClient(): MqttClient {
    const client = mqtt.connect(this.#plan.url, this.#options())
    client.handleMessage = (packet, done) => {
      if (packet.qos === 2) this.#owner.received(packet, error => done(error))
      else this.#owner.received(packet, () => done(LEFT_TO_US))
    }
    client.on('packetreceive', packet => this.#see(packet))
    client.on('connect', () => this.#owner.ready())
    client.on('error', error => {
      this.#lastProblem = problemText(error) || ((error as { code?: string }).code ?? '')
      client.stream.destroy() // most errors of MQTT.js close the connection, but not all
    })
    client.on('close', () => this.#closed())
    return client
  }

  #options(): IClientOptions {
    const { clientId, isDurable, mqttOptions, prefetch, sessionExpirySeconds } = this.#plan
    const options: IClientOptions = {
      ...mqttOptions,
      clientId,
      clean: !isDurable,
      manualConnect: true,
      protocolVersion: this.#protocol,
      // When to connect again is decided here, long before. With 0 MQTT.js would let go of the publishes of a clean
      // session when a connection is dead, and send them again all the same.
      reconnectPeriod: NEVER_MS,
      resubscribe: false
    }
    if (this.#protocol === 4) return options
    const properties = {
      receiveMaximum: prefetch,
      ...(isDurable ? { sessionExpiryInterval: sessionExpirySeconds } : {})
    }
    return { ...options, properties: { ...mqttOptions.properties, ...properties } }
  }

  #see(packet: Packet): void {
    if (packet.cmd !== 'connack' && packet.cmd !== 'disconnect') return
    const code = packet.reasonCode ?? ('returnCode' in packet ? packet.returnCode : 0) ?? 0
    if (packet.cmd === 'connack' && code === 0) {
      this.number += 1
      this.#isAccepted = true
      this.#verdict = NO_VERDICT
      this.#lastProblem = ''
      this.#acceptedAt = nowMs()
      this.#owner.accepted(packet.sessionPresent)
    } else this.#verdict = { code, text: reasonText(code, packet.properties?.reasonString) }
  }

  #closed(): void {
    const wasAccepted = this.#isAccepted
    const isPlanned = this.#isPlannedEnd
    this.#isAccepted = this.#isPlannedEnd = false
    this.#acks = []
    this.#stuck?.cancel()
    if (this.#isEnding) return
    if (this.#speaksOlder(wasAccepted)) return
    if (isFinal(this.#verdict)) this.#owner.failed(this.#finalError(wasAccepted))
    else this.#tryAgain(wasAccepted, isPlanned)
  }

  #tryAgain(wasAccepted: boolean, isPlanned: boolean): void {
    if (isPlanned || (wasAccepted && nowMs() - this.#acceptedAt >= STABLE_MS)) this.#failures = 0
    if (!isPlanned) this.#failures += 1
    const retryInMs = isPlanned ? 0 : backOffMs(this.#failures, this.#plan.reconnect)
    const reason = wasAccepted
      ? this.#verdict.text || this.#lastProblem || 'the connection was lost'
      : this.problem
    this.#owner.lost(isPlanned ? 'planned' : reason, retryInMs, isPlanned)
    if (!this.#isEnding) this.#retry = after(retryInMs, () => this.#reconnect())
  }

  #reconnect(): void {
    this.#verdict = NO_VERDICT
    const { incomingStore, outgoingStore } = this.#client // kept: they have the publishes that wait for their acks
    this.#client.reconnect({ incomingStore, outgoingStore } as Parameters<MqttClient['reconnect']>[0])
  }

  /** Begins anew with MQTT 3.1.1 if the server has said that it does not know MQTT 5. */
  #speaksOlder(wasAccepted: boolean): boolean {
    if (wasAccepted || this.#protocol === 4 || !WRONG_VERSION.has(this.#verdict.code)) return false
    this.#protocol = 4
    this.#verdict = NO_VERDICT
    this.#client.options.reconnectPeriod = 0
    this.#client.end(true)
    this.#client = this.#newClient() // nothing was published yet: that waits for a connection
    this.#client.connect()
    return true
  }

  #finalError(wasAccepted: boolean): ClientError {
    const { clientId, shownUrl: url } = this.#plan
    const detail = { url, clientId, reason: this.#verdict.text, reasonCode: this.#verdict.code }
    if (!wasAccepted) return new ClientError('CLIENT_REFUSED', { detail })
    if (this.#verdict.code === TAKEN_OVER) return new ClientError('CLIENT_TAKEN_OVER', { detail })
    return new ClientError('CLIENT_DISCONNECTED', { detail })
  }

  #flushAcks(): void {
    if (this.#acks.length === 0 || !this.isUp) return
    this.#client.stream.write(Uint8Array.from(this.#acks.flatMap(id => [0x40, 2, id >> 8, id & 0xff]))) // PUBACK
    this.#acks = []
  }

  #destroyIfStuck(): void {
    const { stream } = this.#client
    this.#stuck?.cancel()
    this.#stuck = after(CLOSE_MS, () => stream.destroy())
  }
}
