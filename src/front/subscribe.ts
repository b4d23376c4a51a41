import type { HookSubscription } from '../broker/broker.ts'
import { RetainedFeed } from '../delivery/retained-feed.ts'
import type { Session } from '../delivery/session.ts'
import { isDirect } from '../delivery/subscription.ts'
import type { SubscribeRequest } from '../delivery/subscriptions.ts'
import { QueueError } from '../errors.ts'
import { LaneMarks } from '../lane.ts'
import { filterProblem } from '../topic.ts'
import { type PacketCursor, protocolError } from '../wire/cursor.ts'
import { subscriptionAck, TYPE } from '../wire/packets.ts'
import { CARRIER, walkProperties } from '../wire/properties.ts'
import type { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { type AskedFilter, readSubscribe } from './read-subscribe.ts'
import { failureCode } from './reason-codes.ts'

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
  answer(connection, grant(connection, context, session, asked), granted => {
    subscribed(connection, context, session, granted, packetId)
  })
}

/**
 * Subscribes a session as its client would.
 * @param packetId of the SUBACK to send; null: none.
 * @returns a reason code for each filter: the granted QoS, or why not.
 */
export async function subscribeAs(
  connection: Connection,
  context: FrontContext,
  session: Session,
  subscriptions: readonly HookSubscription[],
  packetId: number | null
): Promise<readonly number[]> {
  const asked = subscriptions.map(({ topic, qos, nl = false, rap = false, rh = 0 }) => ({
    ...{ filter: topic, qos, identifier: 0, isNoLocal: nl, keepsRetain: rap, retainHandling: rh }
  }))
  const granted = await grant(connection, context, session, asked)
  if (!connection.isClosed) subscribed(connection, context, session, granted, packetId)
  return granted.codes
}

function subscribed(
  connection: Connection,
  context: FrontContext,
  session: Session,
  { asked, codes, existed }: Grant,
  packetId: number | null
): void {
  if (packetId !== null) connection.send(subscriptionAck(SUBACK, packetId, connection.isV5, codes))
  for (const [i, one] of asked.entries()) {
    if (codes[i]! <= 2) sendRetained(context, session, one, existed.get(one.filter) ?? false)
  }
  session.wake()
  // the last of equal filters counts
  const told = new Map<string, HookSubscription>()
  for (const [i, { filter }] of asked.entries()) {
    told.set(filter, { topic: filter, qos: (codes[i]! > 2 ? FAILURE_311 : codes[i]!) as 0 | 1 | 2 })
  }
  context.broker.events.subscribed(connection.client, [...told.values()])
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
  const own = filters.map(filter => (isDirect(filter) ? '' : filter)) // that one is not the client's
  answer(connection, context.sessions.unsubscribe(session, own), found => {
    unsubscribed(connection, context, filters, found, packetId)
  })
}

/** Unsubscribes a session as its client would. @param packetId of the UNSUBACK to send; null: none. */
export async function unsubscribeAs(
  connection: Connection,
  context: FrontContext,
  session: Session,
  filters: readonly string[],
  packetId: number | null
): Promise<void> {
  const found = await context.sessions.unsubscribe(session, filters)
  if (!connection.isClosed) unsubscribed(connection, context, filters, found, packetId)
}

function unsubscribed(
  connection: Connection,
  context: FrontContext,
  filters: readonly string[],
  found: readonly boolean[],
  packetId: number | null
): void {
  const codes = found.map((wasThere, i) => (wasThere ? 0 : codeOfUnknown(filters[i]!, context)))
  if (packetId !== null) connection.send(subscriptionAck(UNSUBACK, packetId, connection.isV5, codes))
  context.broker.events.unsubscribed(connection.client, filters)
}

function codeOfUnknown(filter: string, { router }: FrontContext): number {
  return filterProblem(filter, router.maxTopicLevels) ? FILTER_INVALID : NO_SUBSCRIPTION
}

