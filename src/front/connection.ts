import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { AedesClient } from '../broker/broker.ts'
import type { Outlet } from '../delivery/outlet.ts'
import type { Flushable } from '../delivery/scheduler.ts'
import type { Session } from '../delivery/session.ts'
import { errorText, QueueError } from '../errors.ts'
import { malformed, PacketCursor, protocolError } from '../wire/cursor.ts'
import type { Message } from '../wire/message.ts'
import { disconnect, PINGRESP, refusalPuback, TYPE } from '../wire/packets.ts'
import { hasLegalFlags } from './connect.ts'
import type { FrontContext } from './context.ts'
import { Handshake, notConnect } from './handshake.ts'
import { Inbound } from './inbound.ts'
import { type HoldReason, Intake, type IntakeOwner } from './intake.ts'
import { Outbox } from './outbox.ts'
import { subscribe, unsubscribe } from './subscribe.ts'

/** Above so many bytes on their way to the socket the pump stops. */
const SOCKET_HIGH_BYTES = 256 * 1024
/** Above so many bytes of answers that the client does not take it is not read further: 65,535 PUBACKs are fewer. */
const ANSWER_HIGH_BYTES = 256 * 1024
/** A socket that was ended gets so long to take what is left. */
const LINGER_MS = 5_000

/** One network connection: reads packets in order, writes once a turn. */
export class Connection implements IntakeOwner, Outlet, Flushable {
  readonly connectedAt: number
  readonly request: IncomingMessage | undefined
  readonly #socket: Duplex & { remoteAddress?: string; remotePort?: number }
  readonly #context: FrontContext
  readonly #intake: Intake
  readonly #outbox = new Outbox()
  readonly #handshake: Handshake
  readonly #inbound: Inbound
  #session: Session | null = null
  #heldNote = 0
  /** Bytes of answers since the last write, and those in the socket. */
  #answerBytes = 0
  #unsentAnswerBytes = 0
  /** The DISCONNECT that ends this connection. */
  #lastWord: Buffer | null = null
  #onRoom: (() => void)[] = []
  #heardAt = 0
  isDirty = false
  isClosed = false
  /** When the socket last took something, milliseconds since 1970. */
  drainedAt: number
  receivedBytes = 0
  sentBytes = 0
  droppedMessages = 0

