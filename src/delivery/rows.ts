import type { Stream } from '../routing/stream.ts'
import type { StateChange } from '../store/store.ts'
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

/** A subscription, and its stream: the stream's row is on stable storage before any record uses its id. */
export function subscribeChanges(session: Session, subscription: Subscription): StateChange[] {
  const { sessionId } = session
  const { filter, qos, fromSequence, createdAt, stream, identifier, isNoLocal, keepsRetain } = subscription
  const { streamId } = stream
  return [
    { table: 'stream', key: streamId, row: { streamId, filter } },
    {
      table: 'subscription',
      key: { sessionId, filter },
      row: { sessionId, filter, streamId, qos, fromSequence, createdAt, identifier, isNoLocal, keepsRetain }
    }
  ]
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
