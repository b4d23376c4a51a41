import type { Clock } from '../clock.ts'
import { countClaims } from '../delivery/backlog.ts'
import type { Counters } from '../delivery/counters.ts'
import type { Expiry } from '../delivery/expiry.ts'
import type { QueueIndex } from '../delivery/queue-index.ts'
import type { Retained } from '../delivery/retained.ts'
import type { Session } from '../delivery/session.ts'
import type { Sessions } from '../delivery/sessions.ts'
import { isDirect, type Subscription } from '../delivery/subscription.ts'
import { inTurns } from '../delivery/turns.ts'
import type { ClientView, Directory, ServerView, SessionView, SubscriptionView } from '../directory.ts'
import type { Connection } from '../front/connection.ts'
import type { Front } from '../front/front.ts'
import { addressOf, transportOf } from '../front/peer.ts'
import type { Journal } from '../journal/journal.ts'
import { inLane } from '../lane.ts'
import type { Router } from '../routing/router.ts'
import type { LaneStore } from '../store/store.ts'
import { connectionOf } from './steer.ts'

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
  readonly expiry: Expiry
  readonly queueIndex: QueueIndex
  readonly clock: Clock
  readonly startedAt: number
}

/** The read side of a running server. */
export function inspect(inspected: Inspected): Directory {
  const { sessions, router, clock } = inspected
  return {
    *clients() {
      for (const connection of inspected.front.connections) {
        if (connection.session) yield clientView(connection, connection.session)
      }
    },
    client(clientId) {
      const session = sessions.get(clientId)
      const connection = connectionOf(session)
      return session && connection ? clientView(connection, session) : undefined
    },
    *sessions() {
      for (const session of sessions.all()) yield sessionView(session, inspected)
    },
    session(clientId) {
      const session = sessions.get(clientId)
      return session && sessionView(session, inspected)
    },
    *topics() {
      const now = clock.now()
      for (const counter of router.counters.all()) {
        const { topic, acceptedMessages, lastAcceptedAt } = counter
        if (acceptedMessages === 0) continue
        yield { topic, acceptedMessages, lastAcceptedAt, recentMessages: counter.recent(now) }
      }
    },
    server: () => serverView(inspected)
  }
}

function clientView(connection: Connection, session: Session): ClientView {
  const { outgoing, inbound } = connection
  return {
    clientId: connection.clientId,
    username: connection.connect?.username ?? null,
    address: addressOf(connection),
    transport: transportOf(connection),
    protocolVersion: connection.protocolVersion,
    connectedAt: connection.connectedAt,
    keepAliveSeconds: connection.keepAliveSeconds,
    isPersistent: session.isPersistent && session.expirySeconds !== 0,
    lastActivityAt: connection.lastActivityAt,
    receivedBytes: connection.receivedBytes,
    sentBytes: outgoing.sentBytes,
    receivedMessages: inbound.receivedMessages,
    sentMessages: outgoing.sentMessages,
    droppedMessages: outgoing.droppedMessages
  }
}

function sessionView(session: Session, inspected: Inspected): SessionView {
  const { expirySeconds, disconnectedAt } = session
  const isEnding = disconnectedAt !== null && expirySeconds !== null
  return {
    clientId: session.clientId,
    isConnected: session.outlet !== null,
    isPersistent: session.isPersistent && expirySeconds !== 0,
    createdAt: session.createdAt,
    connectedAt: session.connectedAt,
    disconnectedAt,
    lastActivityAt: connectionOf(session)?.lastActivityAt ?? disconnectedAt,
    expirySeconds,
    expiresAt: isEnding ? disconnectedAt + expirySeconds * 1_000 : null,
    state: session.state,
    *subscriptions() {
      for (const subscription of session.subscriptions.values()) {
        if (!isDirect(subscription.filter)) yield subscriptionView(subscription)
      }
    },
    backlog: queue => backlog(session, inspected, queue),
    inflight: () => session.inflight.size,
    oldestAt: () => oldestAt(session, inspected)
  }
}

async function backlog(session: Session, inspected: Inspected, queue: string | undefined): Promise<number> {
  const { expiry, queueIndex } = inspected
  const claims = queue === undefined ? null : await queueIndex.claims(session, queue)
  await inTurns(expiry.settle())
  return await inTurns(countClaims(claims ?? session.claims()))
}

/** Of what is queued, the first message that has not expired. */
async function oldestAt(session: Session, { journal, expiry }: Inspected): Promise<number | null> {
  await inTurns(expiry.settle())
  const sequence = session.oldestSequence()
  const message = sequence === null ? null : await journal.fetch(sequence)
  return message?.acceptedAt ?? null
}

function subscriptionView({ session, filter, qos, createdAt }: Subscription): SubscriptionView {
  return { clientId: session.clientId, filter, qos, createdAt }
}

function serverView(inspected: Inspected): ServerView {
  const { journal, lane, laneName, counters, retained, startedAt, clock, sessions, front } = inspected
  const { expired, ...others } = counters.dropped
  return {
    lane: laneName,
    startedAt,
    headSequence: inLane(journal.headSequence),
    storedBytes: lane.sizeBytes(),
    acceptedMessages: counters.acceptedMessages,
    deliveredMessages: sum(counters.sent),
    refusedMessages: journal.refused,
    droppedMessages: sum(Object.values(others)),
    expiredMessages: expired,
    drops: { ...counters.dropped },
    receivedByQos: [...counters.received],
    sentByQos: [...counters.sent],
    receivedBytes: counters.receivedBytes,
    sentBytes: counters.sentBytes,
    connections: counters.connections,
    connectedClients: front.connectedClients,
    ...sessions.totals(),
    recentMessages: counters.recent.count(clock.now()),
    retainedMessages: retained.size,
    isAccepting: journal.failure === null
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
