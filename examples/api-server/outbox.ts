import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '../../src/client/index.ts'
import type { CustomerStore } from './store.ts'

/** What is used of the client of a queue server. */
export type Publisher = Pick<Client, 'publish'>

/** Publishes the events that are pending in the database. */
export interface Outbox {
  /** Says that there may be something new. */
  notify(): void
  /** Stops after what is in hand; waits for that as long as `finishMs`. */
  stop(finishMs: number): Promise<void>
}

const BATCH = 100

/**
 * Announces each customer once it is saved: `DB/CREATE` with the customer, in order of their numbers, one after the
 * other, so that a publish that fails is not overtaken. A customer stops being pending when the queue server has its
 * event. After a crash in between the event comes a second time, with the same id in it. Of several programs on one
 * database one should do this: all of them would publish the same events, and the order would be that of none.
 */
export function startOutbox(store: CustomerStore, publisher: Publisher, retryMs = 1_000): Outbox {
  const stopping = new AbortController()
  let hasNews = true
  let wake = () => {}

  const publishPending = async () => {
    const customers = await store.pending(BATCH)
    for (const customer of customers) {
      if (stopping.signal.aborted) return
      await publisher.publish('DB', 'CREATE', customer)
      await store.published(customer.number)
    }
    if (customers.length > 0) hasNews = true // there may be more than one batch
  }

  const run = async () => {
    while (!stopping.signal.aborted) {
      if (!hasNews) await new Promise<void>(resolve => (wake = resolve))
      hasNews = false
      try {
        await publishPending()
      } catch (error) {
        console.error(`an event was not published and stays pending: ${error}`)
        hasNews = true
        await delay(retryMs, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }

  const done = run()
  return {
    notify() {
      hasNews = true
      wake()
    },
    async stop(finishMs) {
      stopping.abort()
      wake()
      await Promise.race([done, delay(finishMs, undefined, { ref: false })])
    }
  }
}
