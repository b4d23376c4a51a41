import { ANSWER_MS, RefusedError, type Transport } from './transport.ts'

/** Statuses that say that the request itself is wrong. */
const WRONG_REQUEST: ReadonlySet<number> = new Set([400, 410, 413, 422])

/**
 * Posts texts as JSON `{"key", "name", "phone", "text"}` to an address. `Idempotency-Key` has the key as well:
 * a service that keeps keys takes a repetition for what it is.
 */
export function webhookTransport(url: string): Transport {
  return {
    async send({ key, to, body }) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ key, name: to.name, phone: to.phone, text: body }),
        signal: AbortSignal.timeout(ANSWER_MS)
      })
      const answer = await response.text()
      if (response.ok) return
      const problem = `the webhook answered ${response.status}: ${answer.slice(0, 200)}`
      throw WRONG_REQUEST.has(response.status) ? new RefusedError(problem) : new Error(problem)
    }
  }
}
