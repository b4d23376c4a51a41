import { Message } from '../wire/message.ts'

/** Rule for changing the layout: brokers of two versions may run side by side; a new layout gets a new channel. */
export const QOS0_CHANNEL = 'qos0'

/**
 * A PUBLISH of QoS 0 on its way to other brokers.
 *
 * ```
 * u8 1: MQTT 5, 0: not | u16 bytes, client id of the publisher | the packet
 * ```
 */
export function encodePublish0(message: Message): Buffer {
  const publisher = Buffer.from(message.publisher)
  const head = Buffer.allocUnsafe(3)
  head[0] = message.isV5 ? 1 : 0
  head.writeUInt16BE(publisher.length, 1)
  const packet = message.bytes.subarray(message.offset, message.offset + message.length)
  return Buffer.concat([head, publisher, packet])
}

/** Reads what {@link encodePublish0} wrote. Throws RangeError when it is not that. */
export function decodePublish0(bytes: Buffer): Message {
  const publisherEnd = 3 + bytes.readUInt16BE(1)
  if (publisherEnd + 5 > bytes.length || bytes[publisherEnd]! >> 4 !== 3) {
    throw new RangeError('this is not a PUBLISH of another broker')
  }
  const message = new Message(bytes, publisherEnd, bytes.length - publisherEnd, bytes[0] === 1)
  message.publisher = bytes.toString('utf8', 3, publisherEnd)
  return message
}
