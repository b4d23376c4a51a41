import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { QueueError } from '../errors.ts'
import { HttpError } from './problem.ts'

/** Whom a server answers that has no users yet: web pages are held off, programs are not concerned. */
export interface GuardOptions {
  /** Names by which the server may be called, besides localhost and addresses; a port is ignored. */
  readonly allowedHosts: readonly string[]
  /** Origins whose pages may call, besides the server's own: scheme, host and port. */
  readonly allowedOrigins: readonly string[]
}

/**
 * Lets a request pass, or throws HttpError QUEUE_HOST_REFUSED (421) or QUEUE_ORIGIN_REFUSED (403).
 *
 * Host: a page of evil.example may let its name point to this machine and is then, to the browser, of the same
 * origin as this server (DNS rebinding); but its requests still carry its name. An address as Host cannot be
 * rebound, so every one is accepted: the server may be reached by addresses that it does not know (a container).
 */
export type RequestGuard = (request: IncomingMessage) => void

/** @throws QueueError QUEUE_CONFIG_INVALID for a host or an origin that is none. */
export function createGuard({ allowedHosts, allowedOrigins }: GuardOptions): RequestGuard {
  const hosts = new Set(['localhost'])
  for (const name of allowedHosts) hosts.add(hostName(name) ?? invalid('allowedHosts', name, 'a host name'))
  const origins = new Set<string>()
  for (const origin of allowedOrigins) {
    origins.add(normalOrigin(origin) ?? invalid('allowedOrigins', origin, 'an origin (https://app.example)'))
  }
  return request => {
    checkHost(request, hosts)
    checkOrigin(request, origins)
  }
}

function checkHost(request: IncomingMessage, hosts: ReadonlySet<string>): void {
  const header = request.headers.host
  if (header === undefined) {
    if (request.httpVersion === '1.0') return // browsers do not speak it
    throw new HttpError('QUEUE_REQUEST_INVALID', 'the request has no Host header (RFC 9112 section 3.2)')
  }
  const name = hostName(header)
  if (name !== null && (isAddress(name) || hosts.has(name))) return
  throw new HttpError(
    'QUEUE_HOST_REFUSED',
    `${JSON.stringify(header)} is not known as a name of this server; if it is one, add it to allowedHosts`
  )
}

function checkOrigin(request: IncomingMessage, origins: ReadonlySet<string>): void {
  const { origin: header, host } = request.headers
  if (header === undefined) return
  const origin = normalOrigin(header)
  if (origin !== null) {
    if (origins.has(origin)) return
    // the scheme is left open: behind a proxy that ends TLS the page is https and the request is not
    if (host !== undefined && origin === normalOrigin(`${origin.slice(0, origin.indexOf('/'))}//${host}`))
      return
  }
  throw new HttpError(
    'QUEUE_ORIGIN_REFUSED',
    `pages of ${JSON.stringify(header)} may not use this server; if they should, add it to allowedOrigins`
  )
}

/** The name in a Host header, lower case, without port and closing dot; null when it is malformed. */
function hostName(header: string): string | null {
  const match = /^(\[[0-9a-f:.]+\]|[^\s:/?#@[\]\\]+)(?::\d{0,5})?$/i.exec(header)
  return match ? match[1]!.toLowerCase().replace(/\.$/, '') : null
}

function isAddress(name: string): boolean {
  return isIP(name.startsWith('[') ? name.slice(1, -1) : name) !== 0
}

/** Scheme, host and port in lower case, without a port that is the scheme's own; null when it is no origin. */
function normalOrigin(text: string): string | null {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\]+$/i.test(text) || !URL.canParse(text)) return null
  const url = new URL(text)
  return `${url.protocol}//${url.host}`
}

function invalid(key: string, value: string, wanted: string): never {
  throw new QueueError('QUEUE_CONFIG_INVALID', {
    detail: { key, origin: 'createHttp', problem: `${JSON.stringify(value)} is not ${wanted}` }
  })
}
