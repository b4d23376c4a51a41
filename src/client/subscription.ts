import type { Delivery } from './delivery.ts'
import { ClientError, invalidOption } from './errors.ts'
import { Lane, type LaneOptions, type Order } from './lane.ts'
import { type Message, type RawMessage, rawMessage } from './message.ts'
import { type PayloadFormat, readPayload, type Schema } from './payload.ts'
import { filterOf } from './topic.ts'

/** Handles a message. It is acked when the promise resolves, and comes again when it rejects. */
export type Handler<T> = (message: Message<T>) => unknown

/** Is given a message that does not fit; acked when it resolves, comes again when it rejects. */
export type InvalidHandler = (message: RawMessage, error: ClientError) => unknown

/** How to subscribe. */
export interface SubscribeOptions<T> {
  /**
   * 1 (default): acked when the handler has resolved. 0: never comes again. There is no 2: a client that
   * crashes after PUBREC would lose the message, so it could not hold what it says; handlers that are
   * idempotent get the same from 1.
   */
  readonly qos?: 0 | 1
  /** What a payload has to fit; `message.payload` is what the schema makes of it. */
  readonly schema?: Schema<T>
  /** How to read the payload. Default `json`. */
  readonly format?: PayloadFormat
  /**
   * What to do with a payload that does not fit. `skip` (default): it is reported as an `error` event and
   * acked, for it would never fit. `reject`: it comes again like one that a handler has rejected, and with
   * order `all` holds all behind it until the program is mended. A function: is given the message, to keep it
   * elsewhere.
   */
  readonly onInvalid?: 'skip' | 'reject' | InvalidHandler
  /** Most handlers at a time. Default 1. */
  readonly concurrency?: number
  /**
   * `all` (default with concurrency 1): one after another; a rejected message holds those behind it. `event`
   * (default above 1): in order for each topic. `none`: as they come.
   */
  readonly order?: Order
  /**
   * Shares the messages with the other members of this group: each goes to one of them. Needs a server that can
   * do it.
   */
  readonly group?: string
}

/** A subscription that a program has made. */
export interface Subscription {
  readonly queue: string
  readonly event: string
  /** As the server knows it. */
  readonly filter: string
  /**
   * Ends the subscription at the server, for good: nothing is kept for it from now on. Resolves when what had
   * come is handled; what is rejected now is given up. To go away and come back later, close the client
   * instead.
   */
  stop(): Promise<void>
}

/** A subscription with its defaults. */
export interface SubscriptionPlan {
  /** As the server is told, with `$share/<group>/`. */
  readonly filter: string
  readonly qos: 0 | 1
  readonly lane: Omit<LaneOptions, 'finished'>
}

/** What a plan needs to know of its client. */
export interface PlanContext {
  readonly prefetch: number
  report(error: ClientError): void
}

/** Checks options and puts in the defaults. @throws ClientError CLIENT_OPTIONS_INVALID, CLIENT_TOPIC_INVALID */
export function subscriptionPlan<T>(
  queue: string,
  event: string,
  handler: Handler<T>,
  options: SubscribeOptions<T>,
  context: PlanContext
): SubscriptionPlan {
  if (typeof handler !== 'function') throw invalidOption('handler', 'expected a function')
  const filter = filterOf(queue, event)
  const { group, qos = 1 } = options
  if (qos !== 0 && qos !== 1) {
    throw invalidOption(
      'qos',
      `expected 0 or 1, found ${String(qos)}: 2 could not survive a crash of this program`
    )
  }
  if (group !== undefined && !/^[^/+#]+$/.test(group))
    throw invalidOption('group', 'expected a name without / + and #')
  const { concurrency, order } = pace(options, context.prefetch)
  const run = (delivery: Delivery) => handle(delivery, handler, options, context)
  return {
    filter: group === undefined ? filter : `$share/${group}/${filter}`,
    qos,
    lane: { filter, order, concurrency, run }
  }
}

/** A lane for a plan. */
export function laneOf(plan: SubscriptionPlan, finished: LaneOptions['finished']): Lane {
  return new Lane({ ...plan.lane, finished })
}

function pace<T>(options: SubscribeOptions<T>, prefetch: number): { concurrency: number; order: Order } {
  const { concurrency = 1 } = options
  const { order = concurrency === 1 ? 'all' : 'event' } = options
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw invalidOption('concurrency', `expected a whole number from 1, found ${String(concurrency)}`)
  }
  if (concurrency > prefetch) {
    throw invalidOption(
      'concurrency',
      `${concurrency} is more than the server sends ahead: raise prefetch (${prefetch})`
    )
  }
  if (!['all', 'event', 'none'].includes(order)) {
    throw invalidOption('order', `expected all, event or none, found ${String(order)}`)
  }
  if (order === 'all' && concurrency > 1) {
    throw invalidOption(
      'order',
      'all messages in order means one at a time: leave concurrency at 1, or order by event'
    )
  }
  return { concurrency, order }
}

async function handle<T>(
  delivery: Delivery,
  handler: Handler<T>,
  { format = 'json', schema, onInvalid = 'skip' }: SubscribeOptions<T>,
  { report }: PlanContext
): Promise<void> {
  const raw = rawMessage(delivery.packet, delivery.failures + 1)
  let payload: T
  try {
    payload = await readPayload(raw, format, schema)
  } catch (error) {
    const isMisfit = error instanceof ClientError && error.code === 'CLIENT_PAYLOAD_INVALID'
    if (!isMisfit || onInvalid === 'reject') throw error
    if (onInvalid === 'skip') report(error)
    else await onInvalid(raw, error)
    return
  }
  await handler({ ...raw, payload })
}
