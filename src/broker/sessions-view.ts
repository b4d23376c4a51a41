import type { Session } from '../delivery/session.ts'
import type { Sessions } from '../delivery/sessions.ts'
import { isDirect } from '../delivery/subscription.ts'
import type { HookSubscription } from './aedes-types.ts'
import type { SessionsView } from './keeping.ts'

/** The sessions as the application may ask for them through `aedes.persistence`. */
export function sessionsView(sessions: Pick<Sessions, 'all' | 'get'>): SessionsView {
  return {
    subscriptionsOf(clientId) {
      const session = sessions.get(clientId)
      return session?.isPersistent ? subscriptionsOf(session) : []
    },
    *persistent() {
      for (const session of sessions.all()) {
        if (!session.isPersistent) continue
        yield { clientId: session.clientId, subscriptions: [...subscriptionsOf(session)].length }
      }
    },
    *subscribersOf(filter) {
      for (const session of sessions.all()) {
        if (session.isPersistent && session.subscriptions.has(filter)) yield session.clientId
      }
    }
  }
}

/** Subscriptions of a session, in the form in which hooks know them. */
export function* subscriptionsOf(session: Session): Iterable<HookSubscription> {
  for (const { filter, qos, isNoLocal, keepsRetain } of session.subscriptions.values()) {
    if (isDirect(filter)) continue
    const options = { rh: undefined, rap: keepsRetain || undefined, nl: isNoLocal || undefined }
    yield { topic: filter, qos: qos as 0 | 1 | 2, ...options }
  }
}
