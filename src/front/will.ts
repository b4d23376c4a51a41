import type { WillRequest } from '../delivery/wills.ts'
import { malformed, type PacketCursor, protocolError } from '../wire/cursor.ts'
import { Message } from '../wire/message.ts'
import { CARRIER, PROPERTY, walkProperties } from '../wire/properties.ts'
import { topicField } from '../wire/publish.ts'
import { CONNECT_FLAG as FLAG } from './connect-flags.ts'
import { checkResponseTopic } from './read-publish.ts'

/** Reads the will of a CONNECT, from its properties to its payload. @see MQTT 5.0 sections 3.1.3.2 to 3.1.3.4 */
export function readWill(cursor: PacketCursor, flags: number, isV5: boolean): WillRequest {
  const { delaySeconds, properties } = isV5
    ? readWillProperties(cursor.properties())
    : { delaySeconds: 0, properties: null }
  const topic = cursor.text('the will topic')
  if (topic === '') throw malformed('the will topic is empty')
  const payload = Buffer.from(cursor.binary())
  const message = Message.from({
    topicField: topicField(topic),
    payload,
    qos: (flags & FLAG.willQos) >> 3,
    isRetained: (flags & FLAG.willRetain) !== 0,
    properties
  })
  return { delaySeconds, message }
}

/** The properties of the message, in their order; Will Delay Interval is none of them. */
function readWillProperties(bytes: Buffer): { delaySeconds: number; properties: Buffer } {
  let delaySeconds = 0
  const properties: Buffer[] = []
  walkProperties(bytes, CARRIER.will, (id, value, from, to) => {
    if (id === PROPERTY.willDelayInterval) delaySeconds = value
    else properties.push(bytes.subarray(from, to))
    if (id === PROPERTY.payloadFormatIndicator && value > 1) {
      throw protocolError(`the Payload Format Indicator of the will is ${value}, not 0 or 1`)
    }
    if (id === PROPERTY.responseTopic) checkResponseTopic(bytes, from + 3, to)
  })
  return { delaySeconds, properties: Buffer.concat(properties) }
}
