import type { Duplex } from 'node:stream'
import type { Outlet } from '../delivery/outlet.ts'
import type { Flushable } from '../delivery/scheduler.ts'
import type { Message } from '../wire/message.ts'
import { reshape } from '../wire/reshape.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { HeldOutbox } from './held-outbox.ts'
import { OutgoingAliases } from './topic-aliases.ts'

/** Above so many bytes on their way to the socket the pump stops. */
const SOCKET_HIGH_BYTES = 256 * 1024
/** Above so many bytes of answers that the client does not take it is not read further: 65,535 PUBACKs are fewer. */
const ANSWER_HIGH_BYTES = 256 * 1024

const PUBREL = 0x62

/** The writing side of a connection: what a turn brings is written at its end, in one piece. */
export class Outgoing implements Outlet, Flushable {
  readonly connection: Connection
  readonly #socket: Duplex
  readonly #context: FrontContext
  readonly #outbox: HeldOutbox
  #aliases: OutgoingAliases | null | undefined
  /** Bytes of answers since the last write, and those in the socket. */
  #answerBytes = 0
  #unsentAnswerBytes = 0
  #onRoom: (() => void)[] = []
  isDirty = false
  /** When the socket last took something, milliseconds since 1970. */
  drainedAt: number
  sentBytes = 0
  /** PUBLISH packets. */
  sentMessages = 0
  droppedMessages = 0

