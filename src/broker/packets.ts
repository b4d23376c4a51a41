import { isDeepStrictEqual } from 'node:util'
import type { Aedes } from 'aedes'
import mqttPacket, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { assertTopic } from '../topic.ts'
import { Message } from '../wire/message.ts'
import { topicField } from '../wire/publish.ts'
import { type InsidePacket, membersOf } from './aedes-types.ts'

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
  // mqtt-packet does not say which
  if (bytes.length === 0) throw new Error('a property of the message cannot be written')
  return new Message(bytes, 0, bytes.length, isV5)
}

/**
 * A packet in the form that Aedes gives to subscribers in the process, to `authorizeForward` and to listeners of `ack`.
 * @param publisher client id; '': it came from the process. @param messageId of the delivery, when there is one.
 */
export function insidePacket(
  aedes: Aedes,
  packet: HookPublish,
  publisher: string,
  messageId?: number
): InsidePacket {
  const { cmd, topic, payload, qos, retain, properties } = packet
  return {
    ...(publisher === '' ? {} : { clientId: publisher }),
    ...(properties ? { properties } : {}),
    ...{ cmd, brokerId: aedes.id, brokerCounter: ++membersOf(aedes).counter },
    ...{ topic, payload, qos, retain, dup: false },
    ...(qos > 0 ? { messageId } : {})
  } as unknown as InsidePacket
}

/** A packet before and after it was shown to the application. */
export class Shown {
  readonly packet: HookPublish
  /** The message as it came. */
  readonly original: Message
  readonly #before: HookPublish

  /** @param shape makes another form of the packet. */
  constructor(message: Message, shape: (packet: HookPublish) => HookPublish = packet => packet) {
    this.original = message
    this.packet = shape(packetOf(message))
    this.#before = { ...this.packet }
    if (this.packet.properties) this.#before.properties = structuredClone(this.packet.properties)
  }

  /**
   * The message as it is after the application has had it: the same one when nothing was changed.
   * A QoS that there is not is passed over.
   * @throws QueueError QUEUE_TOPIC_INVALID; Error of mqtt-packet, for a property that cannot be written.
   */
  message(changed: HookPublish = this.packet): Message {
    const { topic, payload, qos, retain, properties } = this.#before
    const after = [0, 1, 2].includes(changed.qos) ? changed : { ...changed, qos }
    const hasSameProperties = isDeepStrictEqual(after.properties, properties)
    const isSame =
      after.topic === topic && after.payload === payload && after.qos === qos && after.retain === retain
    if (isSame && hasSameProperties) return this.original
    assertTopic(after.topic)
    return hasSameProperties ? this.#rebuilt(after) : messageOf(after, this.original.isV5)
  }

  /** With the properties as they came: `mqtt-packet` would not keep their order. */
  #rebuilt({ topic, payload, qos, retain }: HookPublish): Message {
    const { original } = this
    return Message.from({
      topicField: topicField(topic),
      payload: Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
      qos,
      isRetained: retain,
      properties: original.isV5 ? original.properties() : null
    })
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
