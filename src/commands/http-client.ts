import type { Options } from 'yargs'
import { errorText, systemCode } from '../errors.ts'
import { type Arguments, CommandError, EXIT, textArgument } from './command.ts'

/** The options of a command that reads from a server over HTTP. */
export const httpOptions: Readonly<Record<string, Options>> = {
  http: {
    alias: 'url',
    requiresArg: true,
    describe: 'Address of the server (also RESTANTE_HTTP_URL)',
    defaultDescription: 'http://127.0.0.1:8080'
  },
  json: { type: 'boolean', describe: 'Print the answer of the server as JSON' }
}

const ANSWER_MS = 30_000
const PAGE_ROWS = 500

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
 * Reads one thing: GET <base><path>.
 * @param path without a slash at its beginning; ids in it are percent-encoded.
 * @throws CommandError: not reachable, not found, or not an answer of this server.
 */
export async function getOne(base: URL, path: string): Promise<object> {
  const url = new URL(path, base)
  const signal = AbortSignal.timeout(ANSWER_MS)
  const response = await fetch(url, { signal, headers: { accept: 'application/json' } }).catch(error => {
    throw new CommandError(unreachable(base, error), { cause: error })
  })
  const text = await response.text()
  const content = parseObject(text)
  if (!response.ok) throw new CommandError(refusal(url, response.status, content))
  if (!content)
    throw new CommandError(`${url.href} answered with something else than JSON: is it a Restante server?`)
  return content
}

/** Reads a list to its end, page by page: GET <base>v1/<name>, whose rows are under the key <name>. */
export async function getList<Row>(base: URL, name: string): Promise<Row[]> {
  const rows: Row[] = []
  let cursor: string | null = null
  do {
    const query = new URLSearchParams({ limit: String(PAGE_ROWS), ...(cursor === null ? {} : { cursor }) })
    const page = (await getOne(base, `v1/${name}?${query}`)) as Record<string, unknown>
    if (!Array.isArray(page[name])) {
      throw new CommandError(`${base.href}v1/${name} has no list "${name}": is it a Restante server?`)
    }
    rows.push(...(page[name] as Row[]))
    cursor = typeof page.next === 'string' ? page.next : null
  } while (cursor !== null)
  return rows
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