  /** @param socket TCP, TLS, WebSocket or any other byte stream. */
  constructor(socket: Duplex, request: IncomingMessage | undefined, context: FrontContext) {
    this.#socket = socket
    this.request = request
    this.#context = context
    this.connectedAt = context.clock.now()
    this.drainedAt = this.connectedAt
    this.#heardAt = context.tick
    this.#intake = new Intake(socket, this)
    this.#inbound = new Inbound(this, context)
    this.#handshake = new Handshake(this, context)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => this.#intake.ended())
    socket.on('drain', () => this.#drained())
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

  get protocolVersion(): number {
    return this.#handshake.request?.protocolVersion ?? 0
  }

  get isV5(): boolean {
    return this.protocolVersion === 5
  }

  get keepAliveSeconds(): number {
    return this.#handshake.request?.keepAliveSeconds ?? 0
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

  get window(): number {
    return Math.min(this.#handshake.request?.receiveMaximum ?? 1, this.#context.limits.maxInflight)
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

  get #queuedBytes(): number {
    return this.#outbox.bytes + this.#socket.writableLength
  }

  get isFull(): boolean {
    return this.#queuedBytes > SOCKET_HIGH_BYTES
  }

  get isCrowded(): boolean {
    return this.#queuedBytes > this.#context.limits.maxSocketBytes / 2
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
    this.#context.broker.emit('keepaliveTimeout', this.client)
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
    else if (type === TYPE.publish) this.#inbound.packet(header, bytes, start, body, end)
    else if (type === TYPE.puback) this.#puback(session, bytes, body, end)
    else this.#control(type, session, new PacketCursor(bytes, body, end))
  }

  #read(chunk: Buffer): void {
    if (this.isClosed) return
    this.#heardAt = this.#context.tick
    // a browser, TLS: what would be its length may never come
    if (this.receivedBytes === 0 && chunk[0]! >> 4 !== TYPE.connect) this.fail(notConnect())
    this.receivedBytes += chunk.length
    if (!this.isClosed) this.#intake.push(chunk)
    // a client that sends and never reads its answers must not fill the memory with them
    if (this.#answerBytes + this.#unsentAnswerBytes > ANSWER_HIGH_BYTES) this.hold('answers')
    this.#intake.pauseIfHeld()
  }

  #puback(session: Session, bytes: Buffer, body: number, end: number): void {
    if (end - body < 2) throw malformed('PUBACK has no packet id')
    session.ack((bytes[body]! << 8) | bytes[body + 1]!)
  }

  #control(type: number, session: Session, cursor: PacketCursor): void {
    switch (type) {
      case TYPE.subscribe:
        subscribe(this, this.#context, session, cursor)
        break
      case TYPE.unsubscribe:
        unsubscribe(this, this.#context, session, cursor)
        break
      case TYPE.pingreq:
        if (!cursor.isAtEnd) throw malformed('PINGREQ has a body')
        this.#context.broker.emit('ping', { cmd: 'pingreq' }, this.client)
        this.send(PINGRESP)
        break
      case TYPE.disconnect:
        this.#handshake.disconnect(cursor)
        break
      case TYPE.connect:
        throw protocolError('a second CONNECT') // [MQTT-3.1.0-2]
      default:
        throw protocolError(`packet type ${type} is not expected here`)
    }
  }

  // ---- writing

  publish(message: Message, header: number, packetId: number): void {
    this.#outbox.publish(message, header, packetId)
    this.#context.scheduler.dirty(this)
  }

  publishUnacked(message: Message, header: number): void {
    if (this.#queuedBytes > this.#context.limits.maxSocketBytes) {
      this.droppedMessages++
      this.#context.counters.droppedMessages++
      return
    }
    this.#context.counters.deliveredMessages++
    this.publish(message, header, 0)
  }

  holdFor(note: number): void {
    this.#heldNote = note
  }

  /** A publish is stored. */
  puback(packetId: number): void {
    if (this.isClosed) return
    this.#outbox.ack(0x40, packetId)
    this.#answerBytes += 4
    this.#context.scheduler.dirty(this)
  }

  /** A publish is not accepted: MQTT 5 is told why, 3.1.1 can only be disconnected. [MQTT-3.3.5-2] */
  refusePublish(packetId: number, error: Error): void {
    if (this.isClosed) return
    if (this.isV5 && packetId !== 0 && error instanceof QueueError) {
      this.send(refusalPuback(packetId, error.reasonCode, this.#reason(error)))
    } else this.fail(error)
  }

  /** The reason string, for clients that want one. [MQTT-3.1.2-29] */
  #reason(error: unknown): string | null {
    return this.#handshake.request?.wantsProblemInformation ? errorText(error) : null
  }

  /** Queues a whole packet. */
  send(packet: Buffer): void {
    this.#outbox.packet(packet)
    this.#answerBytes += packet.length
    this.#context.scheduler.dirty(this)
  }

  /** The DISCONNECT to end with; the first counts. */
  endWith(packet: Buffer): void {
    this.#lastWord ??= packet
  }

  flush(): void {
    if (this.#outbox.bytes === 0) return
    this.#countAnswers()
    if (this.#isHeldForNote) {
      this.#context.holdForNote(this)
      return
    }
    this.#heldNote = 0
    this.sentBytes += this.#outbox.bytes
    if (this.#socket.writable) this.#socket.write(this.#outbox.take())
    else this.#outbox.clear()
    this.#wakeIfRoom()
  }

  get #isHeldForNote(): boolean {
    return this.#heldNote > this.#context.notes.writtenNote
  }

  #countAnswers(): void {
    if (this.#socket.writableLength === 0) {
      this.drainedAt = this.#context.clock.now()
      this.#unsentAnswerBytes = 0
    }
    this.#unsentAnswerBytes += this.#answerBytes
    this.#answerBytes = 0
  }

  /** Calls back when the socket is not crowded any more, or the connection is over. */
  onRoom(callback: () => void): void {
    this.#onRoom.push(callback)
  }

  #drained(): void {
    this.drainedAt = this.#context.clock.now()
    this.#unsentAnswerBytes = 0
    this.#wakeIfRoom()
    if (!this.isCrowded) this.#giveRoom()
    this.release('answers')
  }

  #wakeIfRoom(): void {
    if (this.#session?.state === 'socket-full' && !this.isFull) this.#session.wake()
  }

  #giveRoom(): void {
    for (const callback of this.#onRoom.splice(0)) callback()
  }

  // ---- beginning and end

  /** The client is let in and its session is open. */
  open(session: Session): void {
    this.#session = session
    session.attach(this)
  }

  takenOver(): void {
    this.fail(new QueueError('QUEUE_SESSION_TAKEN_OVER'))
  }

  /** The server is stopping. */
  shutDown(): void {
    this.fail(new QueueError('QUEUE_SERVER_STOPPING'))
  }

  /** Ends the connection because of an error; a client of MQTT 5 is told which. @see MQTT 5.0 section 4.13 */
  fail(error: unknown): void {
    if (this.isClosed) return
    const known = error instanceof QueueError
    const fields = {
      clientId: this.clientId,
      address: this.remoteAddress,
      ...(known ? { code: error.code } : { err: error })
    }
    this.#context.log[known ? 'info' : 'error'](fields, `connection closed: ${errorText(error)}`)
    if (this.isV5 && this.#session) {
      this.endWith(disconnect(known ? error.reasonCode : 0x80, this.#reason(error)))
    }
    this.close()
  }

  /** Writes what is queued and ends the connection. */
  close(): void {
    if (this.isClosed) return
    // what waits for a note must not go out before it is written: it comes again on the next connection
    if (this.#isHeldForNote) this.#outbox.clear()
    this.#heldNote = 0
    if (this.#lastWord) this.#outbox.packet(this.#lastWord)
    this.flush()
    this.#gone(null)
    this.#socket.end()
    const timer = this.#context.clock.after(LINGER_MS, () => this.#socket.destroy())
    this.#socket.once('close', () => timer.cancel())
  }

  #gone(error: Error | null): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#intake.clear()
    this.#outbox.clear()
    const session = this.#session
    if (session?.outlet === this) this.#context.sessions.detach(session)
    this.#handshake.over(error)
    this.#giveRoom()
    this.#context.forget(this)
  }
}
