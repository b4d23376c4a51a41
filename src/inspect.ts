import type { Counters } from './delivery/counters.ts'
import type { Retained } from './delivery/retained.ts'
import type { Session } from './delivery/session.ts'
import type { Sessions } from './delivery/sessions.ts'
import { isDirect, type Subscription } from './delivery/subscription.ts'
import type { ClientView, Directory, ServerView, SessionView, SubscriptionView } from './directory.ts'
import type { Connection } from './front/connection.ts'
import type { Front } from './front/front.ts'
import type { Outgoing } from './front/outgoing.ts'
import type { Journal } from './journal/journal.ts'
import type { Router } from './routing/router.ts'
import type { LaneStore } from './store/store.ts'

/** What the read side looks at. */
export interface Inspected {
  readonly front: Front
  readonly sessions: Sessions
  readonly router: Router<Subscription>
  readonly journal: Journal
  readonly lane: LaneStore
  readonly laneName: string
  readonly counters: Counters
  readonly retained: Retained
  readonly startedAt: number
}

/** The read side of a running server. */
export function inspect(inspected: Inspected): Directory {
  const { sessions, router, journal } = inspected
  return {
    *clients() {
      for (const connection of inspected.front.connections) {
        if (connection.session) yield clientView(connection, connection.session)
      }
    },
    client(clientId) {
      const session = sessions.get(clientId)
      const connection = (session?.outlet as Outgoing | null | undefined)?.connection
      return session && connection ? clientView(connection, session) : undefined
    },
    *sessions() {
      for (const session of sessions.all()) yield sessionView(session, journal)
    },
    session(clientId) {
      const session = sessions.get(clientId)
      return session && sessionView(session, journal)
    },
    *topics() {
      for (const counter of router.counters) if (counter.acceptedMessages > 0) yield counter
    },
    server: () => serverView(inspected)
  }
}

function clientView(connection: Connection, session: Session): ClientView {
  const { remoteAddress, remotePort } = connection
  return {
    clientId: connection.clientId,
    address: remoteAddress === undefined ? null : addressText(remoteAddress, remotePort),
    transport: connection.request ? 'websocket' : remoteAddress === undefined ? 'stream' : 'tcp',
    protocolVersion: connection.protocolVersion,
    connectedAt: connection.connectedAt,
    keepAliveSeconds: connection.keepAliveSeconds,
    isPersistent: session.isPersistent && session.expirySeconds !== 0,
    receivedBytes: connection.receivedBytes,
    sentBytes: connection.outgoing.sentBytes,
    droppedMessages: connection.outgoing.droppedMessages
  }
}

function addressText(address: string, port: number | undefined): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}

function sessionView(session: Session, journal: Journal): SessionView {
  return {
    clientId: session.clientId,
    isConnected: session.outlet !== null,
    isPersistent: session.isPersistent && session.expirySeconds !== 0,
    createdAt: session.createdAt,
    connectedAt: session.connectedAt,
    disconnectedAt: session.disconnectedAt,
    state: session.state,
    *subscriptions() {
      for (const subscription of session.subscriptions.values()) {
        if (!isDirect(subscription.filter)) yield subscriptionView(subscription)
      }
    },
    backlog: () => session.backlog(),
    inflight: () => session.inflight.size,
    async oldestAt() {
      const sequence = session.oldestSequence()
      const message = sequence === null ? null : await journal.fetch(sequence)
      return message?.acceptedAt ?? null
    }
  }
}

function subscriptionView({ session, filter, qos, createdAt }: Subscription): SubscriptionView {
  return { clientId: session.clientId, filter, qos, createdAt }
}

function serverView({ journal, lane, laneName, counters, retained, startedAt }: Inspected): ServerView {
  return {
    lane: laneName,
    startedAt,
    headSequence: journal.headSequence,
    storedBytes: lane.sizeBytes(),
    acceptedMessages: counters.acceptedMessages,
    deliveredMessages: counters.deliveredMessages,
    refusedMessages: journal.refused,
    droppedMessages: counters.droppedMessages,
    expiredMessages: counters.expiredMessages,
    retainedMessages: retained.size,
    isAccepting: journal.failure === null
  }
}
