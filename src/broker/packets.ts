import { isDeepStrictEqual } from 'node:util'
import mqttPacket, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { Message } from '../wire/message.ts'
import type { InsidePacket } from './aedes-types.ts'

/** A publish as hooks see it: what `mqtt-packet` makes of the bytes. They may change it. */
export type HookPublish = IPublishPacket

type Properties = NonNullable<IPublishPacket['properties']> & { willDelayInterval?: number }

/** Decodes a message for the application; its payload is a view of the message's bytes. */
export function packetOf({ bytes, offset, length, isV5 }: Message): HookPublish {
  return parsePacket(bytes.subarray(offset, offset + length), isV5 ? 5 : 4) as HookPublish
}

/** Decodes one whole packet. @param protocolVersion 4 or 5. @throws Error of mqtt-packet */
export function parsePacket(bytes: Buffer, protocolVersion: number): Packet {
  let packet: Packet | undefined
  const parser = mqttPacket.parser({ protocolVersion })
  parser.on('packet', found => {
    packet = found
  })
  parser.on('error', error => {
    throw error
  })
  parser.parse(bytes)
  return packet!
}

/**
 * Encodes a packet of the application. Its packet id is left for whoever sends it.
 * @param isV5 the format; left out: that of MQTT 5 when the packet has properties.
 * @throws Error of mqtt-packet, for a topic or a property that cannot be written.
 */
export function messageOf(packet: InsidePacket | HookPublish, isV5 = hasProperties(packet)): Message {
  const { topic, qos = 0, retain = false } = packet
  const bytes = mqttPacket.generate(
    {
      cmd: 'publish',
      topic,
      payload: packet.payload ?? '',
      qos,
      retain,
      dup: false,
      ...(qos > 0 ? { messageId: 1 } : {}),
      ...(isV5 ? { properties: publishProperties(packet) } : {})
    },
    { protocolVersion: isV5 ? 5 : 4 }
  )
  return new Message(bytes, 0, bytes.length, isV5)
}

/** A packet before and after it was shown to the application. */
export class Shown {
  readonly packet: HookPublish
  readonly #message: Message
  readonly #before: HookPublish

  /** A message of a packet that the application made. */
  static encode(packet: HookPublish, isV5: boolean): Message {
    return messageOf(packet, isV5)
  }

  constructor(message: Message) {
    this.#message = message
    this.packet = packetOf(message)
    this.#before = { ...this.packet }
    if (this.packet.properties) this.#before.properties = structuredClone(this.packet.properties)
  }

  /** The message as it is after the application has had it: the same one when nothing was changed. */
  message(after: HookPublish = this.packet): Message {
    const { topic, payload, qos, retain, properties } = this.#before
    const isSame =
      after.topic === topic &&
      after.payload === payload &&
      after.qos === qos &&
      after.retain === retain &&
      isDeepStrictEqual(after.properties, properties)
    return isSame ? this.#message : messageOf(after, this.#message.isV5)
  }
}

function hasProperties({ properties }: HookPublish): boolean {
  return properties !== undefined && Object.keys(publishProperties({ properties })).length > 0
}

/** The properties that a PUBLISH to subscribers may have. */
function publishProperties({ properties }: Pick<HookPublish, 'properties'>): Properties {
  const { willDelayInterval, topicAlias, ...rest } = (properties ?? {}) as Properties // [MQTT-3.3.2-7]
  return rest
}
