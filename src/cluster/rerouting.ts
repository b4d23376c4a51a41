import type { Clock } from '../clock.ts'
import type { Subscription } from '../delivery/subscription.ts'
import { isQueueError } from '../errors.ts'
import { type Pending, rerouted, type SealedBatch } from '../journal/batch.ts'
import type { Route, Router } from '../routing/router.ts'
import type { ClusterStore } from '../store/cluster.ts'
import { REPLAY_STREAM } from '../store/store.ts'
import { askAtLast } from './asking.ts'

/**
 * The batch with the streams that other servers have made since its messages were routed. The store is asked after the
 * last message of the batch has come, so a subscription that was answered before is known.
 */
export async function routedAnew(
  batch: SealedBatch,
  cluster: ClusterStore,
  router: Router<Subscription>,
  clock: Clock
): Promise<SealedBatch> {
  // meanwhile the batch waits, and the journal sees to its publishers
  const made = await askAtLast(() => cluster.newStreams(), clock, throwUnlessAway)
  for (const row of made) router.share(row)
  const isOld = ({ route }: Pending) => (route as Route<Subscription>).version !== router.version
  if (!batch.messages.some(isOld)) return batch
  return rerouted(batch, pending => {
    if (!isOld(pending)) return null
    const { message, streamIds } = pending
    const route = router.route(pending.route.topic)
    if (streamIds[0] !== REPLAY_STREAM) return { route, streamIds: route.streamIds }
    return { route, streamIds: message.qos === 0 ? [REPLAY_STREAM] : route.replayedIds }
  })
}

function throwUnlessAway(error: unknown): void {
  if (!isQueueError(error) || error.code !== 'QUEUE_STORE_AWAY') throw error
}
