import type { Options } from 'yargs'
import { errorText, systemCode } from '../errors.ts'
import { type Arguments, CommandError, EXIT, textArgument } from './command.ts'

/** The option of a command that asks a server over HTTP. */
export const addressOption: Readonly<Record<string, Options>> = {
  http: {
    alias: 'url',
    requiresArg: true,
    describe: 'Address of the server (also RESTANTE_HTTP_URL)',
    defaultDescription: 'http://127.0.0.1:8080'
  }
}

const ANSWER_MS = 30_000
const PAGE_ROWS = 500

/** The server cannot be reached, or cannot answer at this moment: asking again later may help. */
export class ServerAwayError extends CommandError {}

/** What is asked besides the path. */
export interface Asking {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  /** Sent as JSON. */
  readonly body?: object
  /** Ends the waiting for the answer. */
  readonly signal?: AbortSignal | undefined
}

/** A list as far as it was read. */
export interface ReadList<Row> {
  readonly rows: Row[]
  /** Cursor of what was not read; null at the end. */
  readonly next: string | null
  /** Brokers that have not answered: what they have is missing. */
  readonly incomplete: readonly string[]
}

/** The base address that was given, with a slash at its end. @throws CommandError (usage) */
export function httpBase(args: Arguments): URL {
  const text = textArgument(args, 'http') ?? (process.env.RESTANTE_HTTP_URL || 'http://127.0.0.1:8080')
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    const problem = `the server's address: expected one such as http://127.0.0.1:8080, found ${JSON.stringify(text)}`
    throw new CommandError(problem, { exitCode: EXIT.usage })
  }
  return new URL(text.endsWith('/') ? text : `${text}/`)
}

/**
 * Asks for one thing: <method> <base><path>.
 * @param path without a slash at its beginning; ids in it are percent-encoded.
 * @throws CommandError: not found, refused, or not an answer of this server. ServerAwayError: no answer.
 */
export async function askJson(base: URL, path: string, asking: Asking = {}): Promise<object> {
  const url = new URL(path, base)
  const text = (await answerBytes(base, url, asking)).toString()
  const content = text === '' ? {} : parseObject(text)
  if (!content)
    throw new CommandError(`${url.href} answered with something else than JSON: is it a Restante server?`)
  return content
}

/** Asks for bytes: GET <base><path>. @throws as {@link askJson} */
export function askBytes(base: URL, path: string): Promise<Buffer> {
  return answerBytes(base, new URL(path, base), {})
}

/**
 * Reads a list page by page, to its end or to a limit: GET <base>v1/<path>, whose rows are under the key <name>.
 * @param query filters and order, as the server knows them.
 */
export async function readList<Row>(
  base: URL,
  list: { readonly name: string; readonly path: string; readonly query: URLSearchParams },
  { limit = Number.POSITIVE_INFINITY, signal }: { limit?: number; signal?: AbortSignal | undefined } = {}
): Promise<ReadList<Row>> {
  const rows: Row[] = []
  const missing = new Set<string>()
  let next: string | null = null
  do {
    const query = new URLSearchParams(list.query)
    query.set('limit', String(Math.min(PAGE_ROWS, limit - rows.length)))
    if (next !== null) query.set('cursor', next)
    const page = (await askJson(base, `v1/${list.path}?${query}`, { signal })) as Record<string, unknown>
    const found = page[list.name]
    if (!Array.isArray(found)) {
      throw new CommandError(
        `${base.href}v1/${list.path} has no list "${list.name}": is it a Restante server?`
      )
    }
    rows.push(...(found as Row[]))
    for (const broker of (page.incomplete as string[] | undefined) ?? []) missing.add(broker)
    next = typeof page.next === 'string' ? page.next : null
  } while (next !== null && rows.length < limit)
  return { rows, next, incomplete: [...missing] }
}

async function answerBytes(base: URL, url: URL, { method = 'GET', body, signal }: Asking): Promise<Buffer> {
  const timeout = AbortSignal.timeout(ANSWER_MS)
  const headers: Record<string, string> = { accept: 'application/json' }
  if (body) headers['content-type'] = 'application/json'
  try {
    const response = await fetch(url, {
      ...{ method, headers, signal: signal ? AbortSignal.any([timeout, signal]) : timeout },
      ...(body ? { body: JSON.stringify(body) } : {})
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    if (response.ok) return bytes
    const text = refusal(url, response.status, parseObject(bytes.toString()))
    throw response.status >= 500 && response.status !== 501
      ? new ServerAwayError(text)
      : new CommandError(text)
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new ServerAwayError(unreachable(base, error), { cause: error })
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const content: unknown = JSON.parse(text)
    return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function unreachable(base: URL, error: unknown): string {
  const cause = (error as { cause?: unknown }).cause ?? error // fetch says only "fetch failed"
  if (systemCode(cause) === 'ECONNREFUSED') {
    return `nothing listens at ${base.origin}: start a server with "restante start", or name another with --http`
  }
  if (error instanceof Error && error.name === 'TimeoutError') return `${base.origin} did not answer in time`
  return `${base.origin} cannot be reached: ${errorText(cause)}`
}

/** @see RFC 9457 (problem details) */
function refusal(url: URL, status: number, content: Record<string, unknown> | undefined): string {
  const problem = content?.detail ?? content?.title ?? content?.message
  return problem === undefined
    ? `${url.href} answered with HTTP status ${status}`
    : `${problem} (HTTP status ${status})`
}
