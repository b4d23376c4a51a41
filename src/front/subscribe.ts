import type { Session } from '../delivery/session.ts'
import type { SubscribeRequest } from '../delivery/sessions.ts'
import { QueueError } from '../errors.ts'
import { filterProblem } from '../topic.ts'
import { malformed, type PacketCursor, protocolError } from '../wire/cursor.ts'
import { subscriptionAck } from '../wire/packets.ts'
import { CARRIER, PROPERTY, walkProperties } from '../wire/properties.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'

const SUBACK = 0x90
const UNSUBACK = 0xb0
const FAILURE_311 = 0x80
const NOT_AUTHORIZED = 0x87
const FILTER_INVALID = 0x8f
const SHARED_UNSUPPORTED = 0x9e
const NO_SUBSCRIPTION = 0x11
/** Highest QoS granted for now. */
const MAX_QOS = 1

interface Asked {
  readonly filter: string
  readonly qos: number
}

/** SUBSCRIBE: nothing more of the connection is read until its SUBACK. @see MQTT 5.0 section 3.8 */
export function subscribe(
  connection: Connection,
  context: FrontContext,
  session: Session,
  cursor: PacketCursor
): void {
  const packetId = readHead(connection, cursor, CARRIER.subscribe)
  const asked: Asked[] = []
  while (!cursor.isAtEnd) {
    const filter = cursor.text('a topic filter')
    asked.push({ filter, qos: readOptions(cursor.byte(), connection.isV5) })
  }
  if (asked.length === 0) throw protocolError('SUBSCRIBE has no topic filter') // [MQTT-3.8.3-2]
  connection.hold('subscribe')
  answer(connection, grant(connection, context, session, asked), codes => {
    connection.send(subscriptionAck(SUBACK, packetId, connection.isV5, codes))
    const granted = asked.filter((_, i) => codes[i]! <= 2).map(({ filter, qos }) => ({ topic: filter, qos }))
    context.broker.emit('subscribe', granted, connection.client)
  })
}

/** UNSUBSCRIBE: nothing more of the connection is read until its UNSUBACK. @see MQTT 5.0 section 3.10 */
export function unsubscribe(
  connection: Connection,
  context: FrontContext,
  session: Session,
  cursor: PacketCursor
): void {
  const packetId = readHead(connection, cursor, CARRIER.unsubscribe)
  const filters: string[] = []
  while (!cursor.isAtEnd) filters.push(cursor.text('a topic filter'))
  if (filters.length === 0) throw protocolError('UNSUBSCRIBE has no topic filter') // [MQTT-3.10.3-2]
  connection.hold('subscribe')
  answer(connection, context.sessions.unsubscribe(session, filters), found => {
    const codes = found.map(wasThere => (wasThere ? 0 : NO_SUBSCRIPTION))
    connection.send(subscriptionAck(UNSUBACK, packetId, connection.isV5, codes))
    context.broker.emit('unsubscribe', filters, connection.client)
  })
}

function readHead(connection: Connection, cursor: PacketCursor, carrier: number): number {
  const packetId = cursor.uint16()
  if (packetId === 0) throw protocolError('the packet id is 0') // [MQTT-2.2.1-3]
  if (connection.isV5) {
    walkProperties(cursor.properties(), carrier, id => {
      // announced in CONNACK as not available
      if (id === PROPERTY.subscriptionIdentifier) throw new QueueError('QUEUE_SUBSCRIPTION_ID_UNSUPPORTED')
    })
  }
  return packetId
}

/** The requested QoS. @see MQTT 5.0 section 3.8.3.1 */
function readOptions(options: number, isV5: boolean): number {
  if ((options & 3) === 3) throw protocolError('a subscription asks for QoS 3') // [MQTT-3.8.3]
  if (options & (isV5 ? 0xc0 : 0xfc)) throw malformed('reserved bits of a subscription are set') // [MQTT-3.8.3-5]
  if ((options & 0x30) === 0x30) throw protocolError('Retain Handling is 3')
  return options & 3
}

async function grant(
  connection: Connection,
  context: FrontContext,
  session: Session,
  asked: readonly Asked[]
): Promise<number[]> {
  const codes = await Promise.all(asked.map(one => judge(connection, context, one)))
  const wanted = new Map<string, SubscribeRequest>()
  for (const [i, { filter }] of asked.entries()) {
    const qos = codes[i]!
    if (qos <= 2) wanted.set(filter, { filter, qos }) // the last of equal filters counts
  }
  if (wanted.size === 0) return codes
  try {
    await context.sessions.subscribe(session, [...wanted.values()])
    return codes
  } catch (error) {
    if (!(error instanceof QueueError) || session.isEnded) throw error
    context.log.error(
      { err: error, clientId: connection.clientId },
      `SUBSCRIBE was refused: ${error.message}`
    )
    return codes.map(code => (code > 2 ? code : connection.isV5 ? error.reasonCode : FAILURE_311))
  }
}

/** The granted QoS, or why not. */
async function judge(connection: Connection, context: FrontContext, { filter, qos }: Asked): Promise<number> {
  const code = (reasonCode: number) => (connection.isV5 ? reasonCode : FAILURE_311)
  if (filterProblem(filter, context.router.maxTopicLevels)) return code(FILTER_INVALID)
  if (filter.startsWith('$share/')) return code(SHARED_UNSUPPORTED)
  const subscription = { topic: filter, qos: Math.min(qos, MAX_QOS) as 0 | 1 }
  const granted = await context.broker.authorizeSubscribe(connection.client, subscription)
  return granted === null ? code(NOT_AUTHORIZED) : Math.min(granted, MAX_QOS)
}

/** Gives the answer when it is there, and reads on. */
function answer<T>(connection: Connection, result: Promise<T>, give: (value: T) => void): void {
  result
    .then(value => {
      if (!connection.isClosed) connection.guard(() => give(value))
    })
    .catch((error: unknown) => connection.fail(error))
    .finally(() => connection.release('subscribe'))
}
