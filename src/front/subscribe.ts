import { RetainedFeed } from '../delivery/retained-feed.ts'
import type { Session } from '../delivery/session.ts'
import type { SubscribeRequest } from '../delivery/subscriptions.ts'
import { QueueError } from '../errors.ts'
import { filterProblem } from '../topic.ts'
import { type PacketCursor, protocolError } from '../wire/cursor.ts'
import { subscriptionAck } from '../wire/packets.ts'
import { CARRIER, walkProperties } from '../wire/properties.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { type AskedFilter, readSubscribe } from './read-subscribe.ts'

const SUBACK = 0x90
const UNSUBACK = 0xb0
const FAILURE_311 = 0x80
const NOT_AUTHORIZED = 0x87
const FILTER_INVALID = 0x8f
const SHARED_UNSUPPORTED = 0x9e
const NO_SUBSCRIPTION = 0x11

/** SUBSCRIBE: nothing more of the connection is read until its SUBACK. @see MQTT 5.0 section 3.8 */
export function subscribe(
  connection: Connection,
  context: FrontContext,
  session: Session,
  cursor: PacketCursor
): void {
  const { packetId, asked } = readSubscribe(cursor, connection.isV5)
  connection.hold('subscribe')
  answer(connection, grant(connection, context, session, asked), ({ codes, existed }) => {
    connection.send(subscriptionAck(SUBACK, packetId, connection.isV5, codes))
    for (const [i, one] of asked.entries()) {
      if (codes[i]! <= 2) sendRetained(context, session, one, existed.get(one.filter) ?? false)
    }
    session.wake()
    const granted = asked
      .map(({ filter }, i) => ({ topic: filter, qos: codes[i]! }))
      .filter(({ qos }) => qos <= 2)
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
  const packetId = cursor.uint16()
  if (packetId === 0) throw protocolError('the packet id is 0') // [MQTT-2.2.1-3]
  if (connection.isV5) walkProperties(cursor.properties(), CARRIER.unsubscribe, () => {})
  const filters: string[] = []
  while (!cursor.isAtEnd) filters.push(cursor.text('a topic filter'))
  if (filters.length === 0) throw protocolError('UNSUBSCRIBE has no topic filter') // [MQTT-3.10.3-2]
  connection.hold('subscribe')
  answer(connection, context.sessions.unsubscribe(session, filters), found => {
    const codes = found.map((wasThere, i) => (wasThere ? 0 : codeOfUnknown(filters[i]!, context)))
    connection.send(subscriptionAck(UNSUBACK, packetId, connection.isV5, codes))
    context.broker.emit('unsubscribe', filters, connection.client)
  })
}

function codeOfUnknown(filter: string, { router }: FrontContext): number {
  return filterProblem(filter, router.maxTopicLevels) ? FILTER_INVALID : NO_SUBSCRIPTION
}

/** What is retained follows the SUBACK. [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11] */
function sendRetained(
  { retained }: FrontContext,
  session: Session,
  { filter, retainHandling }: AskedFilter,
  existed: boolean
): void {
  const subscription = session.subscriptions.get(filter)
  if (!subscription || retainHandling === 2 || (retainHandling === 1 && existed)) return
  const known = session.retained.findIndex(feed => feed.subscription.filter === filter)
  if (known >= 0) session.retained.splice(known, 1)
  if (retained.size > 0) session.retained.push(new RetainedFeed(subscription, retained.match(filter)))
}

interface Grant {
  /** A reason code for each filter: the granted QoS, or why not. */
  readonly codes: readonly number[]
  /** Whether there was a subscription before, by filter. */
  readonly existed: ReadonlyMap<string, boolean>
}

async function grant(
  connection: Connection,
  context: FrontContext,
  session: Session,
  asked: readonly AskedFilter[]
): Promise<Grant> {
  const codes = await judgeAll(connection, context, asked)
  const wanted = new Map<string, SubscribeRequest>()
  for (const [i, one] of asked.entries()) {
    const { filter, identifier, isNoLocal, keepsRetain } = one
    // the last of equal filters counts
    if (codes[i]! <= 2) wanted.set(filter, { filter, qos: codes[i]!, identifier, isNoLocal, keepsRetain })
  }
  if (wanted.size === 0) return { codes, existed: new Map() }
  try {
    const existed = await context.sessions.subscribe(session, [...wanted.values()])
    return { codes, existed: new Map([...wanted.keys()].map((filter, i) => [filter, existed[i]!])) }
  } catch (error) {
    if (!(error instanceof QueueError) || session.isEnded) throw error
    context.log.error(
      { err: error, clientId: connection.clientId },
      `SUBSCRIBE was refused: ${error.message}`
    )
    const failure = connection.isV5 ? error.reasonCode : FAILURE_311
    return { codes: codes.map(code => (code > 2 ? code : failure)), existed: new Map() }
  }
}

async function judgeAll(
  connection: Connection,
  context: FrontContext,
  asked: readonly AskedFilter[]
): Promise<number[]> {
  if (context.broker.hasSubscribeHook) {
    return await Promise.all(asked.map(one => judge(connection, context, one)))
  }
  return asked.map(one => refusal(connection, context, one) ?? one.qos)
}

/** The granted QoS, or why not. */
async function judge(connection: Connection, context: FrontContext, one: AskedFilter): Promise<number> {
  const refused = refusal(connection, context, one)
  if (refused !== null) return refused
  const subscription = { topic: one.filter, qos: one.qos as 0 | 1 | 2 }
  const granted = await context.broker.authorizeSubscribe(connection.client, subscription)
  return granted ?? (connection.isV5 ? NOT_AUTHORIZED : FAILURE_311)
}

function refusal(connection: Connection, context: FrontContext, { filter }: AskedFilter): number | null {
  const code = (reasonCode: number) => (connection.isV5 ? reasonCode : FAILURE_311)
  if (filterProblem(filter, context.router.maxTopicLevels)) return code(FILTER_INVALID)
  return filter.startsWith('$share/') ? code(SHARED_UNSUPPORTED) : null
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
