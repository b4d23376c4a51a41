import { connect as connectSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type {
  IConnackPacket,
  IConnectPacket,
  IDisconnectPacket,
  IPubackPacket,
  IPublishPacket,
  ISubackPacket,
  IUnsubackPacket,
  Packet,
  QoS
} from 'mqtt-packet'
import { generate, parser } from 'mqtt-packet'
import { DEADLINE_MS, Signal } from './signal.ts'

/** Where to connect: a port of this machine, or the client's end of a pair of streams. */
export type RawTarget = number | { readonly port: number; readonly host?: string } | Duplex

/** How to connect. Without a client id the server makes one up (or refuses). */
export interface RawConnect {
  readonly clientId?: string
  /** 4 is MQTT 3.1.1, the default. */
  readonly protocolVersion?: 3 | 4 | 5
  /** Clean Session or Clean Start; default true. */
  readonly clean?: boolean
  readonly keepaliveSeconds?: number
  /** MQTT 5: Session Expiry Interval; left out: 0. */
  readonly expirySeconds?: number
  /** MQTT 5: Receive Maximum of this client. */
  readonly receiveMaximum?: number
  readonly username?: string
  readonly password?: string
  readonly will?: NonNullable<IConnectPacket['will']>
  /** Further MQTT 5 properties. */
  readonly properties?: NonNullable<IConnectPacket['properties']>
  /** Whether publishes are acked at once; default true. Otherwise the test calls {@link RawClient.ack}. */
  readonly isAcking?: boolean
}

/** What to publish. */
export interface RawPublish {
  readonly topic: string
  readonly payload?: string | Buffer
  readonly qos?: QoS
  readonly retain?: boolean
  readonly dup?: boolean
  /** Packet id; left out: the next free one. */
  readonly messageId?: number
  readonly properties?: NonNullable<IPublishPacket['properties']>
}

type PacketOf<Cmd extends Packet['cmd']> = Extract<Packet, { cmd: Cmd }>

/**
 * A small MQTT client that does nothing by itself but ack: every packet from the server stands in `received`, and in
 * a queue of unread ones from which tests take with a deadline. Independent of the code under test.
 */
export class RawClient {
  /** Every packet so far, oldest first. */
  readonly received: Packet[] = []
  /** The packets that no wait has taken yet. */
  readonly unread: Packet[] = []
  /** The server's answer to CONNECT. */
  connack: IConnackPacket | undefined
  isClosed = false
  isAcking = true
  readonly #stream: Duplex
  readonly #signal = new Signal()
  readonly #format: { protocolVersion?: number } = {}
  readonly #parser = parser(this.#format)
  #version: 3 | 4 | 5 = 4
  #lastId = 0

  private constructor(stream: Duplex) {
    this.#stream = stream
    this.#parser.on('packet', (packet: Packet) => this.#take(packet))
    this.#parser.on('error', (error: Error) => this.#signal.fail(error))
    stream.on('data', (bytes: Buffer) => this.#parser.parse(bytes))
    stream.on('error', () => {}) // a reset ends in 'close' as well
    stream.on('close', () => this.#close())
    stream.on('end', () => stream.end())
  }

  /** Opens a connection and sends nothing. */
  static open(target: RawTarget): RawClient {
    if (typeof target === 'number') return new RawClient(connectSocket(target, '127.0.0.1').setNoDelay())
    if ('port' in target)
      return new RawClient(connectSocket(target.port, target.host ?? '127.0.0.1').setNoDelay())
    return new RawClient(target)
  }

  /** Opens a connection, sends CONNECT and waits for an accepting CONNACK. */
  static async connect(target: RawTarget, options: RawConnect = {}): Promise<RawClient> {
    const client = RawClient.open(target)
    const connack = await client.login(options)
    const code = connack.reasonCode ?? connack.returnCode ?? 0
    if (code !== 0) throw new Error(`connection refused with 0x${code.toString(16)}`)
    return client
  }

  /** Sends CONNECT and waits for CONNACK, whatever it says. */
  async login(options: RawConnect = {}): Promise<IConnackPacket> {
    this.#version = options.protocolVersion ?? 4
    this.#format.protocolVersion = this.#version
    this.isAcking = options.isAcking ?? true
    this.send(connectPacket(options))
    this.connack = await this.next('connack')
    return this.connack
  }

  /** Sends a packet as it is. */
  send(packet: Packet): void {
    this.sendBytes(generate(packet, { protocolVersion: this.#version }))
  }

  /** Sends bytes, which need not be MQTT. */
  sendBytes(bytes: Buffer): void {
    if (!this.isClosed) this.#stream.write(bytes)
  }

  /** Takes the oldest unread packet of this kind that fits; waits for it. Others stay unread. */
  async next<Cmd extends Packet['cmd']>(
    cmd: Cmd,
    fits: (packet: PacketOf<Cmd>) => boolean = () => true,
    deadlineMs = DEADLINE_MS
  ): Promise<PacketOf<Cmd>> {
    const isIt = (packet: Packet) => packet.cmd === cmd && fits(packet as PacketOf<Cmd>)
    const look = () => {
      const at = this.unread.findIndex(isIt)
      if (at >= 0) return this.unread.splice(at, 1)[0] as PacketOf<Cmd>
      if (this.isClosed) throw new Error(`connection closed while waiting; ${this.#story(cmd)}`)
      return undefined
    }
    return await this.#signal.until(look, { deadlineMs, describe: () => this.#story(cmd) })
  }

  /** The next `count` messages in the order in which they came. */
  async messages(count: number, deadlineMs = DEADLINE_MS): Promise<IPublishPacket[]> {
    const taken: IPublishPacket[] = []
    while (taken.length < count) taken.push(await this.next('publish', undefined, deadlineMs))
    return taken
  }

  /** The payloads of the next `count` messages as text. */
  async payloads(count: number, deadlineMs = DEADLINE_MS): Promise<string[]> {
    return (await this.messages(count, deadlineMs)).map(message => message.payload.toString())
  }

  /** Publishes; resolves when written (QoS 0), with the PUBACK (QoS 1), or with the PUBCOMP (QoS 2). */
  async publish(options: RawPublish): Promise<Packet | undefined> {
    const messageId = this.publishOnly(options)
    if (messageId === 0) return undefined
    if (options.qos === 1) return await this.next('puback', ack => ack.messageId === messageId)
    await this.next('pubrec', ack => ack.messageId === messageId)
    this.send({ cmd: 'pubrel', messageId })
    return await this.next('pubcomp', ack => ack.messageId === messageId)
  }

  /** Sends PUBLISH and waits for nothing; returns its packet id, 0 for QoS 0. */
  publishOnly({ topic, payload = '', qos = 0, retain = false, dup = false, ...rest }: RawPublish): number {
    const messageId = qos === 0 ? 0 : (rest.messageId ?? this.nextId())
    const properties = rest.properties ? { properties: rest.properties } : {}
    this.send({ cmd: 'publish', topic, payload, qos, retain, dup, messageId, ...properties })
    return messageId
  }

  /** Subscribes to one filter or several at the same QoS and waits for SUBACK. */
  async subscribe(filters: string | readonly string[], qos: QoS = 1): Promise<ISubackPacket> {
    const messageId = this.nextId()
    const topics = typeof filters === 'string' ? [filters] : filters
    this.send({ cmd: 'subscribe', messageId, subscriptions: topics.map(topic => ({ topic, qos })) })
    return await this.next('suback', ack => ack.messageId === messageId)
  }

  /** Unsubscribes and waits for UNSUBACK. */
  async unsubscribe(...filters: string[]): Promise<IUnsubackPacket> {
    const messageId = this.nextId()
    this.send({ cmd: 'unsubscribe', messageId, unsubscriptions: filters })
    return await this.next('unsuback', ack => ack.messageId === messageId)
  }

  /** Acks a received message: PUBACK for QoS 1, PUBREC for QoS 2. */
  ack(message: IPublishPacket, reasonCode = 0): void {
    const packet: IPubackPacket = { cmd: 'puback', messageId: message.messageId! }
    if (this.#version === 5) packet.reasonCode = reasonCode
    this.send(message.qos === 2 ? { ...packet, cmd: 'pubrec' } : packet)
  }

  /** A round trip: what the server had written for this client before it answered has arrived. */
  async ping(): Promise<void> {
    this.send({ cmd: 'pingreq' })
    await this.next('pingresp')
  }

  /** The messages that have arrived and were not taken. */
  unreadMessages(): IPublishPacket[] {
    return this.unread.filter(packet => packet.cmd === 'publish')
  }

  /** Stops reading from the socket, as a stalled client does. */
  pause(): void {
    this.#stream.pause()
  }

  /** Reads again. */
  resume(): void {
    this.#stream.resume()
  }

  /** Says goodbye properly and waits until the connection is closed. */
  async disconnect(options: Omit<IDisconnectPacket, 'cmd'> = {}): Promise<void> {
    this.send({ ...options, cmd: 'disconnect' })
    this.#stream.end()
    await this.closed()
  }

  /** Cuts the connection without a word. */
  destroy(): void {
    this.#stream.destroy()
  }

  /** Resolves when the connection is closed, by whomever. */
  async closed(deadlineMs = DEADLINE_MS): Promise<void> {
    await this.#signal.until(() => this.isClosed, { deadlineMs, describe: () => this.#story('a close') })
  }

  /** A packet id that was not used lately. */
  nextId(): number {
    this.#lastId = (this.#lastId % 65_535) + 1
    return this.#lastId
  }

  #take(packet: Packet): void {
    this.received.push(packet)
    this.unread.push(packet)
    if (this.isAcking) this.#answer(packet)
    this.#signal.notify()
  }

  #answer(packet: Packet): void {
    if (packet.cmd === 'publish' && packet.qos > 0) this.ack(packet)
    else if (packet.cmd === 'pubrel') this.send({ cmd: 'pubcomp', messageId: packet.messageId! })
  }

  #close(): void {
    this.isClosed = true
    this.#signal.notify()
  }

  #story(wanted: string): string {
    const last = this.received.slice(-12).map(describePacket).join(', ')
    const state = this.isClosed ? 'closed' : 'open'
    return `waited for ${wanted}; received ${this.received.length} packets (last: ${last || 'none'}); ${state}`
  }
}

/** One line for failure messages. */
export function describePacket(packet: Packet): string {
  const id = packet.messageId ? ` id ${packet.messageId}` : ''
  if (packet.cmd !== 'publish') {
    const code = 'reasonCode' in packet && packet.reasonCode ? ` 0x${packet.reasonCode.toString(16)}` : ''
    return `${packet.cmd}${id}${code}`
  }
  const text = packet.payload.toString().slice(0, 24)
  return `publish${id} q${packet.qos}${packet.dup ? ' DUP' : ''} ${packet.topic} "${text}"`
}

function connectPacket(options: RawConnect): IConnectPacket {
  const version = options.protocolVersion ?? 4
  const packet: IConnectPacket = {
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clientId: options.clientId ?? '',
    clean: options.clean ?? true,
    keepalive: options.keepaliveSeconds ?? 0
  }
  if (options.username !== undefined) packet.username = options.username
  if (options.password !== undefined) packet.password = Buffer.from(options.password)
  if (options.will) packet.will = options.will
  if (version === 5) packet.properties = connectProperties(options)
  return packet
}

function connectProperties(options: RawConnect): NonNullable<IConnectPacket['properties']> {
  return {
    ...options.properties,
    ...(options.expirySeconds === undefined ? {} : { sessionExpiryInterval: options.expirySeconds }),
    ...(options.receiveMaximum === undefined ? {} : { receiveMaximum: options.receiveMaximum })
  }
}
