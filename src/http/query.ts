import { HttpError } from './problem.ts'

/**
 * Lets a query pass that can be read, so that nothing is ever taken for something else: what is no percent-encoded
 * UTF-8 would otherwise be read as it stands. @see RFC 3986 sections 2.1 and 3.4
 * @throws HttpError QUEUE_REQUEST_INVALID
 */
export function assertQuery(url: string): void {
  const start = url.indexOf('?')
  if (start < 0 || !url.includes('%', start)) return
  try {
    decodeURIComponent(url.slice(start))
  } catch {
    throw new HttpError(
      'QUEUE_REQUEST_INVALID',
      'the query is not percent-encoded UTF-8 (RFC 3986 section 2.1)'
    )
  }
}
