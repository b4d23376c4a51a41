import type { IPublishPacket } from 'mqtt-packet'
import type { ExactPublish } from './exact-client.ts'

/** A message, and what is known of its acceptance. Times are numbers that only grow. */
export interface ModelMessage extends ExactPublish {
  /** Client that published it, and the place among its messages. */
  readonly publisher: string
  readonly place: number
  readonly sentAt: number
  /** Sent when nothing else went on. */
  readonly isCalm: boolean
  /** When its acceptance was known; Infinity until then. */
  acceptedAt: number
  /** With QoS 1 each may be accepted for itself. */
  sends: number
  isRefused: boolean
}

/** A subscription with its options. */
export interface ModelSubscription {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  /** 0: none. */
  readonly identifier: number
  readonly isNoLocal: boolean
  readonly keepsRetain: boolean
  readonly retainHandling: 0 | 1 | 2
}

/** One delivery: a message for a session. */
interface Row {
  readonly message: ModelMessage
  /** Filters of QoS 1 or 2 that claim it. */
  readonly claims: Set<string>
  /** It must come. */
  isOwed: boolean
  /** It may come because of a subscription, and so often because of SUBSCRIBE packets (retained). */
  isWanted: boolean
  feeds: number
  /** Comings that say nothing: refused by the client, or forgotten with an unsynced note. */
  extra: number
  /** QoS with which it may come. */
  readonly qos: Set<number>
  /** No subscription that matches it has changed since it was sent. */
  isStable: boolean
  /** It goes with QoS 0 to a client that is connected. */
  isLive: boolean
  count: number
  lowestQos: number
  isDone: boolean
  /** Done with, and the server may not know. */
  isUncertain: boolean
  mayRepeat: boolean
  mayBeDup: boolean
}

/** What a client has, and what the server owes it: one row for each message, nothing clever. */
export class ModelSession {
  readonly name: string
  readonly subscriptions = new Map<string, ModelSubscription>()
  isOnline = false
  /** Cut off without a word: the server goes on sending. */
  isCut = false
  readonly #broken: (text: string) => void
  readonly #rows = new Map<ModelMessage, Row>()
  readonly #byPayload = new Map<string, Row>()
  /** Retained messages that SUBSCRIBE packets asked for and that must still come, by filter. */
  readonly #feeds = new Map<string, Set<ModelMessage>>()
  /** The latest time and the highest places of what came first in its order. */
  #latestSentAt = 0
  readonly #highest = new Map<string, number>()
  #hadPowerCut = false

  constructor(name: string, broken: (text: string) => void) {
    this.name = name
    this.#broken = text => broken(`${name}: ${text}`)
  }

  /** A message is on its way to the server. */
  sent(message: ModelMessage): void {
    if (message.isRetained) this.#replaced(message)
    if (message.payload === '') return // one clear is like another
    const row = this.#row(message)
    for (const { filter, qos } of this.subscriptions.values()) {
      if (qos > 0 && message.qos > 0 && matches(filter, message.topic)) row.claims.add(filter)
    }
    row.isStable = true
    row.mayBeDup = this.isCut
    const qos = this.#look(row)
    row.isOwed = qos > 0
    row.isLive = this.isOnline && qos === 0 && message.isCalm && row.claims.size === 0
  }

  /** Whether a message must come at once if it ever comes: QoS 0, and the client is connected. */
  isDueNow(message: ModelMessage): boolean {
    const row = this.#rows.get(message)
    return row?.isLive === true && row.isStable && row.count === 0
  }

  /** It will not come any more because of what was sent: the server has refused it, or nobody repeats it. */
  refused(message: ModelMessage, isCertain: boolean): void {
    const row = this.#rows.get(message)
    if (!row) return
    row.isOwed = false
    if (!isCertain) return
    row.isWanted = false
    if (row.count > row.feeds) this.#broken(`${message.payload} came and was refused`)
  }