  constructor(socket: Duplex, connection: Connection, context: FrontContext) {
    this.#socket = socket
    this.connection = connection
    this.#context = context
    this.#outbox = new HeldOutbox(context.notes)
    this.drainedAt = context.clock.now()
    socket.on('drain', () => this.#drained())
  }

  get isClosed(): boolean {
    return this.connection.isClosed
  }

  get isV5(): boolean {
    return this.connection.connect?.protocolVersion === 5
  }

  get window(): number {
    return Math.min(this.connection.connect?.receiveMaximum ?? 1, this.#context.limits.maxInflight)
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

  /** So many answers wait that the client should not be read further. */
  get isChoked(): boolean {
    return this.#answerBytes + this.#unsentAnswerBytes > ANSWER_HIGH_BYTES
  }

  // ---- messages

  prepare(message: Message, identifiers: readonly number[], qos: number): Message | null {
    const { broker } = this.#context
    const shown = broker.hasForwardHook ? broker.forward(this.connection.client, message) : message
    if (!shown) return null
    const form = this.#extend(shown.form(this.isV5, qos > 0), message, identifiers, qos)
    // [MQTT-3.1.2-24], [MQTT-3.1.2-25]
    if (form.length <= this.#maxPacketBytes) return form
    this.droppedMessages++
    return null
  }

  publish(message: Message, header: number, packetId: number): void {
    this.sentMessages++
    this.#context.counters.sent[(header >> 1) & 3]!++
    this.#outbox.publish(message, header, packetId)
    this.#context.scheduler.dirty(this)
  }

  publishUnacked(message: Message, identifiers: readonly number[], header: number): void {
    const { drops, limits } = this.#context
    const isFull = this.#queuedBytes > limits.maxSocketBytes
    if (isFull) this.droppedMessages++
    const form = isFull ? null : this.prepare(message, identifiers, 0)
    if (form) this.publish(form, header, 0)
    else drops.one(this.connection.clientId, message, isFull ? 'socket-full' : 'not-taken')
  }

  release(packetId: number): void {
    this.ack(PUBREL, packetId)
  }

  holdFor(note: number, syncNote: number): void {
    this.#outbox.holdFor(note, syncNote)
  }

  takenOver(): void {
    this.connection.takenOver()
  }

  get #maxPacketBytes(): number {
    return this.connection.connect?.maxPacketBytes ?? Number.POSITIVE_INFINITY
  }

  /** What this receiver gets besides the message: what is left of its time, identifiers, an alias. */
  #extend(form: Message, message: Message, identifiers: readonly number[], qos: number): Message {
    if (!this.isV5) return form
    const expirySeconds = this.#expirySeconds(message)
    // MQTT.js forgets the topic of a QoS 2 message that has an alias only, and would hand it over without one
    const aliases = qos < 2 ? this.#outgoingAliases() : null
    if (expirySeconds === null && identifiers.length === 0 && !aliases) return form
    const topic = aliases ? form.topic() : ''
    const alias = aliases?.find(topic) ?? null
    const extras = { expirySeconds, identifiers, topicAlias: 0, isTopicKnown: false }
    if (!aliases || !alias) return reshape(form, extras)
    const shaped = reshape(form, { ...extras, topicAlias: alias.alias, isTopicKnown: alias.isKnown })
    if (alias.isKnown) return shaped
    if (shaped.length > this.#maxPacketBytes) return reshape(form, extras)
    aliases.tell(topic)
    return shaped
  }

  /** Seconds that are left to a message; null when nothing of them is gone yet, or it has no such limit. */
  #expirySeconds({ expiresAt, acceptedAt }: Message): number | null {
    if (expiresAt === 0) return null
    const leftSeconds = Math.max(0, Math.ceil((expiresAt - this.#context.clock.now()) / 1_000))
    return leftSeconds * 1_000 >= expiresAt - acceptedAt ? null : leftSeconds
  }

  #outgoingAliases(): OutgoingAliases | null {
    if (this.#aliases === undefined) {
      const { maxTopicAliases } = this.#context.limits
      const maximum = Math.min(this.connection.connect?.topicAliasMaximum ?? 0, maxTopicAliases)
      this.#aliases = maximum > 0 ? new OutgoingAliases(maximum) : null
    }
    return this.#aliases
  }

  // ---- answers

  /** Queues PUBACK or one of its kin in the short form, which says success. */
  ack(header: number, packetId: number): void {
    if (this.isClosed) return
    this.#outbox.ack(header, packetId)
    this.#answerBytes += 4
    this.#context.scheduler.dirty(this)
  }

  /** Queues a whole packet. */
  send(packet: Buffer): void {
    this.#outbox.packet(packet)
    this.#answerBytes += packet.length
    this.#context.scheduler.dirty(this)
  }

  // ---- the socket

  flush(): void {
    if (this.#outbox.bytes === 0) return
    this.#countAnswers()
    const bytes = this.#outbox.take()
    if (this.#outbox.bytes > 0) this.#context.holdForNote(this)
    if (bytes.length === 0) return
    this.sentBytes += bytes.length
    this.#context.counters.sentBytes += bytes.length
    if (this.#socket.writable) this.#socket.write(bytes)
    if (!this.isFull) this.connection.hasRoom()
  }

  /** Writes what may be written and this packet behind it; what waits for a note comes again on the next connection. */
  end(lastWord: Buffer | null): void {
    this.flush()
    this.#outbox.clear()
    if (lastWord) this.#outbox.packet(lastWord)
    this.flush()
    this.#outbox.clear()
  }

  /** The connection is over. */
  gone(): void {
    this.#outbox.clear()
    this.#giveRoom()
  }

  /** Calls back when the socket is not crowded any more, or the connection is over. */
  onRoom(callback: () => void): void {
    this.#onRoom.push(callback)
  }

  #drained(): void {
    this.drainedAt = this.#context.clock.now()
    this.#unsentAnswerBytes = 0
    if (!this.isCrowded) this.#giveRoom()
    this.connection.hasRoom()
  }

  #countAnswers(): void {
    if (this.#socket.writableLength === 0) {
      this.drainedAt = this.#context.clock.now()
      this.#unsentAnswerBytes = 0
    }
    this.#unsentAnswerBytes += this.#answerBytes
    this.#answerBytes = 0
  }

  #giveRoom(): void {
    for (const callback of this.#onRoom.splice(0)) callback()
  }
}
