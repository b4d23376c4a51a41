import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { AedesClient } from '../broker/broker.ts'
import type { InflightEntry } from '../delivery/inflight.ts'
import type { Session } from '../delivery/session.ts'
import type { Opening } from '../delivery/sessions.ts'
import type { Will } from '../delivery/wills.ts'
import { errorText, QueueError } from '../errors.ts'
import { malformed, PacketCursor, protocolError } from '../wire/cursor.ts'
import { disconnect, PINGRESP, reasonedAck, TYPE } from '../wire/packets.ts'
import { exchange, puback, tellAck } from './acks.ts'
import { ConnectionPort } from './client-port.ts'
import { type ConnectRequest, hasLegalFlags } from './connect.ts'
import type { FrontContext } from './context.ts'
import { readDisconnect } from './disconnect.ts'
import { Handshake, notConnect } from './handshake.ts'
import { Inbound } from './inbound.ts'
import { type HoldReason, Intake, type IntakeOwner } from './intake.ts'
import { Outgoing } from './outgoing.ts'
import { tellConnected, tellEnded, tellFailure } from './peer.ts'
import { failureCode } from './reason-codes.ts'
import { subscribe, unsubscribe } from './subscribe.ts'

/** A socket that was ended gets so long to take what is left. */
const LINGER_MS = 5_000

/** One network connection: reads packets in order, answers, and knows how it ends. */
export class Connection implements IntakeOwner {
  readonly connectedAt: number
  readonly request: IncomingMessage | undefined
  readonly outgoing: Outgoing
  readonly inbound: Inbound
  /** What the application may ask of it. */
  readonly port: ConnectionPort
  readonly #socket: Duplex & { remoteAddress?: string; remotePort?: number }
  readonly #context: FrontContext
  readonly #intake: Intake
  readonly #handshake: Handshake
  #session: Session | null = null
  #will: Will | null = null
  /** What DISCONNECT says: the will is not to be sent, the session is kept so long. */
  #hasSaidGoodbye = false
  #expirySeconds: number | null | undefined
  /** The DISCONNECT that ends this connection. */
  #lastWord: Buffer | null = null
  #failure: Error | null = null
  /** Why it is over; see EventMap. */
  #reason = 'lost'
  #heardAt = 0
  /** When something was last read, milliseconds since 1970. */
  lastActivityAt: number
  isClosed = false
  receivedBytes = 0