  /**
   * SUBACK has come.
   * @param retained what may be retained, by topic: certain when there is one.
   * @param unresolved messages whose acceptance is not known.
   */
  subscribed(
    subscription: ModelSubscription,
    retained: ReadonlyMap<string, ReadonlySet<ModelMessage | null>>,
    unresolved: readonly ModelMessage[]
  ): void {
    const { filter, qos, retainHandling } = subscription
    const old = this.subscriptions.get(filter)
    this.subscriptions.set(filter, subscription)
    this.#changed(filter, qos > 0, unresolved)
    this.#feeds.delete(filter)
    if (retainHandling === 2 || (retainHandling === 1 && old)) return
    const feed = new Set<ModelMessage>()
    for (const [topic, values] of retained) {
      if (!matches(filter, topic)) continue
      for (const message of values) {
        if (!message || (subscription.isNoLocal && message.publisher === this.name)) continue
        const row = this.#row(message)
        row.feeds++
        row.qos.add(Math.min(message.qos, qos))
        if (values.size === 1) feed.add(message)
      }
    }
    this.#feeds.set(filter, feed)
  }

  /** UNSUBACK has come. */
  unsubscribed(filter: string): void {
    if (!this.subscriptions.delete(filter)) return
    this.#changed(filter, false, [])
    this.#feeds.delete(filter)
  }

