import type { Pending } from '../journal/batch.ts'
import { LaneMarks, laneOf } from '../lane.ts'
import type { Route, Router } from '../routing/router.ts'
import type { Stream } from '../routing/stream.ts'
import type { FollowedMessage } from '../store/cluster.ts'
import { REPLAY_STREAM } from '../store/store.ts'
import { type Message, ORIGIN } from '../wire/message.ts'
import { type Counters, countAccepted } from './counters.ts'
import type { Expiry } from './expiry.ts'
import type { FanOut } from './fan-out.ts'
import type { QueueIndex } from './queue-index.ts'
import type { ReplayMark } from './replay.ts'
import type { Retained } from './retained.ts'
import { RetainedFeed } from './retained-feed.ts'
import { isDirect, type Subscription } from './subscription.ts'
import type { Wills } from './wills.ts'

/** What an accepted message touches. */
export interface AcceptingStages {
  readonly router: Router<Subscription>
  readonly fanOut: FanOut
  readonly counters: Counters
  readonly mark: ReplayMark
  readonly retained: Retained
  readonly wills: Wills
  readonly expiry: Expiry
  readonly queueIndex: QueueIndex
}

/**
 * A message is durable: it enters its streams, goes to those who listen with QoS 0, and what follows from it counts.
 * This runs in the turn of the commit, so that rows made in any later turn know all messages up to the head.
 */
export function accept(stages: AcceptingStages, { message, route: routed, streamIds }: Pending): void {
  const { fanOut, counters, mark, retained, wills } = stages
  const route = routed as Route<Subscription>
  countAccepted(counters, route.counter, message.acceptedAt)
  if (streamIds[0] === REPLAY_STREAM) {
    mark.committed(message.sequence)
    if (message.isRetained) retained.apply(message, route.topic)
    if (message.origin === ORIGIN.will) wills.wasSent(message.originId)
  }
  if (message.qos === 0) {
    fanOut.publish(route, message, () => {})
    return
  }
  enter(stages, message, route, route.durable)
  if (fanOut.hasRaised || route.streams.some(({ online0 }) => online0 > 0)) {
    fanOut.committed(route, message)
  }
}

/**
 * A message of another server: it enters the streams that it was marked with, and goes to those who listen here with
 * QoS 0. What follows from it in rows is the matter of that server.
 */
export function follow(stages: AcceptingStages, { message, streamIds }: FollowedMessage): void {
  const { router, fanOut, retained } = stages
  const route = router.route(message.topic())
  if (message.isRetained) retained.applyElsewhere(message, route.topic)
  if (message.qos === 0) {
    fanOut.publish(route, message, () => {})
    return
  }
  const streams = streamIds.map(id => router.streamById(id)).filter(stream => stream !== undefined)
  enter(stages, message, route, streams)
  if (streams.some(({ filter }) => isDirect(filter))) return // to one session alone
  if (message.isRetained) showRetained(route, message, streams)
  if (route.streams.some(({ online0 }) => online0 > 0)) fanOut.committed(route, message)
}

/**
 * A subscription that was made here while the other server had the message on its way to the store is not marked in it, and
 * what it was shown as retained was the message before: it is shown this one as well.
 */
function showRetained(
  { durable }: Route<Subscription>,
  message: Message,
  marked: readonly Stream<Subscription>[]
): void {
  const through = new LaneMarks([message.sequence])
  for (const stream of durable) {
    if (marked.includes(stream)) continue
    for (const subscription of stream.online) {
      const { session, qos, from } = subscription
      if (qos === 0 || from.covers(message.sequence)) continue
      session.retained.push(new RetainedFeed(subscription, through, [message].values()))
      session.wake()
    }
  }
}

function enter(
  { expiry, queueIndex }: AcceptingStages,
  message: Message,
  route: Route<Subscription>,
  streams: readonly Stream<Subscription>[]
): void {
  const { sequence, expiresAt } = message
  const read = streams.filter(({ durable }) => durable.size > 0)
  for (const stream of read) stream.add(sequence)
  const queueLists = queueIndex.enter(route, message, read)
  if (expiresAt === 0) return
  const lane = laneOf(sequence)
  const lists = read.map(stream => stream.openFeed(lane, sequence - 1).sequences)
  expiry.add(expiresAt, sequence, [...lists, ...queueLists])
}
