import { assertClientTopic, type HookPublish } from '../broker/broker.ts'
import type { Subscription } from '../delivery/subscription.ts'
import { QueueError } from '../errors.ts'
import type { Pending, Receipt } from '../journal/batch.ts'
import type { Route } from '../routing/router.ts'
import { malformed, protocolError } from '../wire/cursor.ts'
import { Message } from '../wire/message.ts'
import { CARRIER, PROPERTY, walkProperties } from '../wire/properties.ts'
import { DUP_BIT, QOS_MASK, RETAIN_BIT, topicField } from '../wire/publish.ts'
import { readVarint, varintBytes, varintValue } from '../wire/varint.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'

/** A PUBLISH as it was read, before it is accepted. */
interface Incoming {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly header: number
  readonly packetId: number
  readonly payloadAt: number
  /** Seconds; 0: none. */
  readonly expirySeconds: number
  readonly route: Route<Subscription>
}

/** Publishes of one connection: checked, authorised, appended, acked, all in the order in which they came. */
export class Inbound implements Receipt {
  readonly #connection: Connection
  readonly #context: FrontContext
  /** Publishes appended and not answered. */
  #unanswered = 0
  /** A refusal that waits for the answers before it. */
  #refusal: (() => void) | null = null

  constructor(connection: Connection, context: FrontContext) {
    this.#connection = connection
    this.#context = context
  }

  /** One PUBLISH packet. Throws what ends the connection. @see MQTT 5.0 section 3.3 */
  packet(header: number, bytes: Buffer, start: number, body: number, end: number): void {
    const incoming = this.#read(header, bytes, start, body, end)
    assertClientTopic(incoming.route.topic)
    if (this.#context.broker.hasPublishHook) this.#authorize(incoming)
    else this.#accept(incoming)
  }

  accepted(pending: Pending): void {
    this.#connection.puback(pending.token)
    this.#answered()
  }

  refused(pending: Pending, error: Error): void {
    this.#connection.refusePublish(pending.token, error)
    this.#answered()
  }

  #answered(): void {
    if (--this.#unanswered > 0 || !this.#refusal) return
    const refusal = this.#refusal
    this.#refusal = null
    refusal()
    this.#connection.release('refusal')
  }

  #read(header: number, bytes: Buffer, start: number, body: number, end: number): Incoming {
    const qos = (header & QOS_MASK) >> 1
    if (end - body < 2) throw malformed('PUBLISH ends before its topic')
    const topicEnd = body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)
    let at = topicEnd + (qos > 0 ? 2 : 0)
    if (at > end) throw malformed('PUBLISH ends in the middle of a field')
    const packetId = qos > 0 ? (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]! : 0
    this.#checkHeader(header, qos, packetId)
    let expirySeconds = 0
    if (this.#connection.isV5) {
      // there is no alias that it could stand for [MQTT-3.3.2-1]
      const isNameless = topicEnd === body + 2
      const packed = readVarint(bytes, at, end)
      const propertiesAt = at + varintBytes(packed)
      at = propertiesAt + varintValue(packed)
      if (packed <= 0 || at > end) throw malformed('the properties of PUBLISH are cut off')
      if (at > propertiesAt) expirySeconds = checkProperties(bytes.subarray(propertiesAt, at))
      if (isNameless) throw protocolError('PUBLISH has neither a topic nor an alias for one')
    }
    const route = this.#context.router.routeBytes(bytes, body + 2, topicEnd)
    return { bytes, start, end, header, packetId, payloadAt: at, expirySeconds, route }
  }

  #checkHeader(header: number, qos: number, packetId: number): void {
    if (qos === 3) throw malformed('PUBLISH has QoS 3') // [MQTT-3.3.1-4]
    if (qos === 0 && header & DUP_BIT) throw malformed('PUBLISH has DUP with QoS 0') // [MQTT-3.3.1-2]
    if (qos > 0 && packetId === 0) throw protocolError('PUBLISH has packet id 0') // [MQTT-2.2.1-3]
    if (qos === 2) throw new QueueError('QUEUE_QOS_UNSUPPORTED')
    if (header & RETAIN_BIT && this.#connection.isV5) throw new QueueError('QUEUE_RETAIN_UNSUPPORTED')
  }

  /** Shows a publish to the hook. Until it has answered, nothing more of this connection is read: order is kept. */
  #authorize(incoming: Incoming): void {
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
        else this.#accept(isSame(before, packet) ? incoming : this.#changed(incoming, packet))
      })
      if (!isSync) connection.release('hook')
    })
    isSync = false
    if (!isDone) connection.hold('hook')
  }

  #notAuthorized(incoming: Incoming, cause: Error): void {
    const error = new QueueError('QUEUE_NOT_AUTHORIZED', { cause, detail: { problem: cause.message } })
    // [MQTT-3.3.5-2] 3.1.1 has no other answer than an ack or the end of the connection
    if (incoming.packetId === 0 && this.#connection.isV5) return
    const refuse = () => this.#connection.refusePublish(incoming.packetId, error)
    if (this.#unanswered > 0) {
      // [MQTT-4.6.0-2] answers go out in the order in which the publishes came
      this.#connection.hold('refusal')
      this.#refusal = refuse
    } else refuse()
  }

  #accept(incoming: Incoming): void {
    if (incoming.packetId === 0) this.#forward(incoming)
    else this.#append(incoming)
    if (this.#context.journal.isFull) this.#context.holdForJournal(this.#connection)
  }

  #forward({ bytes, start, end, route }: Incoming): void {
    route.counter.acceptedMessages++
    this.#context.counters.acceptedMessages++
    const message = new Message(bytes, start, end - start, this.#connection.isV5)
    this.#context.fanOut.publish(route, message, outlet =>
      this.#context.pacing.crowded(this.#connection, outlet)
    )
  }

  #append({ bytes, start, end, header, packetId, route, expirySeconds }: Incoming): void {
    const connection = this.#connection
    this.#unanswered++
    this.#context.journal.append(
      {
        expiresAt: expirySeconds === 0 ? 0 : this.#context.clock.now() + expirySeconds * 1000,
        route,
        publisherId: connection.clientId,
        publisher: connection.clientIdBytes,
        header: header & ~DUP_BIT,
        isV5: connection.isV5,
        packet: bytes,
        from: start,
        to: end
      },
      this,
      packetId
    )
  }

  /** A hook changed the publish: it is encoded anew. */
  #changed(incoming: Incoming, packet: HookPublish): Incoming {
    const { properties } = splitPayload(incoming, this.#connection.isV5)
    const message = Message.from({
      topicField: topicField(packet.topic),
      payload: Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload),
      qos: incoming.packetId === 0 ? 0 : 1,
      isRetained: packet.retain,
      properties
    })
    return {
      ...incoming,
      bytes: message.bytes,
      start: 0,
      end: message.length,
      header: message.bytes[0]!,
      route: this.#context.router.route(packet.topic)
    }
  }
}