  /** A PUBLISH has come; not new: its QoS 2 exchange goes on. */
  arrived(packet: IPublishPacket, isNew: boolean): void {
    const payload = packet.payload.toString()
    if (payload === '') return // it clears what is retained
    const row = this.#byPayload.get(payload)
    if (!row) {
      this.#broken(`${payload} is not for it`)
      return
    }
    if (!row.qos.has(packet.qos)) this.#broken(`${payload} came with QoS ${packet.qos}`)
    if (!isNew || (packet.qos === 1 && row.count > 0 && packet.dup)) {
      this.#again(row)
      return
    }
    if (packet.qos === 2 && row.lowestQos < 2 && this.#hadPowerCut) row.extra++
    const isDoubtful = row.mayBeDup || row.extra > 0 || (this.#hadPowerCut && packet.qos === 1)
    if (packet.dup && !isDoubtful) {
      this.#broken(`${payload} came first with DUP`)
    }
    row.count++
    row.lowestQos = Math.min(row.lowestQos, packet.qos)
    if (row.count > this.#most(row)) this.#broken(`${payload} came ${row.count} times with QoS ${packet.qos}`)
    if (row.count === 1) this.#first(row, packet)
    if (packet.retain) for (const feed of this.#feeds.values()) feed.delete(row.message)
  }

  /** The client is done with a message. */
  done(payload: string, isRefused: boolean): void {
    const row = this.#byPayload.get(payload)
    if (!row) return
    row.isDone = true
    row.isUncertain = true
    if (isRefused) row.extra = Number.POSITIVE_INFINITY
  }

  /** The server has heard all that was said, and a checkpoint was made. */
  settled(): void {
    for (const row of this.#rows.values()) row.isUncertain = false
  }

  /** The connection has ended; `mayMiss`: what was said last may not have been heard. */
  left(mayMiss: boolean): void {
    this.isOnline = false
    for (const [filter, feed] of this.#feeds) {
      const isKept = this.subscriptions.get(filter)!.qos > 0
      for (const message of feed) if (!isKept || message.qos === 0) feed.delete(message)
    }
    for (const row of this.#rows.values()) {
      row.isLive = false
      if (row.count === 0 || row.feeds > 0) row.mayBeDup = true
      if (mayMiss && row.isUncertain) row.mayRepeat = true
    }
  }

  /** The server was killed. */
  crashed(isPowerCut: boolean): void {
    this.left(true)
    this.isCut = false
    this.#hadPowerCut ||= isPowerCut
    this.#feeds.clear()
    // what went out with QoS 0 was not noted
    for (const row of this.#rows.values()) if (row.lowestQos === 0) row.extra++
  }

  /** All has come that will come. */
  finish(): void {
    for (const { message, isOwed, count } of this.#rows.values()) {
      if (isOwed && count === 0) this.#broken(`${message.payload} (QoS ${message.qos}) did not come`)
    }
    for (const [filter, feed] of this.#feeds) {
      for (const { payload } of feed) this.#broken(`${payload}, retained, did not come for ${filter}`)
    }
  }

  #row(message: ModelMessage): Row {
    let row = this.#rows.get(message)
    if (!row) {
      row = {
        ...{ message, claims: new Set<string>(), isOwed: false, isWanted: false, feeds: 0, extra: 0 },
        ...{ qos: new Set<number>(), isStable: false, isLive: false, count: 0, lowestQos: 2, isDone: false },
        ...{ isUncertain: false, mayRepeat: false, mayBeDup: false }
      }
      this.#rows.set(message, row)
      this.#byPayload.set(message.payload, row)
    }
    return row
  }

  /** Effective QoS by the subscriptions of now; -1 when none of them wants it. */
  #look(row: Row): number {
    const { message, claims } = row
    let qos = -1
    for (const subscription of this.#wanting(message)) {
      const isFor = subscription.qos === 0 || message.qos === 0 || claims.has(subscription.filter)
      if (isFor) qos = Math.max(qos, Math.min(subscription.qos, message.qos))
    }
    if (qos >= 0) {
      row.isWanted = true
      row.qos.add(qos)
    }
    return qos
  }

  #wanting(message: ModelMessage): ModelSubscription[] {
    return [...this.subscriptions.values()].filter(
      ({ filter, isNoLocal }) =>
        matches(filter, message.topic) && !(isNoLocal && message.publisher === this.name)
    )
  }

  #changed(filter: string, isDurable: boolean, unresolved: readonly ModelMessage[]): void {
    for (const message of unresolved) {
      if (message.payload !== '' && matches(filter, message.topic)) this.#row(message)
    }
    for (const row of this.#rows.values()) {
      if (!matches(filter, row.message.topic)) continue
      row.isStable = false
      if (!isDurable) row.claims.delete(filter)
      else if (unresolved.includes(row.message)) row.claims.add(filter)
      const isOver = row.claims.size === 0 && !unresolved.includes(row.message)
      if (isOver || this.#look(row) <= 0) row.isOwed = false
    }
  }

  /** Another retained message takes the place of those that were still to be sent; the subscription itself brings it. */
  #replaced(message: ModelMessage): void {
    for (const feed of this.#feeds.values()) {
      for (const other of feed) if (other.topic === message.topic) feed.delete(other)
    }
  }

  #most({ message, isWanted, feeds, extra }: Row): number {
    const live = !isWanted ? 0 : message.qos === 2 ? 1 : message.sends
    return live + feeds + extra
  }

  #again(row: Row): void {
    const { message, isDone, mayRepeat, feeds } = row
    if (!isDone || mayRepeat || this.#hadPowerCut || feeds > 0 || message.sends > 1) return
    this.#broken(`${message.payload} came again after it was acked`)
  }

  #first(row: Row, { qos, retain, properties }: IPublishPacket): void {
    const { message, isStable, feeds } = row
    if (isStable && feeds === 0) {
      const wanting = this.#wanting(message)
      const keeps = message.isRetained && wanting.some(({ keepsRetain }) => keepsRetain)
      if (retain !== keeps) this.#broken(`${message.payload} came with RETAIN ${retain}`)
      const asked = wanting.map(({ identifier }) => identifier).filter(identifier => identifier > 0)
      const given = [properties?.subscriptionIdentifier ?? []].flat()
      if (`${asked.sort()}` !== `${given.sort()}`)
        this.#broken(`${message.payload} came with identifiers ${given}, not ${asked}`)
    }
    if (qos > 0 && !retain) this.#checkOrder(message)
  }

  #checkOrder({ payload, publisher, place, sends, sentAt, acceptedAt }: ModelMessage): void {
    if (acceptedAt < this.#latestSentAt) this.#broken(`${payload} came too late`)
    this.#latestSentAt = Math.max(this.#latestSentAt, sentAt)
    if (sends > 1) return
    const highest = this.#highest.get(publisher) ?? -1
    if (place < highest) this.#broken(`${payload} came behind a later one of ${publisher}`)
    this.#highest.set(publisher, Math.max(highest, place))
  }
}

/** Whether a topic matches one of the filters of these tests. */
export function matches(filter: string, topic: string): boolean {
  if (filter === '#') return true
  if (filter === '+') return !topic.includes('/')
  if (filter.endsWith('/#')) return topic === filter.slice(0, -2) || topic.startsWith(filter.slice(0, -1))
  return filter === topic
}
