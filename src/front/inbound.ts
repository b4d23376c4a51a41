import { assertClientTopic, type Showing, Shown } from '../broker/broker.ts'
import { countAccepted } from '../delivery/counters.ts'
import { type InboundWaiter, UNKEPT } from '../delivery/inbound-ids.ts'
import type { Session } from '../delivery/session.ts'
import { QueueError } from '../errors.ts'
import type { Pending, Receipt } from '../journal/batch.ts'
import { protocolError } from '../wire/cursor.ts'
import { Message, ORIGIN } from '../wire/message.ts'
import { DUP_BIT, RETAIN_BIT } from '../wire/publish.ts'
import { expiresAt, expirySecondsOf } from '../wire/reshape.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { assertPayloadFormat, type Incoming, type PublishPlace, readPublish } from './read-publish.ts'
import { IncomingAliases } from './topic-aliases.ts'

const PUBACK = 0x40
const PUBREC = 0x50
/** The token of a publish: its packet id, and above it the QoS by which it is answered. */
const ID_BITS = 16
const ID_MASK = 0xffff
const NO_STREAMS: readonly number[] = []

/** Publishes of one connection: checked, authorised, appended, acked, all in the order in which they came. */
export class Inbound implements Receipt, InboundWaiter {
  readonly #connection: Connection
  readonly #context: FrontContext
  /** PUBLISH packets that came. */
  receivedMessages = 0
  #aliases: IncomingAliases | null | undefined
  #showing: Showing | null = null
  /** Publishes appended and not answered, those of QoS 0 included. */
  #unanswered = 0
  /** Those of them with QoS 0 (retained ones), and with QoS 1. */
  #unanswered0 = 0
  #unanswered1 = 0
  /** Packet ids of QoS 2 publishes that came on this connection, until PUBREL. */
  readonly #exchanges = new Set<number>()
  /** Something that waits for the answers before it. */
  #after: (() => void) | null = null

  constructor(connection: Connection, context: FrontContext) {
    this.#connection = connection
    this.#context = context
  }

