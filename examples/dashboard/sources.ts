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

/** Who is attached to the queue. */
export interface AttachedAnswer {
  readonly attached: number
  readonly connected: number
  /** The {@link MOST_SESSIONS} with the most to receive, in order of their names. */
  readonly sessions: readonly AttachedSession[]
}

/** What is used of what the queue server tells. @see plugins/introspection/README.md */
interface SessionsAnswer {
  readonly sessions: readonly {
    readonly id: string
    readonly connected: boolean
    readonly backlog: number
    readonly inflight: number
    readonly connectedAt: string | null
    readonly disconnectedAt: string | null
  }[]
}

interface QueuesAnswer {
  readonly queues: readonly {
    readonly queue: string
    readonly attached: number
    readonly connected: number
  }[]
}

const HOUR_MS = 3_600_000
const PAGE = 1_000
/** Customers that are read for the plot at most. */
const MOST_RECENT = 5_000
/** Rows of the table at most. */
const MOST_SESSIONS = 100

/** The count, and the customers of the last hour (the last 5,000 at most). @throws Problem 502 */
export async function readCount({ apiUrl, token }: SourceOptions): Promise<CountAnswer> {
  const ask = <T>(path: string) =>
    askJson<T>(new URL(path, apiUrl), 'API server', '--api-url and --token-file', {
      authorization: `Bearer ${token}`
    })
  const { count, through } = await ask<{ count: number; through: number }>('/customers/count')
  const recent: { number: number; createdAt: string }[] = []
  for (let after = through - PAGE; after > -PAGE && recent.length < MOST_RECENT; after -= PAGE) {
    const limit = Math.min(PAGE, PAGE + after)
    const page = await ask<{ customers: Customer[] }>(`/customers?after=${Math.max(0, after)}&limit=${limit}`)
    recent.unshift(...page.customers.map(({ number, createdAt }) => ({ number, createdAt })))
    if (Date.parse(recent[0]?.createdAt ?? '') < Date.now() - HOUR_MS) break
  }
  return { count, through, now: new Date().toISOString(), recent }
}

/** Who is attached to queue `DB`, and how far each session is. @throws Problem 502 */
export async function readAttached({ queueUrl }: SourceOptions): Promise<AttachedAnswer> {
  const ask = <T>(path: string) => askJson<T>(new URL(path, queueUrl), 'queue server', '--queue-url')
  const [{ queues }, found] = await Promise.all([
    ask<QueuesAnswer>('/v1/queues?prefix=DB&limit=1'), // the shortest name comes first; there may be none yet
    ask<SessionsAnswer>(`/v1/sessions?queue=DB&sort=backlog&limit=${MOST_SESSIONS}`)
  ])
  const sessions = found.sessions.map(({ id, connected, backlog, inflight, connectedAt, disconnectedAt }) => {
    return { id, connected, since: connected ? connectedAt : disconnectedAt, backlog, inflight }
  })
  sessions.sort((one, other) => (one.id < other.id ? -1 : 1))
  const { attached = 0, connected = 0 } = queues.find(({ queue }) => queue === 'DB') ?? {}
  return { attached, connected, sessions }
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
