import type { Stream } from '../routing/stream.ts'
import type { Message } from '../wire/message.ts'
import type { Session } from './session.ts'
import type { Subscription } from './subscription.ts'

/** What the subscriptions of one session that match a message ask for, taken together. */
export interface Wanted {
  /** The highest QoS of them. [MQTT-3.3.4-2] */
  readonly qos: number
  /** Whether RETAIN stays as it was published, because one of them wants it. */
  readonly keepsRetain: boolean
  /** All their Subscription Identifiers. [MQTT-3.3.4-3] */
  readonly identifiers: readonly number[]
}

const NONE: readonly number[] = []

/** What plain subscriptions ask for, by their QoS. */
export const PLAIN: readonly Wanted[] = [0, 1, 2].map(qos => ({ qos, keepsRetain: false, identifiers: NONE }))

/**
 * What a session's subscriptions ask for; null when none of them wants the message.
 * @param streams those that the topic of the message matches.
 */
export function wantedBy(
  session: Session,
  streams: readonly Stream<Subscription>[],
  message: Message
): Wanted | null {
  let qos = -1
  let keepsRetain = false
  let identifiers: number[] | null = null
  for (const { filter } of streams) {
    const subscription = session.subscriptions.get(filter)
    if (!subscription || !isFor(subscription, message)) continue
    if (subscription.qos > qos) qos = subscription.qos
    if (subscription.keepsRetain) keepsRetain = true
    if (subscription.identifier === 0) continue
    identifiers ??= []
    identifiers.push(subscription.identifier)
  }
  return qos < 0 ? null : { qos, keepsRetain, identifiers: identifiers ?? NONE }
}

/** Whether a subscription may have a message at all: not its own with No Local, none of before it began. */
export function isFor(subscription: Subscription, message: Message): boolean {
  const { session, qos, from, isNoLocal } = subscription
  if (isNoLocal && message.publisher === session.clientId) return false // [MQTT-3.8.3-3]
  return qos === 0 || message.sequence === 0 || !from.covers(message.sequence)
}
