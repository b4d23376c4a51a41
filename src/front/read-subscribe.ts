import { malformed, type PacketCursor, protocolError } from '../wire/cursor.ts'
import { CARRIER, PROPERTY, walkProperties } from '../wire/properties.ts'

/** One filter of a SUBSCRIBE with what is asked for it. */
export interface AskedFilter {
  readonly filter: string
  readonly qos: number
  /** 0: none. */
  readonly identifier: number
  readonly isNoLocal: boolean
  readonly keepsRetain: boolean
  /** 0: send what is retained; 1: for a new subscription only; 2: do not. */
  readonly retainHandling: number
}

/** A SUBSCRIBE. */
export interface SubscribePacket {
  readonly packetId: number
  readonly asked: readonly AskedFilter[]
}

/** Reads SUBSCRIBE. Throws QUEUE_PACKET_MALFORMED, QUEUE_PROTOCOL_ERROR. @see MQTT 5.0 section 3.8 */
export function readSubscribe(cursor: PacketCursor, isV5: boolean): SubscribePacket {
  const packetId = cursor.uint16()
  if (packetId === 0) throw protocolError('the packet id is 0') // [MQTT-2.2.1-3]
  const identifier = isV5 ? readIdentifier(cursor.properties()) : 0
  const asked: AskedFilter[] = []
  while (!cursor.isAtEnd) {
    const filter = cursor.text('a topic filter')
    asked.push({ filter, identifier, ...readOptions(cursor.byte(), isV5, filter) })
  }
  if (asked.length === 0) throw protocolError('SUBSCRIBE has no topic filter') // [MQTT-3.8.3-2]
  return { packetId, asked }
}

function readIdentifier(properties: Buffer): number {
  let identifier = 0
  walkProperties(properties, CARRIER.subscribe, (id, value) => {
    if (id !== PROPERTY.subscriptionIdentifier) return
    if (value === 0) throw protocolError('the Subscription Identifier is 0')
    identifier = value
  })
  return identifier
}

/** @see MQTT 5.0 section 3.8.3.1 */
function readOptions(options: number, isV5: boolean, filter: string) {
  if ((options & 3) === 3) throw protocolError('a subscription asks for QoS 3') // [MQTT-3.8.3]
  if (options & (isV5 ? 0xc0 : 0xfc)) throw malformed('reserved bits of a subscription are set') // [MQTT-3.8.3-5]
  if ((options & 0x30) === 0x30) throw protocolError('Retain Handling is 3')
  const isNoLocal = (options & 4) !== 0
  if (isNoLocal && filter.startsWith('$share/')) {
    throw protocolError('No Local on a shared subscription') // [MQTT-3.8.3-4]
  }
  return { qos: options & 3, isNoLocal, keepsRetain: (options & 8) !== 0, retainHandling: (options >> 4) & 3 }
}