  /** @param socket TCP, TLS, WebSocket or any other byte stream. */
  constructor(socket: Duplex, request: IncomingMessage | undefined, context: FrontContext) {
    this.#socket = socket
    this.request = request
    this.#context = context
    this.connectedAt = context.clock.now()
    this.lastActivityAt = this.connectedAt
    this.#heardAt = context.tick
    this.#intake = new Intake(socket, this)
    this.outgoing = new Outgoing(socket, this, context)
    this.inbound = new Inbound(this, context)
    this.port = new ConnectionPort(this, context)
    this.#handshake = new Handshake(this, socket, context)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => this.#intake.ended())
    socket.on('error', error => this.#gone(error))
    socket.on('close', () => this.#gone(null))
  }

  get client(): AedesClient {
    return this.#handshake.client
  }

  get clientId(): string {
    return this.#handshake.clientId
  }

  /** The client id in UTF-8. */
  get clientIdBytes(): Buffer {
    return this.#handshake.clientIdBytes
  }

  /** What the client asked for; null before CONNECT. */
  get connect(): ConnectRequest | null {
    return this.#handshake.request
  }

  /** Something of what the client asked for was changed by a hook. */
  changeConnect(changes: Partial<ConnectRequest>): void {
    if (this.#handshake.request) this.#handshake.request = { ...this.#handshake.request, ...changes }
  }

  get protocolVersion(): number {
    return this.connect?.protocolVersion ?? 0
  }

  get isV5(): boolean {
    return this.protocolVersion === 5
  }

  get keepAliveSeconds(): number {
    return this.#handshake.keepAliveSeconds
  }

  get session(): Session | null {
    return this.#session
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort
  }

  get maxPacketBytes(): number {
    const { maxConnectPacketBytes, maxPacketBytes } = this.#context.limits
    return this.#session ? maxPacketBytes : maxConnectPacketBytes
  }

  get isHeld(): boolean {
    return this.#intake.isHeld || this.isClosed
  }

  get isPaced(): boolean {
    return this.#intake.isHeldFor('pace')
  }

  // ---- reading

  /** Reads nothing more until {@link release} with the same reason. */
  hold(reason: HoldReason): void {
    this.#intake.hold(reason)
  }

  release(reason: HoldReason): void {
    this.#intake.release(reason)
  }

  /** Runs something that reads packets; what it throws ends this connection and nothing else. */
  guard(task: () => void): void {
    this.#intake.guard(task)
  }

  /** Ends a connection that has been silent, or at the door, for too long. Called once a second. */
  sweep(tick: number): void {
    if (this.#session) this.#checkKeepAlive(tick)
    else this.#checkConnect()
  }

  /** @see MQTT 5.0 section 3.1.2.10 */
  #checkKeepAlive(tick: number): void {
    const seconds = this.keepAliveSeconds
    // it cannot be heard while the server makes it wait
    if (this.#intake.isPaused && !this.#intake.isHeldFor('answers')) this.#heardAt = tick
    if (seconds === 0 || tick - this.#heardAt <= seconds * 1.5) return
    this.#context.broker.events.keepAliveOver(this.client)
    this.fail(new QueueError('QUEUE_KEEP_ALIVE_TIMEOUT', { detail: { seconds } }))
  }

  /** Aedes waits for a CONNECT, but not for the answer of a hook. */
  #checkConnect(): void {
    const ms = this.#context.limits.connectTimeoutMs
    if (this.#context.clock.now() - this.connectedAt <= ms) return
    this.fail(new QueueError('QUEUE_CONNECT_TIMEOUT', { detail: { ms } }))
  }

  packet(header: number, bytes: Buffer, start: number, body: number, end: number): void {
    const type = header >> 4
    if (!hasLegalFlags(header)) throw malformed(`packet type ${type} has wrong flags`)
    const session = this.#session
    if (session === null) this.#handshake.fromClient(type, bytes, body, end)
    else if (type === TYPE.publish) this.inbound.packet(session, { header, bytes, start, body, end })
    else if (type === TYPE.puback) puback(this, session, bytes, body, end)
    else this.#control(type, session, new PacketCursor(bytes, body, end))
  }

  #read(chunk: Buffer): void {
    if (this.isClosed) return
    const { clock, counters, tick } = this.#context
    this.#heardAt = tick
    this.lastActivityAt = clock.now()
    counters.receivedBytes += chunk.length
    // a browser, TLS: what would be its length may never come
    if (this.receivedBytes === 0 && chunk[0]! >> 4 !== TYPE.connect) this.fail(notConnect())
    this.receivedBytes += chunk.length
    if (!this.isClosed) this.#intake.push(chunk)
    // a client that sends and never reads its answers must not fill the memory with them
    if (this.outgoing.isChoked) this.hold('answers')
    this.#intake.pauseIfHeld()
  }

  #control(type: number, session: Session, cursor: PacketCursor): void {
    switch (type) {
      case TYPE.pubrec:
      case TYPE.pubrel:
      case TYPE.pubcomp:
        exchange(this, session, type, cursor)
        break
      case TYPE.subscribe:
        subscribe(this, this.#context, session, cursor)
        break
      case TYPE.unsubscribe:
        unsubscribe(this, this.#context, session, cursor)
        break
      case TYPE.pingreq:
        if (!cursor.isAtEnd) throw malformed('PINGREQ has a body')
        this.#context.broker.events.pinged(this.client)
        this.send(PINGRESP)
        break
      case TYPE.disconnect:
        this.#disconnect(session, cursor)
        break
      case TYPE.connect:
        throw protocolError('a second CONNECT') // [MQTT-3.1.0-2]
      default:
        throw protocolError(`packet type ${type} is not expected here`)
    }
  }

  #disconnect(session: Session, cursor: PacketCursor): void {
    const { maxSessionExpirySeconds } = this.#context.limits
    const { keepsWill, expirySeconds } = readDisconnect(cursor, this.isV5, maxSessionExpirySeconds)
    if (expirySeconds !== undefined && expirySeconds !== 0 && session.expirySeconds === 0) {
      throw protocolError('DISCONNECT wants to keep a session that ends with its connection') // [MQTT-3.14.2-2]
    }
    this.#hasSaidGoodbye = !keepsWill
    this.#reason = 'client'
    this.#expirySeconds = expirySeconds
    this.close()
  }

  // ---- answering

  /** The client has acked a delivery: whoever listens is told. */
  acked(entry: InflightEntry, packetId: number): void {
    if (this.#context.broker.events.wantsAcks) tellAck(this.client, this.#context, entry, packetId)
  }

  /** Queues a whole packet; a client that cannot take it is told so and disconnected. [MQTT-3.1.2-24] */
  send(packet: Buffer): void {
    const limit = this.connect?.maxPacketBytes ?? Number.POSITIVE_INFINITY
    if (packet.length <= limit) this.outgoing.send(packet)
    else this.fail(new QueueError('QUEUE_PACKET_TOO_LARGE', { detail: { bytes: packet.length, limit } }))
  }

  /** A publish is not accepted: MQTT 5 is told why, 3.1.1 can only be disconnected. [MQTT-3.3.5-2] */
  refusePublish(qos: number, packetId: number, error: Error): void {
    if (this.isClosed) return
    if (!this.isV5 || qos === 0 || !(error instanceof QueueError)) {
      this.fail(error)
      return
    }
    const type = qos === 1 ? TYPE.puback : TYPE.pubrec
    const code = failureCode(type, error.reasonCode)
    this.send(this.#reasoned(error, reason => reasonedAck(type << 4, packetId, code, reason)))
  }

  /** A packet with a reason string, for clients that want one and can take it. [MQTT-3.1.2-29], [MQTT-3.4.2-2] */
  #reasoned(error: unknown, build: (reason: string | null) => Buffer): Buffer {
    const { wantsProblemInformation, maxPacketBytes } = this.connect ?? {}
    const packet = build(wantsProblemInformation ? errorText(ofHook(error)) : null)
    return packet.length > (maxPacketBytes ?? Number.POSITIVE_INFINITY) ? build(null) : packet
  }

  /** The DISCONNECT to end with; the first counts. */
  endWith(packet: Buffer): void {
    this.#lastWord ??= packet
  }

  /** There is room in the socket again. */
  hasRoom(): void {
    if (this.#session?.state === 'socket-full' && !this.outgoing.isFull) this.#session.wake()
    if (!this.outgoing.isChoked) this.release('answers')
  }

  // ---- beginning and end

  /** The client is let in and its session is open. */
  open({ session, isPresent, will }: Opening): void {
    this.#session = session
    this.#will = will
    if (will) will.client = this.client
    session.attach(this.outgoing)
    this.#context.counters.connections++
    tellConnected(this, this.#context, isPresent)
  }

  takenOver(): void {
    this.#end(new QueueError('QUEUE_SESSION_TAKEN_OVER'))
  }

  /** The server is stopping; wills are left for the next one. [MQTT-3.1.2-8] */
  shutDown(): void {
    this.#will = null
    this.#end(new QueueError('QUEUE_SERVER_STOPPING'))
  }

  /** Ends the connection because of an error; a client of MQTT 5 is told which. @see MQTT 5.0 section 4.13 */
  fail(error: unknown): void {
    if (this.isClosed) return
    // Aedes is told of it, and tells who listens
    const told = ofHook(error)
    this.#failure = told instanceof Error ? told : new Error(errorText(told))
    this.#end(error)
  }

  #end(error: unknown): void {
    if (this.isClosed) return
    const known = error instanceof QueueError
    this.#reason = known ? error.code : 'failed'
    tellFailure(this, this.#context, error)
    if (this.isV5 && this.#session) {
      const code = failureCode(TYPE.disconnect, known ? error.reasonCode : 0x80)
      this.endWith(this.#reasoned(error, reason => disconnect(code, reason)))
    }
    this.close()
  }

  /** Writes what is queued and ends the connection. */
  close(): void {
    if (this.isClosed) return
    this.outgoing.end(this.#lastWord)
    this.#gone(null)
    this.#socket.end()
    const timer = this.#context.clock.after(LINGER_MS, () => this.#socket.destroy())
    this.#socket.once('close', () => timer.cancel())
  }

  #gone(error: Error | null): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#intake.clear()
    const session = this.#session
    if (session) tellEnded(this, this.#context, this.#reason)
    this.#tellUnsubscribed(session)
    if (session?.outlet === this.outgoing) this.#context.sessions.detach(session, this.#expirySeconds)
    this.#endWill(session)
    this.#handshake.over(error ?? this.#failure, this.#hasSaidGoodbye)
    this.outgoing.gone()
    this.#context.broker.closed(this.client)
    this.#context.forget(this)
  }

  /** The subscriptions of a session that ends with its connection are gone. */
  #tellUnsubscribed(session: Session | null): void {
    if (!session || session.isPersistent || session.subscriptions.size === 0) return
    const filters = [...this.port.subscriptions()].map(({ topic }) => topic)
    this.#context.broker.events.unsubscribed(this.client, filters)
  }

  #endWill(session: Session | null): void {
    const will = this.#will
    if (!will) return
    if (this.#hasSaidGoodbye) this.#context.wills.drop(will)
    else this.#context.wills.lost(will, session ? session.expirySeconds : 0)
  }
}

/** A hook that refuses something says itself why. */
function ofHook(error: unknown): unknown {
  return error instanceof QueueError && error.code === 'QUEUE_NOT_AUTHORIZED' ? (error.cause ?? error) : error
}
