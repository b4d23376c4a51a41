import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/**
 * Whether a request comes from the dashboard's own page, or from a program. Pages of others may not read through this
 * server, nor pages that let their own name point to this machine: so the name it is called by must be known.
 * @param knownHosts names besides localhost and addresses.
 * @returns what is wrong, or undefined.
 */
export function strangeOrigin(request: IncomingMessage, knownHosts: readonly string[]): string | undefined {
  const { host = '', origin } = request.headers
  const name = host.replace(/:\d+$/, '').toLowerCase()
  const isAddress = isIP(name.replace(/^\[|\]$/g, '')) !== 0
  if (!isAddress && name !== 'localhost' && !knownHosts.includes(name)) {
    return `${JSON.stringify(name)} is not known as a name of the dashboard; if it is one, start it with --allowed-hosts ${name}`
  }
  if (origin === undefined || origin === `http://${host}` || origin === `https://${host}`) return undefined
  return `pages of ${origin} may not use the dashboard`
}
