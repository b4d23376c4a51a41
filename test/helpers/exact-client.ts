import type { IPublishPacket, Packet, QoS } from 'mqtt-packet'
import type { RawClient } from './raw-client.ts'

/** A message that a client publishes. */
export interface ExactPublish {
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  readonly isRetained: boolean
}

/** What a client tells of. */
export interface ExactListener<Publish extends ExactPublish> {
  /** A PUBLISH; `isNew` is false when its packet id is held: the application does not get it a second time. */
  arrived(packet: IPublishPacket, isNew: boolean): void
  /** The server has taken a message over: PUBACK or PUBREC. */
  accepted(publish: Publish): void
  refused(publish: Publish): void
  /** A publish goes out once more, on a new connection. */
  repeated(publish: Publish): void
  /** The client is done with a message (PUBACK, PUBCOMP); `isRefused`: it did not want it. */
  done(payload: string, isRefused: boolean): void
  /** The server did what it must not do. */
  broken(text: string): void
}

/** How a client works. */
export interface ExactOptions {
  readonly name: string
  readonly isV5: boolean
  /** Most messages unacked that the server may send. */
  readonly window: number
}

interface Exchange<Publish> {
  readonly publish: Publish
  /** PUBREC has come. */
  isReleased: boolean
  /** PUBREL has gone out on this connection. */
  hasSentRelease: boolean
}

interface Answer {
  readonly cmd: 'puback' | 'pubrec' | 'pubcomp'
  readonly packetId: number
  readonly payload: string
}

/** After each power cut packet ids go on by what was reserved, up to 16,384 of them. */
const CUTS_OF_A_ROUND = 3

const TAKEN: ReadonlySet<Packet['cmd']> = new Set(['publish', 'puback', 'pubrec', 'pubrel', 'pubcomp'])

/**
 * A client that keeps to the specification in both directions, with a session that outlives its connections. It
 * answers when told to, so that a connection can end between any two steps. @see MQTT 5.0 sections 4.3.3 and 4.4
 */
export class ExactClient<Publish extends ExactPublish> {
  readonly name: string
  readonly isV5: boolean
  /** Keeps PUBREL back until {@link goOn}. */
  isStalling = false
  /** What was published and is not done with, by packet id. */
  readonly #outgoing = new Map<number, Exchange<Publish>>()
  /** QoS 2 messages that were received and not released. */
  readonly #held = new Map<number, string>()
  /** QoS 1 messages that were received and not acked, on whatever connection, and the power cuts since then. */
  readonly #unacked = new Map<number, { readonly payload: string; cuts: number }>()
  readonly #window: number
  readonly #listener: ExactListener<Publish>
  /** Packet ids that the server has in flight on this connection. */
  #inFlight = new Set<number>()
  #answers: Answer[] = []
  #raw: RawClient | null = null

  constructor(options: ExactOptions, listener: ExactListener<Publish>) {
    this.name = options.name
    this.isV5 = options.isV5
    this.#window = options.window
    this.#listener = listener
  }

  get raw(): RawClient | null {
    return this.#raw
  }