  /** One PUBLISH packet. Throws what ends the connection. @see MQTT 5.0 section 3.3 */
  packet(session: Session, place: PublishPlace): void {
    const incoming = readPublish(place, this.#context.router, this.#incomingAliases())
    assertClientTopic(incoming.route.topic)
    this.receivedMessages++
    this.#context.counters.received[incoming.qos]!++
    if (incoming.qos > 0 && this.#isRepeated(session, incoming)) return
    if (incoming.isText && this.#context.limits.checkPayloadFormat) {
      try {
        assertPayloadFormat(incoming)
      } catch (error) {
        this.#refuse(incoming, error as QueueError)
        return
      }
    }
    if (this.#context.broker.hasPublishHook) this.#authorize(session, incoming)
    else this.#accept(session, incoming)
  }

  /** PUBREL: its packet id is free again. False when nothing came under it. */
  release(session: Session, packetId: number): boolean {
    if (session.inbound.get(packetId)?.sequence === 0) {
      throw protocolError(`PUBREL for packet id ${packetId}, for which no PUBREC was sent`)
    }
    this.#exchanges.delete(packetId)
    return session.freeInbound(packetId)
  }

  accepted({ message, token }: Pending): void {
    const { session, outgoing } = this.#connection
    const packetId = token & ID_MASK
    const ackQos = token >> ID_BITS
    if (message.qos === 0) this.#unanswered0--
    if (ackQos === 1) {
      this.#unanswered1--
      outgoing.ack(PUBACK, packetId)
    } else if (ackQos === 2 && session) {
      // a session that another connection has taken over has the id all the same
      if (session.isPersistent) this.#context.notes.touch(session)
      session.inbound.store(packetId, message.sequence)
    }
    this.#show(message)
    this.#answered()
  }

  refused({ message, token }: Pending, error: Error): void {
    const packetId = token & ID_MASK
    const ackQos = token >> ID_BITS
    if (message.qos === 0) this.#unanswered0--
    if (ackQos === 1) this.#unanswered1--
    if (ackQos === 2) this.#connection.session?.inbound.refuse(packetId, error)
    else this.#connection.refusePublish(ackQos, packetId, error)
    this.#answered()
  }

  /** Exactly once: a client that sends it again is answered for the same message. */
  waitsOn({ token }: Pending): boolean {
    return token >> ID_BITS === 2
  }

  stored(packetId: number): void {
    this.#connection.outgoing.ack(PUBREC, packetId)
  }

  idRefused(packetId: number, error: Error): void {
    this.#exchanges.delete(packetId)
    this.#connection.refusePublish(2, packetId, error)
  }

  #answered(): void {
    if (--this.#unanswered > 0 || !this.#after) return
    const after = this.#after
    this.#after = null
    this.#connection.guard(after)
    this.#connection.release('answer')
  }

  /** Shows an accepted publish to the process, where somebody looks; until they are ready nothing more is read. */
  #show(message: Message): void {
    const { broker } = this.#context
    const connection = this.#connection
    if (!broker.isObserved || connection.isClosed) return
    this.#showing ??= broker.showing(connection.client, connection.port)
    if (!this.#showing.show(message)) connection.hold('show')
  }

  /** Runs something when all that was appended before is answered; nothing more is read until then. */
  #afterAnswers(task: () => void): void {
    if (this.#unanswered === 0) task()
    else {
      this.#connection.hold('answer')
      this.#after = task
    }
  }

  #incomingAliases(): IncomingAliases | null {
    if (this.#aliases === undefined) {
      const { topicAliasMaximum } = this.#context.limits
      this.#aliases = this.#connection.isV5 ? new IncomingAliases(topicAliasMaximum) : null
    }
    return this.#aliases
  }

  /** A QoS 2 publish whose packet id is taken is the same message again: it is answered, not accepted. [MQTT-4.3.3-10] */
  #isRepeated(session: Session, { qos, packetId }: Incoming): boolean {
    const known = qos === 2 ? session.inbound.get(packetId) : undefined
    if (qos === 2) this.#exchanges.add(packetId)
    this.#checkQuota(qos)
    if (known?.waiter) known.waiter = this
    else if (known) this.stored(packetId)
    return known !== undefined
  }

  /** [MQTT-3.3.4-7], [MQTT-3.3.4-9]; in 3.1.1 there is no such limit, but identifiers are kept all the same. */
  #checkQuota(qos: number): void {
    const { receiveMaximum } = this.#context.limits
    const others = this.#connection.isV5 ? this.#unanswered1 + (qos === 1 ? 1 : 0) : 0
    if (this.#exchanges.size + others > receiveMaximum) {
      throw new QueueError('QUEUE_RECEIVE_MAXIMUM_EXCEEDED', { detail: { limit: receiveMaximum } })
    }
  }

