import { STATUS_CODES } from 'node:http'
import { ERRORS, type ErrorCode, QueueError } from '../errors.ts'

/** An answer for programs and people when a request failed. @see RFC 9457 section 3.1 */
export interface Problem {
  /** Nothing is to be known beyond the status; which failure it was stands in `code`. @see RFC 9457 section 4.2.1 */
  readonly type: 'about:blank'
  /** The name of the status. */
  readonly title: string
  readonly status: number
  /** Text for people. */
  readonly detail: string
  /** For programs: a key of ERRORS or of {@link HTTP_STATUSES}. */
  readonly code: ErrorCode | HttpErrorCode
  /** The path that was asked for. */
  readonly instance: string
}

/** The media type of a {@link Problem}. */
export const PROBLEM_TYPE = 'application/problem+json'

/** Failures that only HTTP knows, with their status (RFC 9110, RFC 6585). The others are in ERRORS. */
export const HTTP_STATUSES = {
  QUEUE_REQUEST_INVALID: ERRORS.QUEUE_REQUEST_INVALID.status,
  QUEUE_ORIGIN_REFUSED: 403,
  QUEUE_METHOD_NOT_ALLOWED: 405,
  QUEUE_REQUEST_TIMEOUT: 408,
  QUEUE_REQUEST_TOO_LARGE: 413,
  QUEUE_MEDIA_TYPE_UNSUPPORTED: 415,
  QUEUE_HOST_REFUSED: 421,
  QUEUE_UPGRADE_REQUIRED: 426,
  QUEUE_HEADERS_TOO_LARGE: 431,
  QUEUE_INTERNAL: 500,
  QUEUE_NOT_READY: 503
} as const

/** A key of {@link HTTP_STATUSES}. */
export type HttpErrorCode = keyof typeof HTTP_STATUSES

/** A failure that only HTTP knows. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly code: HttpErrorCode
  /** Headers that the answer must have, such as Allow. */
  readonly headers: Readonly<Record<string, string>>

  /**
   * @param code a key of {@link HTTP_STATUSES}.
   * @param detail text for whoever asked.
   */
  constructor(code: HttpErrorCode, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail)
    this.code = code
    this.headers = headers
  }

  /** HTTP status to answer with. */
  get status(): number {
    return HTTP_STATUSES[this.code]
  }
}

/**
 * What the caller is told about anything thrown. What is not known to be meant for a caller becomes QUEUE_INTERNAL
 * without its text.
 * @param url target of the request as it came.
 */
export function problemOf(error: unknown, url: string): Problem {
  const { code, status, detail } = describe(error)
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    code,
    instance: pathOf(url)
  }
}

/** The path in the target of a request, still percent-encoded. */
export function pathOf(url: string): string {
  const end = url.search(/[?#]/)
  return end < 0 ? url : url.slice(0, end)
}

function describe(error: unknown): Pick<Problem, 'code' | 'status' | 'detail'> {
  if (error instanceof HttpError) return { code: error.code, status: error.status, detail: error.message }
  // a QueueError of status 500 may name files; whoever runs the server finds it in the log
  if (error instanceof QueueError && error.status !== 500) {
    return { code: error.code, status: error.status, detail: error.message }
  }
  const refused = fastifyRefusal(error)
  if (refused) return refused
  return {
    code: error instanceof QueueError ? error.code : 'QUEUE_INTERNAL',
    status: 500,
    detail: 'the server failed to answer this; its log says more'
  }
}

/** Fastify's own refusals of a request: path, body, media type, schema. Their texts are made for the caller. */
function fastifyRefusal(error: unknown): Pick<Problem, 'code' | 'status' | 'detail'> | null {
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  if (!(error instanceof Error) || typeof code !== 'string' || !code.startsWith('FST_')) return null
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode > 499) return null
  if (code === 'FST_ERR_BAD_URL') {
    return {
      code: 'QUEUE_REQUEST_INVALID',
      status: 400,
      detail: 'the path is not percent-encoded UTF-8 (RFC 3986 section 2.1)'
    }
  }
  const known = (Object.keys(HTTP_STATUSES) as HttpErrorCode[]).find(
    name => HTTP_STATUSES[name] === statusCode
  )
  return { code: known ?? 'QUEUE_REQUEST_INVALID', status: statusCode, detail: error.message }
}