  /** Messages on their way to the server. */
  get unresolved(): Publish[] {
    return [...this.#outgoing.values()].flatMap(({ publish, isReleased }) => (isReleased ? [] : [publish]))
  }

  /** Answers that are still to be given. */
  get answers(): number {
    return this.#answers.length
  }

  /** Whether every exchange has come to its end, in both directions. */
  get isDone(): boolean {
    return this.#outgoing.size + this.#held.size + this.#answers.length === 0
  }

  /** Opens the session on a new connection and takes up what was left. @returns whether the server had a session. */
  async connect(raw: RawClient, isClean: boolean): Promise<boolean> {
    const connack = await raw.login({
      ...{ clientId: this.name, clean: isClean, isAcking: false },
      ...(this.isV5 ? { protocolVersion: 5, expirySeconds: 1_000_000, receiveMaximum: this.#window } : {})
    })
    if ((connack.reasonCode ?? connack.returnCode ?? 0) !== 0) throw new Error(`${this.name} was not let in`)
    this.left()
    this.#raw = raw
    if (connack.sessionPresent) this.#takeUp()
    else this.#forget()
    return connack.sessionPresent
  }

  /** The connection is over. */
  left(): void {
    this.#raw = null
    this.#answers = []
    this.#inFlight = new Set()
  }

  /** The server had a power cut: ids of lost deliveries are left out at first, and then they come round. */
  outlivedPowerCut(): void {
    for (const [id, entry] of this.#unacked) if (++entry.cuts === CUTS_OF_A_ROUND) this.#unacked.delete(id)
  }

  /** Publishes without waiting. */
  publish(publish: Publish): void {
    let packetId = 0
    if (publish.qos > 0) {
      for (packetId = 1; this.#outgoing.has(packetId); ) packetId++ // the lowest: ids come again soon
      this.#outgoing.set(packetId, { publish, isReleased: false, hasSentRelease: false })
    }
    this.#send(publish, packetId, false)
  }

  /** Sends the PUBRELs that were kept back. */
  goOn(): void {
    this.isStalling = false
    for (const [packetId, exchange] of this.#outgoing) {
      if (exchange.isReleased && !exchange.hasSentRelease) this.#release(packetId, exchange)
    }
  }

  /** Gives answers, from the one at `pick` on; `isRefusing` with the reason code 0x80 where there may be one. */
  answer(pick: number, count: number, isRefusing = false): void {
    for (let i = 0; i < count && this.#answers.length > 0; i++) {
      const [answer] = this.#answers.splice(pick % this.#answers.length, 1)
      this.#answer(answer!, isRefusing && this.isV5 && answer!.cmd !== 'pubcomp')
    }
  }

  /** Looks at all that has come. @returns how many packets. */
  collect(): number {
    const raw = this.#raw
    if (!raw) return 0
    const packets = raw.unread.filter(({ cmd }) => TAKEN.has(cmd))
    const others = raw.unread.filter(({ cmd }) => !TAKEN.has(cmd))
    raw.unread.splice(0, raw.unread.length, ...others)
    for (const packet of packets) this.#take(packet)
    if (this.#inFlight.size > this.#window) this.#broken(`${this.#inFlight.size} are in flight`)
    return packets.length
  }

  #take(packet: Packet): void {
    const id = packet.messageId ?? 0
    if (packet.cmd === 'publish') this.#message(packet, id)
    else if (packet.cmd === 'pubrel') {
      const payload = this.#held.get(id) ?? ''
      this.#held.delete(id)
      this.#inFlight.add(id)
      this.#answers.push({ cmd: 'pubcomp', packetId: id, payload })
    } else if (packet.cmd === 'puback' || packet.cmd === 'pubrec') {
      this.#receipt(packet.cmd, id, 'reasonCode' in packet ? (packet.reasonCode ?? 0) : 0)
    } else if (this.#outgoing.get(id)?.isReleased) this.#outgoing.delete(id)
    else this.#broken(`PUBCOMP ${id} without PUBREL`)
  }

  #message(packet: IPublishPacket, id: number): void {
    const payload = packet.payload.toString()
    if (packet.qos === 0) {
      this.#listener.arrived(packet, true)
      return
    }
    const other = this.#held.get(id) ?? this.#unacked.get(id)?.payload
    const isSame = other === payload && this.#held.has(id) === (packet.qos === 2)
    if (other !== undefined && !isSame) this.#broken(`${payload} came under packet id ${id} of ${other}`)
    if (other !== undefined && !packet.dup) this.#broken(`${payload} came again without DUP`)
    if (this.#inFlight.has(id)) this.#broken(`packet id ${id} is in flight and came again`)
    this.#inFlight.add(id)
    this.#listener.arrived(packet, other === undefined)
    if (packet.qos === 2) this.#held.set(id, payload)
    else this.#unacked.set(id, { payload, cuts: 0 })
    this.#answers.push({ cmd: packet.qos === 2 ? 'pubrec' : 'puback', packetId: id, payload })
  }

  #answer({ cmd, packetId, payload }: Answer, isRefusing: boolean): void {
    const reason = isRefusing ? { reasonCode: 0x80 } : {}
    this.#raw!.send({ cmd, messageId: packetId, ...reason })
    if (cmd === 'puback') this.#unacked.delete(packetId)
    if (cmd === 'pubrec' && !isRefusing) return
    if (cmd === 'pubrec') this.#held.delete(packetId)
    this.#inFlight.delete(packetId)
    this.#listener.done(payload, isRefusing)
  }

  #receipt(cmd: 'puback' | 'pubrec', id: number, code: number): void {
    const exchange = this.#outgoing.get(id)
    if (!exchange || exchange.isReleased || (exchange.publish.qos === 2) !== (cmd === 'pubrec')) {
      this.#broken(`${cmd} ${id} without its PUBLISH`)
      return
    }
    if (code >= 0x80 || cmd === 'puback') this.#outgoing.delete(id)
    if (code >= 0x80) this.#listener.refused(exchange.publish)
    else this.#listener.accepted(exchange.publish)
    if (code >= 0x80 || cmd === 'puback') return
    exchange.isReleased = true
    if (!this.isStalling) this.#release(id, exchange)
  }

  /** @see MQTT 5.0 section 4.4: everything again, in its order, under its packet ids. */
  #takeUp(): void {
    for (const [packetId, exchange] of this.#outgoing) {
      if (exchange.isReleased) this.#release(packetId, exchange)
      else {
        this.#listener.repeated(exchange.publish)
        this.#send(exchange.publish, packetId, true)
      }
    }
  }

  /** There is no session on the other side, and so there is none here. */
  #forget(): void {
    this.#outgoing.clear()
    this.#held.clear()
    this.#unacked.clear()
  }

  #send({ topic, payload, qos, isRetained }: Publish, messageId: number, dup: boolean): void {
    this.#raw!.send({ cmd: 'publish', topic, payload, qos, retain: isRetained, dup, messageId })
  }

  #release(messageId: number, exchange: Exchange<Publish>): void {
    exchange.hasSentRelease = true
    this.#raw!.send({ cmd: 'pubrel', messageId })
  }

  #broken(text: string): void {
    this.#listener.broken(`${this.name}: ${text}`)
  }
}
