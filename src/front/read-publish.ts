import { isUtf8 } from 'node:buffer'
import type { Subscription } from '../delivery/subscription.ts'
import { QueueError } from '../errors.ts'
import type { Route, Router } from '../routing/router.ts'
import { malformed, protocolError } from '../wire/cursor.ts'
import { Message } from '../wire/message.ts'
import { CARRIER, PROPERTY, walkProperties } from '../wire/properties.ts'
import { DUP_BIT, QOS_MASK } from '../wire/publish.ts'
import { withoutAlias } from '../wire/reshape.ts'
import { readVarint, varintBytes, varintValue } from '../wire/varint.ts'
import type { IncomingAliases } from './topic-aliases.ts'

/** A PUBLISH as it was read, before it is accepted. */
export interface Incoming {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly header: number
  readonly qos: number
  /** The QoS by which it is answered; a hook may have changed the other one. */
  readonly ackQos: number
  /** 0 with QoS 0. */
  readonly packetId: number
  readonly payloadAt: number
  /** Null without a Message Expiry Interval. */
  readonly expirySeconds: number | null
  /** The publisher says that the payload is UTF-8. */
  readonly isText: boolean
  readonly route: Route<Subscription>
}

/** Where a PUBLISH stands: bytes[start .. end), its body from `body`. */
export interface PublishPlace {
  readonly header: number
  readonly bytes: Buffer
  readonly start: number
  readonly body: number
  readonly end: number
}

/**
 * Reads a PUBLISH of a client.
 * @param aliases those of the connection; null when it is not MQTT 5.
 * @throws QueueError QUEUE_PACKET_MALFORMED, QUEUE_PROTOCOL_ERROR, QUEUE_TOPIC_INVALID, QUEUE_TOPIC_ALIAS_INVALID
 * @see MQTT 5.0 section 3.3
 */
export function readPublish(
  { header, bytes, start, body, end }: PublishPlace,
  router: Router<Subscription>,
  aliases: IncomingAliases | null
): Incoming {
  const qos = (header & QOS_MASK) >> 1
  if (end - body < 2) throw malformed('PUBLISH ends before its topic')
  const topicEnd = body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)
  const idEnd = topicEnd + (qos > 0 ? 2 : 0)
  if (idEnd > end) throw malformed('PUBLISH ends in the middle of a field')
  const packetId = qos > 0 ? (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]! : 0
  checkHeader(header, qos, packetId)
  const read = aliases ? readProperties(bytes, idEnd, end) : null
  if (aliases && read && read.alias >= 0) {
    const topicField = aliases.resolve(read.alias, bytes.subarray(body, topicEnd))
    return resolved(header, new Message(bytes, start, end - start, true), topicField, router, read)
  }
  // [MQTT-3.3.2-1], [MQTT-4.7.3-1]
  if (aliases && topicEnd === body + 2)
    throw protocolError('PUBLISH has neither a topic nor an alias for one')
  // one literal for all, without spreads: this is made for every publish
  return {
    bytes,
    start,
    end,
    header,
    qos,
    ackQos: qos,
    packetId,
    payloadAt: read ? read.payloadAt : idEnd,
    expirySeconds: read ? read.expirySeconds : null,
    isText: read ? read.isText : false,
    route: router.routeBytes(bytes, body + 2, topicEnd)
  }
}

/** The same with its topic and without its alias, as it is kept and passed on. */
function resolved(
  header: number,
  message: Message,
  topicField: Buffer,
  router: Router<Subscription>,
  { expirySeconds, isText }: Read
): Incoming {
  const route = router.routeBytes(topicField, 2, topicField.length)
  const { bytes, length, qos } = withoutAlias(message, topicField)
  const payloadAt = length - message.payload().length
  const packetId = message.packetId()
  const common = { header, qos, ackQos: qos, packetId, expirySeconds, isText, route }
  return { bytes, start: 0, end: length, payloadAt, ...common }
}

function checkHeader(header: number, qos: number, packetId: number): void {
  if (qos === 3) throw malformed('PUBLISH has QoS 3') // [MQTT-3.3.1-4]
  if (qos === 0 && header & DUP_BIT) throw malformed('PUBLISH has DUP with QoS 0') // [MQTT-3.3.1-2]
  if (qos > 0 && packetId === 0) throw protocolError('PUBLISH has packet id 0') // [MQTT-2.2.1-3]
}

function readProperties(bytes: Buffer, at: number, end: number): Read {
  const packed = readVarint(bytes, at, end)
  const from = at + varintBytes(packed)
  const payloadAt = from + varintValue(packed)
  if (packed <= 0 || payloadAt > end) throw malformed('the properties of PUBLISH are cut off')
  const read: { -readonly [K in keyof Read]: Read[K] } = {
    payloadAt,
    expirySeconds: null,
    isText: false,
    alias: -1
  }
  if (payloadAt === from) return read
  const properties = bytes.subarray(from, payloadAt)
  walkProperties(properties, CARRIER.publish, (id, value, valueFrom, valueTo) => {
    if (id === PROPERTY.messageExpiryInterval) read.expirySeconds = value
    else if (id === PROPERTY.topicAlias) read.alias = value
    else if (id === PROPERTY.payloadFormatIndicator) {
      if (value > 1) throw protocolError(`the Payload Format Indicator is ${value}, not 0 or 1`)
      read.isText = value === 1
    } else if (id === PROPERTY.subscriptionIdentifier) {
      throw protocolError('a client sent a subscription identifier') // [MQTT-3.3.4-6]
    } else if (id === PROPERTY.responseTopic) checkResponseTopic(properties, valueFrom + 3, valueTo)
  })
  return read
}

interface Read {
  readonly payloadAt: number
  readonly expirySeconds: number | null
  readonly isText: boolean
  /** -1: none. */
  readonly alias: number
}

/** [MQTT-3.3.2-14] */
export function checkResponseTopic(properties: Buffer, from: number, to: number): void {
  const topic = properties.subarray(from, to)
  if (topic.includes('+') || topic.includes('#')) throw protocolError('the Response Topic has a wildcard')
}

/** Checks the payload against what the publisher says of it. @throws QueueError QUEUE_PAYLOAD_FORMAT_INVALID */
export function assertPayloadFormat({ bytes, payloadAt, end, isText }: Incoming): void {
  if (isText && !isUtf8(bytes.subarray(payloadAt, end))) throw new QueueError('QUEUE_PAYLOAD_FORMAT_INVALID')
}
