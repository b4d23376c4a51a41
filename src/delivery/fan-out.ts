import type { Route } from '../routing/router.ts'
import type { Message } from '../wire/message.ts'
import { PUBLISH, RETAIN_BIT } from '../wire/publish.ts'
import type { Outlet } from './outlet.ts'
import type { Session } from './session.ts'
import type { Subscription } from './subscription.ts'
import { PLAIN, type Wanted, wantedBy } from './wanted.ts'

const [PLAIN_0] = PLAIN as [Wanted, ...Wanted[]]

/**
 * Sends messages that no store keeps for the receiver: a QoS 0 publish to all connected subscribers, and a committed
 * one to those with a subscription of QoS 0 only. One copy for each session. @see MQTT 5.0 section 3.3.4
 */
export class FanOut {
  /** Carries publishes of QoS 0 to other servers; null for a server that is alone. */
  elsewhere: ((message: Message) => void) | null = null
  #round = 0
  /** Subscriptions that had QoS 0 when messages up to this sequence were routed. */
  #raised: { readonly subscription: Subscription; readonly through: number }[] = []

  /** Whether there are subscriptions that were raised from QoS 0 a moment ago. */
  get hasRaised(): boolean {
    return this.#raised.length > 0
  }

  /** A subscription does not have QoS 0 any more; messages up to this sequence are still to be committed. */
  raised(subscription: Subscription, through: number): void {
    this.#raised.push({ subscription, through })
  }

  /** A QoS 0 publish. `crowded` is called for each receiver whose socket is filling up. */
  publish(route: Route<Subscription>, message: Message, crowded: (outlet: Outlet) => void): void {
    const round = ++this.#round
    for (const { online } of route.streams) {
      for (const { session } of online) {
        const { outlet } = session
        if (!outlet || session.lastFanOut === round) continue
        session.lastFanOut = round
        send(session, outlet, route, message)
        if (outlet.isCrowded) crowded(outlet)
      }
    }
  }

  /** A committed message, for subscriptions of QoS 0: sessions that get it with QoS 1 or 2 are left out. */
  committed(route: Route<Subscription>, message: Message): void {
    const round = ++this.#round
    for (const { online, online0 } of route.streams) {
      if (online0 === 0) continue
      for (const { session, qos } of online) {
        const { outlet } = session
        if (qos > 0 || !outlet || session.lastFanOut === round) continue
        session.lastFanOut = round
        if (!hasDurable(route, session.subscriptions)) send(session, outlet, route, message)
      }
    }
    if (this.hasRaised) this.#sendRaised(route, message, round)
  }

  #sendRaised(route: Route<Subscription>, message: Message, round: number): void {
    this.#raised = this.#raised.filter(({ through }) => through >= message.sequence)
    for (const { subscription } of this.#raised) {
      const { session, stream } = subscription
      if (!session.outlet || session.lastFanOut === round || !route.streams.includes(stream)) continue
      session.lastFanOut = round
      if (!hasDurable(route, session.subscriptions)) send(session, session.outlet, route, message)
    }
  }
}

function send(session: Session, outlet: Outlet, route: Route<Subscription>, message: Message): void {
  const wanted = session.specials > 0 ? wantedBy(session, route.streams, message) : PLAIN_0
  if (!wanted) return
  const bits = wanted.keepsRetain && message.isRetained ? RETAIN_BIT : 0 // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
  outlet.publishUnacked(message, wanted.identifiers, PUBLISH | bits)
}

function hasDurable(route: Route<Subscription>, own: ReadonlyMap<string, Subscription>): boolean {
  return route.durable.some(({ filter }) => (own.get(filter)?.qos ?? 0) > 0)
}