/** Checks the properties of a PUBLISH from a client; returns the message expiry in seconds, 0 without one. */
function checkProperties(properties: Buffer): number {
  let expirySeconds = 0
  walkProperties(properties, CARRIER.publish, (id, value) => {
    if (id === PROPERTY.messageExpiryInterval) expirySeconds = value
    if (id === PROPERTY.topicAlias) throw new QueueError('QUEUE_TOPIC_ALIAS_INVALID') // [MQTT-3.3.2-9]: none is allowed
    if (id === PROPERTY.subscriptionIdentifier) {
      throw protocolError('a client sent a subscription identifier') // [MQTT-3.3.4-6]
    }
  })
  return expirySeconds
}

function toHook({ bytes, end, header, packetId, payloadAt, route }: Incoming): HookPublish {
  return {
    cmd: 'publish',
    topic: route.topic,
    payload: bytes.subarray(payloadAt, end),
    qos: packetId === 0 ? 0 : 1,
    retain: (header & RETAIN_BIT) !== 0,
    dup: (header & DUP_BIT) !== 0,
    messageId: packetId
  }
}

function isSame(a: HookPublish, b: HookPublish): boolean {
  return a.topic === b.topic && a.payload === b.payload && a.retain === b.retain
}

function splitPayload({ bytes, start, end }: Incoming, isV5: boolean): { properties: Buffer | null } {
  return { properties: isV5 ? new Message(bytes, start, end - start, true).properties() : null }
}
