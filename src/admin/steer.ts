import type { Broker } from '../broker/broker.ts'
import type { Control } from '../control.ts'
import type { Session } from '../delivery/session.ts'
import type { Sessions } from '../delivery/sessions.ts'
import { isDirect, type Subscription } from '../delivery/subscription.ts'
import { notFound, QueueError } from '../errors.ts'
import type { Events, SubscribedFilter } from '../events.ts'
import type { Connection } from '../front/connection.ts'
import type { Outgoing } from '../front/outgoing.ts'
import type { Router } from '../routing/router.ts'
import { assertFilter } from '../topic.ts'

/** What is steered. */
export interface Steered {
  readonly sessions: Sessions
  readonly router: Router<Subscription>
  readonly events: Events
  readonly broker: Broker
}

/** Reason codes up to this one grant a subscription. */
const HIGHEST_QOS = 2

/** The hands of whoever administers the server. */
export class Steering implements Control {
  readonly #steered: Steered

  constructor(steered: Steered) {
    this.#steered = steered
  }

  disconnect(clientId: string): void {
    const connection = connectionOf(this.#steered.sessions.get(clientId))
    if (!connection) throw notFound('client', clientId)
    connection.fail(new QueueError('QUEUE_DISCONNECTED'))
  }

  async endSession(clientId: string): Promise<number> {
    const session = this.#session(clientId)
    const owed = session.countOwed()
    // its client may be back before the end is stored
    while (!session.isEnded) {
      connectionOf(session)?.fail(new QueueError('QUEUE_DISCONNECTED'))
      await this.#steered.sessions.end(session, 'ended')
    }
    return owed
  }

  async subscribe(clientId: string, subscriptions: readonly SubscribedFilter[]): Promise<SubscribedFilter[]> {
    const session = this.#session(clientId)
    for (const { filter } of subscriptions) this.#assertGrantable(filter)
    const connection = connectionOf(session)
    if (!connection) return await this.#subscribeAbsent(session, subscriptions)
    const asked = subscriptions.map(({ filter, qos }) => ({ topic: filter, qos: qos as 0 | 1 | 2 }))
    const codes = await connection.port.subscribe(asked, null)
    return subscriptions.flatMap(({ filter }, i) =>
      codes[i]! <= HIGHEST_QOS ? [{ filter, qos: codes[i]! }] : []
    )
  }

  async unsubscribe(clientId: string, filters: readonly string[]): Promise<boolean[]> {
    const session = this.#session(clientId)
    const own = filters.map(filter => (isDirect(filter) ? '' : filter)) // that one is not the client's
    const found = await this.#steered.sessions.unsubscribe(session, own)
    const gone = filters.filter((_, i) => found[i])
    const connection = connectionOf(session)
    if (gone.length === 0) return found
    if (connection) this.#steered.broker.events.unsubscribed(connection.client, gone)
    else this.#steered.events.tell('unsubscribed', { clientId, filters: gone })
    return found
  }

  async purge(clientId: string): Promise<number> {
    return await this.#steered.sessions.purge(this.#session(clientId))
  }

  async #subscribeAbsent(
    session: Session,
    subscriptions: readonly SubscribedFilter[]
  ): Promise<SubscribedFilter[]> {
    // the last of equal filters counts
    const wanted = new Map(subscriptions.map(one => [one.filter, one]))
    const plain = { identifier: 0, isNoLocal: false, keepsRetain: false }
    const requests = [...wanted.values()].map(({ filter, qos }) => ({ filter, qos, ...plain }))
    await this.#steered.sessions.subscribe(session, requests)
    const granted = requests.map(({ filter, qos }) => ({ filter, qos }))
    this.#steered.events.tell('subscribed', { clientId: session.clientId, subscriptions: granted })
    return granted
  }

  #assertGrantable(filter: string): void {
    assertFilter(filter, this.#steered.router.maxTopicLevels)
    const isShared = filter.startsWith('$share/')
    if (!isShared && !isDirect(filter)) return
    const problem = isShared ? 'shared subscriptions are not supported' : 'this filter is the server’s own'
    throw new QueueError('QUEUE_FILTER_INVALID', { detail: { filter: JSON.stringify(filter), problem } })
  }

  #session(clientId: string): Session {
    const session = this.#steered.sessions.get(clientId)
    if (!session) throw notFound('session', clientId)
    return session
  }
}

/** The connection that a session is served on. */
export function connectionOf(session: Session | undefined): Connection | undefined {
  return (session?.outlet as Outgoing | null | undefined)?.connection
}
