import type { Control } from '../control.ts'
import { isQueueError, notFound } from '../errors.ts'
import type { SubscribedFilter } from '../events.ts'
import { brokersAway, type Calls, isAway } from './calls.ts'

type Method = keyof Control

const METHODS: readonly Method[] = ['disconnect', 'endSession', 'subscribe', 'unsubscribe', 'purge']

/** Has another broker do to a client or session that is here what was asked for there. */
export function answerControl(calls: Calls, local: Control): void {
  for (const method of METHODS) {
    const act = local[method].bind(local) as (...args: readonly unknown[]) => unknown
    calls.answer(`control/${method}`, async args => (await act(...(args as readonly unknown[]))) ?? null)
  }
}

/**
 * What may be done to clients and sessions of all brokers: done here when they are here, otherwise by the broker that has
 * them. Where nobody has it and a broker does not answer, that is said: QUEUE_BROKER_AWAY.
 */
export class ClusterControl implements Control {
  readonly #local: Control
  readonly #calls: Calls

  constructor(local: Control, calls: Calls) {
    this.#local = local
    this.#calls = calls
  }

  async disconnect(clientId: string): Promise<void> {
    await this.#do('client', 'disconnect', [clientId])
  }

  async endSession(clientId: string): Promise<number> {
    return (await this.#do('session', 'endSession', [clientId])) as number
  }

  async subscribe(clientId: string, subscriptions: readonly SubscribedFilter[]): Promise<SubscribedFilter[]> {
    return (await this.#do('session', 'subscribe', [clientId, subscriptions])) as SubscribedFilter[]
  }

  async unsubscribe(clientId: string, filters: readonly string[]): Promise<boolean[]> {
    return (await this.#do('session', 'unsubscribe', [clientId, filters])) as boolean[]
  }

  async purge(clientId: string): Promise<number> {
    return (await this.#do('session', 'purge', [clientId])) as number
  }

  async #do(kind: string, method: Method, args: readonly [string, ...unknown[]]): Promise<unknown> {
    try {
      const act = this.#local[method].bind(this.#local) as (...args: readonly unknown[]) => unknown
      return await act(...args)
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
    return await this.#doElsewhere(kind, method, args)
  }

  /** A client id is on one broker; all others find nothing and do nothing. */
  async #doElsewhere(kind: string, method: Method, args: readonly [string, ...unknown[]]): Promise<unknown> {
    const others = this.#calls.others()
    const asked = others.map(broker => this.#calls.ask(broker, `control/${method}`, args))
    const found = await Promise.allSettled(asked)
    const away: string[] = []
    let failure: unknown
    for (const [i, one] of found.entries()) {
      if (one.status === 'fulfilled') return one.value
      if (isAway(one.reason)) away.push(others[i]!)
      else if (!isNotFound(one.reason)) failure = one.reason
    }
    if (failure) throw failure
    if (away.length > 0) throw brokersAway(away)
    throw notFound(kind, args[0])
  }
}

function isNotFound(error: unknown): boolean {
  return isQueueError(error) && error.code === 'QUEUE_NOT_FOUND'
}
