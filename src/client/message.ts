import type { IPublishPacket } from 'mqtt'
import { splitTopic } from './topic.ts'

/** What a publisher has said about its message. MQTT 5 only, besides what has a default. */
export interface MessageProperties {
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  /** Seconds that the message has left before it expires. */
  readonly expirySeconds?: number
  /** Empty when there are none. A name that was given several times has an array. */
  readonly userProperties: Readonly<Record<string, string | readonly string[]>>
}

/** A message as it came, before its payload was looked at. */
export interface RawMessage {
  readonly queue: string
  readonly event: string
  /** `<queue>/<event>`. */
  readonly topic: string
  readonly bytes: Uint8Array
  readonly qos: 0 | 1 | 2
  /** It was kept for new subscribers and came because of the subscribe. */
  readonly isRetained: boolean
  /** It may have been handled before: be idempotent. */
  readonly isRedelivered: boolean
  /** 1, and one more for each time that a handler of this process has rejected it. */
  readonly attempt: number
  readonly properties: MessageProperties
}

/** A message with its payload as the subscription asked for it. */
export interface Message<T> extends RawMessage {
  readonly payload: T
}

/** The message of a PUBLISH packet. */
export function rawMessage(packet: IPublishPacket, attempt: number): RawMessage {
  return {
    ...splitTopic(packet.topic),
    topic: packet.topic,
    bytes: bytesOf(packet),
    qos: packet.qos,
    isRetained: packet.retain,
    isRedelivered: packet.dup || attempt > 1,
    attempt,
    properties: propertiesOf(packet)
  }
}

/** The payload of a packet; MQTT.js types it as "bytes or text". */
export function bytesOf({ payload }: IPublishPacket): Uint8Array {
  return typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
}

function propertiesOf({ properties = {} }: IPublishPacket): MessageProperties {
  const { contentType, responseTopic, correlationData, messageExpiryInterval, userProperties } = properties
  return {
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(messageExpiryInterval === undefined ? {} : { expirySeconds: messageExpiryInterval }),
    userProperties: { ...userProperties }
  }
}