  /** Shows a publish to the hook. Until it has answered, nothing more of this connection is read: order is kept. */
  #authorize(session: Session, incoming: Incoming): void {
    const { bytes, start, end } = incoming
    const shown = new Shown(new Message(bytes, start, end - start, this.#connection.isV5))
    const connection = this.#connection
    let isSync = true
    let isDone = false
    this.#context.broker.authorizePublish(connection.client, shown.packet, error => {
      if (isDone || connection.isClosed) return
      isDone = true
      connection.guard(() => {
        if (error) this.#notAuthorized(incoming, error)
        else this.#accept(session, this.#changed(incoming, shown.message()))
      })
      if (!isSync) connection.release('hook')
    })
    isSync = false
    if (!isDone) connection.hold('hook')
  }

  #notAuthorized(incoming: Incoming, cause: Error): void {
    // [MQTT-3.3.5-2] 3.1.1 has no other answer than an ack or the end of the connection
    const { broker } = this.#context
    if (this.#connection.isV5) broker.events.clientError(this.#connection.client, cause)
    if (incoming.qos === 0 && this.#connection.isV5) return
    const detail = { problem: cause.message }
    const known = cause instanceof QueueError
    this.#refuse(incoming, known ? cause : new QueueError('QUEUE_NOT_AUTHORIZED', { cause, detail }))
  }

  /** [MQTT-4.6.0-2] answers go out in the order in which the publishes came. */
  #refuse({ ackQos: qos, packetId }: Incoming, error: QueueError): void {
    if (qos === 2) this.#exchanges.delete(packetId)
    this.#afterAnswers(() => this.#connection.refusePublish(qos, packetId, error))
  }

  #accept(session: Session, incoming: Incoming): void {
    const isRetained = (incoming.header & RETAIN_BIT) !== 0
    if (incoming.qos > 0 || isRetained) this.#append(session, incoming, isRetained)
    // [MQTT-4.6.0-6] a retained one before it is on its way through the journal
    else if (this.#unanswered0 > 0) this.#afterAnswers(() => this.#forward(session, incoming))
    else this.#forward(session, incoming)
    if (this.#context.journal.isFull) this.#context.holdForJournal(this.#connection)
  }

  #forward(session: Session, incoming: Incoming): void {
    const { bytes, start, end, route, ackQos } = incoming
    countAccepted(this.#context.counters, route.counter, this.#context.clock.now())
    const message = new Message(bytes, start, end - start, this.#connection.isV5)
    message.publisher = this.#connection.clientId
    this.#context.fanOut.elsewhere?.(message)
    this.#context.fanOut.publish(route, message, outlet =>
      this.#context.pacing.crowded(this.#connection, outlet)
    )
    this.#show(message)
    if (ackQos > 0) this.#ackLowered(session, incoming)
  }

  /** A hook has made QoS 0 of it: it is answered, and nothing is kept. */
  #ackLowered(session: Session, { ackQos, packetId }: Incoming): void {
    const { outgoing } = this.#connection
    if (ackQos === 2) session.inbound.restore(packetId, UNKEPT)
    outgoing.ack(ackQos === 1 ? PUBACK : PUBREC, packetId)
  }

  #append(session: Session, incoming: Incoming, isRetained: boolean): void {
    const { bytes, start, end, header, qos, ackQos, packetId, route, expirySeconds } = incoming
    const connection = this.#connection
    this.#unanswered++
    if (qos === 0) this.#unanswered0++
    if (ackQos === 1) this.#unanswered1++
    else if (ackQos === 2) session.inbound.take(packetId, this)
    const isTaken = ackQos === 2 && qos > 0 && session.isPersistent
    const owed = qos === 0 ? NO_STREAMS : route.streamIds
    this.#context.journal.append(
      {
        expiresAt: expirySeconds === null ? 0 : expiresAt(this.#context.clock.now(), expirySeconds),
        route,
        streamIds: isTaken || isRetained ? replayed(qos, route.replayedIds) : owed,
        publisherId: connection.clientId,
        publisher: connection.clientIdBytes,
        header: header & ~DUP_BIT,
        isV5: connection.isV5,
        packet: bytes,
        from: start,
        to: end,
        origin: isTaken ? ORIGIN.inbound : 0,
        originId: isTaken ? session.sessionId : 0
      },
      this,
      (ackQos << ID_BITS) | packetId
    )
  }

  /** What a hook has made of a publish; a changed one is encoded anew. */
  #changed(incoming: Incoming, message: Message): Incoming {
    const { bytes, offset, length } = message
    if (bytes === incoming.bytes) return incoming
    if (message.qos > 0) bytes.writeUInt16BE(incoming.packetId, offset + message.idOffset)
    return {
      ...incoming,
      bytes,
      start: offset,
      end: offset + length,
      header: bytes[offset]!,
      qos: message.qos,
      expirySeconds: expirySecondsOf(message),
      payloadAt: offset + length - message.payload().length,
      route: this.#context.router.route(message.topic())
    }
  }
}

function replayed(qos: number, ids: readonly number[]): readonly number[] {
  return qos === 0 ? ids.slice(0, 1) : ids
}