/** What is retained follows the SUBACK. [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11] */
function sendRetained(
  { retained, journal }: FrontContext,
  session: Session,
  { filter, retainHandling }: AskedFilter,
  existed: boolean
): void {
  const subscription = session.subscriptions.get(filter)
  if (!subscription || retainHandling === 2 || (retainHandling === 1 && existed)) return
  const known = session.retained.findIndex(feed => feed.subscription.filter === filter)
  if (known >= 0) session.retained.splice(known, 1)
  if (retained.size === 0) return
  const through = new LaneMarks((existed ? journal.heads : subscription.from).all())
  through.raise(subscription.routedFrom)
  session.retained.push(new RetainedFeed(subscription, through, retained.match(filter)))
}

interface Grant {
  /** What was asked for, as far as a hook has changed it. */
  readonly asked: readonly AskedFilter[]
  /** A reason code for each filter: the granted QoS, or why not. */
  readonly codes: readonly number[]
  /** Whether there was a subscription before, by filter. */
  readonly existed: ReadonlyMap<string, boolean>
}

async function grant(
  connection: Connection,
  context: FrontContext,
  session: Session,
  asFirst: readonly AskedFilter[]
): Promise<Grant> {
  const judged = await judgeAll(connection, context, asFirst)
  const asked = judged.map(({ one }) => one)
  const codes = judged.map(({ code }) => code)
  const wanted = new Map<string, SubscribeRequest>()
  for (const [i, one] of asked.entries()) {
    const { filter, identifier, isNoLocal, keepsRetain } = one
    // the last of equal filters counts
    if (codes[i]! <= 2) wanted.set(filter, { filter, qos: codes[i]!, identifier, isNoLocal, keepsRetain })
  }
  if (wanted.size === 0) return { asked, codes, existed: new Map() }
  try {
    const existed = await context.sessions.subscribe(session, [...wanted.values()])
    return { asked, codes, existed: new Map([...wanted.keys()].map((filter, i) => [filter, existed[i]!])) }
  } catch (error) {
    if (!(error instanceof QueueError) || session.isEnded) throw error
    context.log.error(
      { err: error, clientId: connection.clientId },
      `SUBSCRIBE was refused: ${error.message}`
    )
    const failure = connection.isV5 ? failureCode(TYPE.suback, error.reasonCode) : FAILURE_311
    return { asked, codes: codes.map(code => (code > 2 ? code : failure)), existed: new Map() }
  }
}

interface Judged {
  readonly one: AskedFilter
  /** The granted QoS, or why not. */
  readonly code: number
}

async function judgeAll(
  connection: Connection,
  context: FrontContext,
  asked: readonly AskedFilter[]
): Promise<Judged[]> {
  if (context.broker.hasSubscribeHook) {
    return await Promise.all(asked.map(one => judge(connection, context, one)))
  }
  return asked.map(one => ({ one, code: refusal(connection, context, one) ?? one.qos }))
}

/** Shows a filter to the hook, which may change it. */
async function judge(connection: Connection, context: FrontContext, one: AskedFilter): Promise<Judged> {
  const refused = refusal(connection, context, one)
  if (refused !== null) return { one, code: refused }
  const { filter, qos, isNoLocal, keepsRetain, retainHandling } = one
  const options = { nl: isNoLocal, rap: keepsRetain, rh: retainHandling }
  const subscription = { topic: filter, qos: qos as 0 | 1 | 2, ...(connection.isV5 ? options : {}) }
  const granted = await context.broker.authorizeSubscription(connection.client, subscription)
  if (!granted) return { one, code: connection.isV5 ? NOT_AUTHORIZED : FAILURE_311 }
  const { topic, nl = isNoLocal, rap = keepsRetain, rh = retainHandling } = granted
  const changed = { ...one, filter: topic, isNoLocal: nl, keepsRetain: rap, retainHandling: rh }
  return { one: changed, code: refusal(connection, context, changed) ?? granted.qos }
}

function refusal(connection: Connection, context: FrontContext, { filter }: AskedFilter): number | null {
  const code = (reasonCode: number) => (connection.isV5 ? reasonCode : FAILURE_311)
  if (filterProblem(filter, context.router.maxTopicLevels)) return code(FILTER_INVALID)
  if (isDirect(filter)) return code(NOT_AUTHORIZED)
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
