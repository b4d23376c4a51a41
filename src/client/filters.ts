import type { IClientSubscribeOptions, MqttClient } from 'mqtt'
import { ClientError } from './errors.ts'
import { reasonText } from './reasons.ts'

/** What the filters need of the connection. */
export interface FiltersWire {
  readonly mqtt: MqttClient
  readonly protocol: 4 | 5
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

interface Filter {
  qos: 0 | 1
  /** How many subscriptions of this program use it. */
  users: number
  isConfirmed: boolean
  /** Those that wait until it is confirmed. */
  readonly waiters: Waiter[]
}

/**
 * The filters that the session has at the server. Each is subscribed once on the first connection of the
 * program (an earlier program may have subscribed to others, or with another QoS) and after that only when the
 * server has lost the session. What cannot be said to the server for want of a connection is said on the next
 * one.
 */
export class Filters {
  readonly #wire: FiltersWire
  readonly #filters = new Map<string, Filter>()
  readonly #leaving = new Map<string, Waiter[]>()
  #isReady = false
  #wasReady = false

  constructor(wire: FiltersWire) {
    this.#wire = wire
  }

  /**
   * Adds a filter; resolves when the server has confirmed it, or at once before the first connection.
   * @throws ClientError CLIENT_SUBSCRIBE_REFUSED
   */
  async add(name: string, qos: 0 | 1): Promise<void> {
    const filter = this.#filters.get(name) ?? { qos, users: 0, isConfirmed: false, waiters: [] }
    this.#filters.set(name, filter)
    filter.users += 1
    if (qos > filter.qos) Object.assign(filter, { qos, isConfirmed: false })
    if (!this.#wasReady || filter.isConfirmed) return
    const confirmed = new Promise<void>((resolve, reject) => filter.waiters.push({ resolve, reject }))
    if (this.#isReady) this.#subscribe(name, filter).catch(() => {}) // the waiters are told
    try {
      await confirmed
    } catch (error) {
      this.#release(name, filter)
      throw error
    }
  }

  /** Takes a user of a filter away; with the last one the server ends the subscription. */
  async remove(name: string): Promise<void> {
    const filter = this.#filters.get(name)
    if (filter && this.#release(name, filter)) await this.unsubscribe(name)
  }

  /** Whether a subscription of this program uses the filter. */
  has(name: string): boolean {
    return this.#filters.has(name)
  }

  /** Ends a subscription of the session; resolves when the server has confirmed that. */
  async unsubscribe(name: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const waiters = this.#leaving.get(name) ?? []
      this.#leaving.set(name, waiters)
      waiters.push({ resolve, reject })
      if (this.#isReady) this.#leave(name, waiters)
    })
  }

  /**
   * A connection is there. Resolves when what has to be subscribed is confirmed; rejects with the first
   * refusal.
   */
  async ready(isSessionResumed: boolean): Promise<void> {
    this.#isReady = this.#wasReady = true
    for (const [name, waiters] of this.#leaving) this.#leave(name, waiters)
    const all = [...this.#filters]
    if (!isSessionResumed) for (const [, filter] of all) filter.isConfirmed = false
    const missing = all.filter(([, { isConfirmed }]) => !isConfirmed)
    await Promise.all(missing.map(([name, filter]) => this.#subscribe(name, filter)))
  }

  /** The connection is gone. */
  lost(): void {
    this.#isReady = false
  }

  /** Tells all that wait for an answer that none will come. */
  close(error: ClientError): void {
    const waiters = [...this.#filters.values()].flatMap(filter => filter.waiters.splice(0))
    for (const { reject } of [...waiters, ...[...this.#leaving.values()].flat()]) reject(error)
  }

  async #subscribe(name: string, filter: Filter): Promise<void> {
    const granted = await this.#grant(name, filter.qos)
    if (granted === undefined) return // the connection is gone: the next one subscribes
    const refusal = refusalOf(name, filter.qos, granted)
    const waiters = filter.waiters.splice(0)
    if (refusal) {
      for (const { reject } of waiters) reject(refusal)
      throw refusal
    }
    filter.isConfirmed = true
    for (const { resolve } of waiters) resolve()
  }

  /** The code in SUBACK; undefined when none came. */
  #grant(name: string, qos: 0 | 1): Promise<number | undefined> {
    // rh 1: what is retained comes only if the subscription is new
    const options: IClientSubscribeOptions = this.#wire.protocol === 5 ? { qos, rh: 1 } : { qos }
    return new Promise(resolve => {
      this.#wire.mqtt.subscribe(name, options, (_error, _grants, packet) => {
        resolve(packet?.granted[0] as number | undefined)
      })
    })
  }

  #leave(name: string, waiters: readonly Waiter[]): void {
    this.#wire.mqtt.unsubscribe(name, error => {
      if (error) return // the connection is gone: the next one unsubscribes
      this.#leaving.delete(name)
      for (const { resolve } of waiters) resolve()
    })
  }

  #release(name: string, filter: Filter): boolean {
    filter.users -= 1
    if (filter.users > 0) return false
    this.#filters.delete(name)
    return true
  }
}

function refusalOf(filter: string, qos: 0 | 1, granted: number): ClientError | undefined {
  if (granted <= 2 && granted >= qos) return undefined
  const lower = `the server grants QoS ${granted} only, with which messages may be lost: ask for it with { qos: ${granted} } if that will do`
  const reason = granted >= 0x80 ? reasonText(granted) : lower
  return new ClientError('CLIENT_SUBSCRIBE_REFUSED', { detail: { filter, reason } })
}
