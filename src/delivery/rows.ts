import { LaneMarks } from '../lane.ts'
import type { Stream } from '../routing/stream.ts'
import type { StateChange, SubscriptionRow } from '../store/store.ts'
import type { Session } from './session.ts'
import type { Subscription } from './subscription.ts'

/** The row of a session, with this expiry and this end of its connection. */
export function sessionChange(
  session: Session,
  expirySeconds: number | null,
  disconnectedAt: number | null = null
): StateChange {
  const { sessionId, clientId, createdAt } = session
  const row = { sessionId, clientId, createdAt, expirySeconds, disconnectedAt }
  return { table: 'session', key: sessionId, row }
}

/** The row of a cursor. */
export function cursorChange(session: Session, row: Buffer): StateChange {
  return { table: 'cursor', key: session.sessionId, row }
}

/**
 * A subscription, and its stream: the stream's row is on stable storage before any record uses its id.
 * @param withStream false where streams are made by a store that is shared.
 */
export function subscribeChanges(
  session: Session,
  subscription: Subscription,
  withStream: boolean
): StateChange[] {
  const { sessionId } = session
  const { filter, qos, from, createdAt, stream, identifier, isNoLocal, keepsRetain } = subscription
  const { streamId } = stream
  const [fromSequence = 0, ...fromElsewhere] = from.all()
  const begin = fromElsewhere.length === 0 ? { fromSequence } : { fromSequence, fromElsewhere }
  const streamRow: StateChange[] = [{ table: 'stream', key: streamId, row: { streamId, filter } }]
  return [
    ...(withStream ? streamRow : []),
    {
      table: 'subscription',
      key: { sessionId, filter },
      row: { sessionId, filter, streamId, qos, ...begin, createdAt, identifier, isNoLocal, keepsRetain }
    }
  ]
}

/** Where a subscription of a row begins. */
export function beginOf({ fromSequence, fromElsewhere = [] }: SubscriptionRow): LaneMarks {
  return new LaneMarks([fromSequence, ...fromElsewhere])
}

/** Takes a subscription out. */
export function unsubscribeChange({ session, filter }: Subscription): StateChange {
  return { table: 'subscription', key: { sessionId: session.sessionId, filter }, row: null }
}

/** Takes a stream out that has no subscription any more. */
export function streamGone({ streamId }: Stream): StateChange {
  return { table: 'stream', key: streamId, row: null }
}

/** Takes a session out with all that belongs to it. */
export function endChanges(session: Session): StateChange[] {
  const { sessionId } = session
  return [
    { table: 'session', key: sessionId, row: null },
    { table: 'cursor', key: sessionId, row: null },
    ...[...session.subscriptions.values()].map(unsubscribeChange)
  ]
}
