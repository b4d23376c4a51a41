import type { SessionParts, SessionRow, SubscriptionRow } from '../../../src/plugin.ts'
import { double } from '../database.ts'
import type { SubscriptionDocument } from '../documents.ts'
import type { Ground } from './ground.ts'
import { type OwnedSession, raiseCursors, slices } from './session-move.ts'

/** What is stored of sessions, without what only a broker that did not stop cleanly leaves behind. */
export type StoredParts = Pick<SessionParts, 'sessions' | 'subscriptions' | 'cursors'>

/**
 * What is stored of sessions that have just come to this broker, with the epoch that they came with. From then on the
 * one before writes nothing more to their cursors. Claims without a session are left out.
 */
export async function partsOf(ground: Ground, owned: readonly OwnedSession[]): Promise<StoredParts> {
  await raiseCursors(ground, owned)
  const { database, patience } = ground
  const real = owned.filter(({ sessionId }) => sessionId !== 0)
  const subscriptions: SubscriptionRow[] = []
  const cursors = new Map<number, Buffer>()
  for (const part of slices(real.map(({ sessionId }) => double(sessionId)))) {
    const isRead = { isRead: true }
    const ofSessions = { sessionId: { $in: [...part] } }
    const [rows, found] = await Promise.all([
      patience.until(() => database.subscriptions.find(ofSessions).toArray(), isRead),
      patience.until(() => database.cursors.find({ _id: { $in: [...part] } }).toArray(), isRead)
    ])
    subscriptions.push(...rows.map(subscriptionRow))
    for (const { _id, cursor } of found) cursors.set(_id, cursor)
  }
  return { sessions: real.map(sessionRow), subscriptions, cursors }
}

function sessionRow(document: OwnedSession): SessionRow {
  const { _id: clientId, sessionId, createdAt = 0, expirySeconds = null, disconnectedAt = null } = document
  return { sessionId, clientId, createdAt, expirySeconds, disconnectedAt }
}

function subscriptionRow({ _id, epoch, ...row }: SubscriptionDocument): SubscriptionRow {
  return row
}
