import { assertClientTopic, type HookPublish } from '../broker/broker.ts'
import type { InboundWaiter } from '../delivery/inbound-ids.ts'
import type { Session } from '../delivery/session.ts'
import { QueueError } from '../errors.ts'
import type { Pending, Receipt } from '../journal/batch.ts'
import { protocolError } from '../wire/cursor.ts'
import { Message, ORIGIN } from '../wire/message.ts'
import { DUP_BIT, RETAIN_BIT, topicField } from '../wire/publish.ts'
import { expiresAt } from '../wire/reshape.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { assertPayloadFormat, type Incoming, type PublishPlace, readPublish } from './read-publish.ts'
import { IncomingAliases } from './topic-aliases.ts'

const PUBACK = 0x40
const PUBREC = 0x50
const NO_STREAMS: readonly number[] = []

/** Publishes of one connection: checked, authorised, appended, acked, all in the order in which they came. */
export class Inbound implements Receipt, InboundWaiter {
  readonly #connection: Connection
  readonly #context: FrontContext
  #aliases: IncomingAliases | null | undefined
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
    if (message.qos === 0) this.#unanswered0--
    else if (message.qos === 1) {
      this.#unanswered1--
      outgoing.ack(PUBACK, token)
    } else if (session) {
      // a session that another connection has taken over has the id all the same
      if (session.isPersistent) this.#context.notes.touch(session)
      session.inbound.store(token, message.sequence)
    }
    this.#answered()
  }

  refused({ message, token }: Pending, error: Error): void {
    if (message.qos === 0) this.#unanswered0--
    else if (message.qos === 1) this.#unanswered1--
    if (message.qos === 2) this.#connection.session?.inbound.refuse(token, error)
    else this.#connection.refusePublish(message.qos, token, error)
    this.#answered()
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
    const packet = toHook(incoming)
    const before = { ...packet }
    const connection = this.#connection
    let isSync = true
    let isDone = false
    this.#context.broker.authorizePublish(connection.client, packet, error => {
      if (isDone || connection.isClosed) return
      isDone = true
      connection.guard(() => {
        if (error) this.#notAuthorized(incoming, error)
        else this.#accept(session, isSame(before, packet) ? incoming : this.#changed(incoming, packet))
      })
      if (!isSync) connection.release('hook')
    })
    isSync = false
    if (!isDone) connection.hold('hook')
  }

  #notAuthorized(incoming: Incoming, cause: Error): void {
    // [MQTT-3.3.5-2] 3.1.1 has no other answer than an ack or the end of the connection
    if (incoming.qos === 0 && this.#connection.isV5) return
    this.#refuse(
      incoming,
      new QueueError('QUEUE_NOT_AUTHORIZED', { cause, detail: { problem: cause.message } })
    )
  }

  /** [MQTT-4.6.0-2] answers go out in the order in which the publishes came. */
  #refuse({ qos, packetId }: Incoming, error: QueueError): void {
    if (qos === 2) this.#exchanges.delete(packetId)
    this.#afterAnswers(() => this.#connection.refusePublish(qos, packetId, error))
  }

  #accept(session: Session, incoming: Incoming): void {
    const isRetained = (incoming.header & RETAIN_BIT) !== 0
    if (incoming.qos > 0 || isRetained) this.#append(session, incoming, isRetained)
    // [MQTT-4.6.0-6] a retained one before it is on its way through the journal
    else if (this.#unanswered0 > 0) this.#afterAnswers(() => this.#forward(incoming))
    else this.#forward(incoming)
    if (this.#context.journal.isFull) this.#context.holdForJournal(this.#connection)
  }

  #forward({ bytes, start, end, route }: Incoming): void {
    route.counter.acceptedMessages++
    this.#context.counters.acceptedMessages++
    const message = new Message(bytes, start, end - start, this.#connection.isV5)
    message.publisher = this.#connection.clientId
    this.#context.fanOut.publish(route, message, outlet =>
      this.#context.pacing.crowded(this.#connection, outlet)
    )
  }

  #append(session: Session, incoming: Incoming, isRetained: boolean): void {
    const { bytes, start, end, header, qos, packetId, route, expirySeconds } = incoming
    const connection = this.#connection
    this.#unanswered++
    if (qos === 0) this.#unanswered0++
    else if (qos === 1) this.#unanswered1++
    else if (qos === 2) session.inbound.take(packetId, this)
    const isTaken = qos === 2 && session.isPersistent
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
      packetId
    )
  }

  /** A hook changed the publish: it is encoded anew. */
  #changed(incoming: Incoming, packet: HookPublish): Incoming {
    const { bytes, start, end, qos, packetId } = incoming
    const { isV5 } = this.#connection
    const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload)
    const message = Message.from({
      topicField: topicField(packet.topic),
      payload,
      qos,
      isRetained: packet.retain,
      properties: isV5 ? new Message(bytes, start, end - start, true).properties() : null
    })
    if (qos > 0) message.bytes.writeUInt16BE(packetId, message.idOffset)
    return {
      ...incoming,
      bytes: message.bytes,
      start: 0,
      end: message.length,
      header: message.bytes[0]!,
      payloadAt: message.length - payload.length,
      route: this.#context.router.route(packet.topic)
    }
  }
}

function replayed(qos: number, ids: readonly number[]): readonly number[] {
  return qos === 0 ? ids.slice(0, 1) : ids
}

function toHook({ bytes, end, header, qos, packetId, payloadAt, route }: Incoming): HookPublish {
  return {
    cmd: 'publish',
    topic: route.topic,
    payload: bytes.subarray(payloadAt, end),
    qos: qos as 0 | 1 | 2,
    retain: (header & RETAIN_BIT) !== 0,
    dup: (header & DUP_BIT) !== 0,
    messageId: packetId
  }
}

function isSame(a: HookPublish, b: HookPublish): boolean {
  return a.topic === b.topic && a.payload === b.payload && a.retain === b.retain
}
