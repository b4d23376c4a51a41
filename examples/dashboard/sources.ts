import type { Customer } from '../shared/customer.ts'
import { Problem } from '../shared/problem.ts'

/** Where the dashboard asks. */
export interface SourceOptions {
  /** Address of the API server, and a token with the right `customers:read`. */
  readonly apiUrl: string
  readonly token: string
  /** HTTP address of the queue server. */
  readonly queueUrl: string
}

/** Customers as the page needs them: how many, and when the latest were created. */
export interface CountAnswer {
  readonly count: number
  /** The highest number counted: events up to it are in the count. */
  readonly through: number
  /** Time of this server, by which the page sets its own clock. */
  readonly now: string
  readonly recent: readonly { readonly number: number; readonly createdAt: string }[]
}

/** A session that is attached to the queue. */
export interface AttachedSession {
  readonly id: string
  readonly connected: boolean
  /** Since when it is connected, or away; null when that is not known. */
  readonly since: string | null
  /** Messages it has still to receive. */
  readonly backlog: number
  /** Messages it has received and not yet acked. */
  readonly inflight: number
}

/** The part of a session's description that is used. @see plugins/introspection/README.md */
interface Session {
  readonly id: string
  readonly connected: boolean
  readonly queues: readonly string[]
  readonly backlog: number
  readonly inflight: number
  readonly connectedAt: string | null
  readonly disconnectedAt: string | null
}

const HOUR_MS = 3_600_000
const PAGE = 1_000
/** Most pages that are read of one list: beyond that, a dashboard is the wrong means. */
const MOST_PAGES = 5

/** The count, and the customers of the last hour (the last 5,000 at most). @throws Problem 502 */
export async function readCount({ apiUrl, token }: SourceOptions): Promise<CountAnswer> {
  const ask = <T>(path: string) =>
    askJson<T>(new URL(path, apiUrl), 'API server', '--api-url and --token-file', {
      authorization: `Bearer ${token}`
    })
  const { count, through } = await ask<{ count: number; through: number }>('/customers/count')
  const recent: { number: number; createdAt: string }[] = []
  for (let after = through - PAGE; after > -PAGE && recent.length < MOST_PAGES * PAGE; after -= PAGE) {
    const limit = Math.min(PAGE, PAGE + after)
    const page = await ask<{ customers: Customer[] }>(`/customers?after=${Math.max(0, after)}&limit=${limit}`)
    recent.unshift(...page.customers.map(({ number, createdAt }) => ({ number, createdAt })))
    if (Date.parse(recent[0]?.createdAt ?? '') < Date.now() - HOUR_MS) break
  }
  return { count, through, now: new Date().toISOString(), recent }
}

/** Sessions attached to queue `DB`, with how far each is. @throws Problem 502 */
export async function readAttached({ queueUrl }: SourceOptions): Promise<AttachedSession[]> {
  const attached: AttachedSession[] = []
  let cursor: string | null = ''
  for (let page = 0; page < MOST_PAGES && cursor !== null; page++) {
    const url = new URL(`/v1/sessions?limit=${PAGE}`, queueUrl)
    if (cursor) url.searchParams.set('cursor', cursor)
    const answer: { sessions: Session[]; next: string | null } = await askJson(
      url,
      'queue server',
      '--queue-url'
    )
    for (const { id, connected, queues, backlog, inflight, connectedAt, disconnectedAt } of answer.sessions) {
      if (!queues.some(queue => queue === 'DB' || queue === '+' || queue === '#')) continue
      attached.push({ id, connected, since: connected ? connectedAt : disconnectedAt, backlog, inflight })
    }
    cursor = answer.next
  }
  return attached
}

async function askJson<T>(
  url: URL,
  whom: string,
  flags: string,
  headers: Record<string, string> = {}
): Promise<T> {
  let answer: Response
  try {
    answer = await fetch(url, { headers, signal: AbortSignal.timeout(5_000) })
  } catch (error) {
    const { cause = error } = error as Error
    const reason = cause instanceof Error ? cause.message || (cause as { code?: string }).code : cause
    throw new Problem(
      502,
      `the ${whom} at ${url.origin} does not answer (${reason}); is it running? (${flags})`
    )
  }
  if (answer.ok) return (await answer.json()) as T
  const problem = (await answer.json().catch(() => ({}))) as { detail?: string }
  const said = `${answer.status}${problem.detail ? `, ${problem.detail}` : ''}`
  throw new Problem(502, `the ${whom} at ${url.origin} refuses to answer: ${said} (${flags})`)
}
