import type { IClientOptions } from 'mqtt'
import { type BackOffLimits, backOffLimits } from './back-off.ts'
import { invalidOption } from './errors.ts'

/** How to connect, and how to behave when things fail. */
export interface ConnectOptions {
  /** Name of the session. Needed for a durable one; left out: a new name each time. */
  readonly clientId?: string
  /**
   * `durable`: the server keeps subscriptions and messages while the program is away. `clean`: nothing is kept.
   * Default: durable when there is a `clientId`, otherwise clean.
   */
  readonly session?: 'durable' | 'clean'
  /** How long the server keeps a durable session after the connection has ended (MQTT 5). Default: for ever. */
  readonly sessionExpirySeconds?: number
  readonly username?: string
  readonly password?: string
  /**
   * MQTT version: 5, or 4 for 3.1.1. Default 5; a server that answers that it does not know it is spoken to in
   * 3.1.1.
   */
  readonly protocol?: 4 | 5
  /** Default 30. */
  readonly keepAliveSeconds?: number
  /**
   * Most messages that the server sends ahead of their acks (Receive Maximum), for all handlers together: the
   * bound of what waits in memory. Default 100. With MQTT 3.1.1 the server's own limit holds.
   */
  readonly prefetch?: number
  /** How long `open` tries to reach the server. Default 30,000; `Infinity` waits until it is there. */
  readonly openTimeoutMs?: number
  /** How long the server may take to answer a connection. Default 10,000. */
  readonly connackTimeoutMs?: number
  /** Delays between attempts to connect. Default 250 ms to 15 s. */
  readonly reconnect?: Partial<BackOffLimits>
  /** Delays before a rejected message is handled again. Default 1 s to 60 s. */
  readonly retry?: Partial<BackOffLimits>
  /** Options of MQTT.js for what has none here, such as `ca`, `cert`, `key`, `will`, `wsOptions`. */
  readonly mqttOptions?: IClientOptions
}

/** Options with their defaults. */
export interface ConnectPlan {
  readonly url: string
  /** The URL without user and password. */
  readonly shownUrl: string
  readonly clientId: string
  readonly isDurable: boolean
  readonly sessionExpirySeconds: number
  readonly protocol: 4 | 5
  readonly prefetch: number
  readonly openTimeoutMs: number
  readonly reconnect: BackOffLimits
  readonly retry: BackOffLimits
  /** For MQTT.js, without what depends on the version. */
  readonly mqttOptions: IClientOptions
}

/** Session expiry interval of a session that never expires. @see MQTT 5.0 section 3.1.2.11.2 */
export const NEVER_EXPIRES = 0xffff_ffff

const SCHEMES = ['mqtt:', 'mqtts:', 'ws:', 'wss:']

/** Checks options and puts in the defaults. @throws ClientError CLIENT_OPTIONS_INVALID */
export function connectPlan(url: string, options: ConnectOptions): ConnectPlan {
  const { clientId, session = clientId === undefined ? 'clean' : 'durable' } = options
  if (session !== 'durable' && session !== 'clean') {
    throw invalidOption('session', `expected durable or clean, found ${String(session)}`)
  }
  if (session === 'durable' && !clientId) {
    throw invalidOption('clientId', 'a durable session needs one: the server knows the session by it')
  }
  const { protocol = 5 } = options
  if (protocol !== 4 && protocol !== 5)
    throw invalidOption('protocol', `expected 4 (3.1.1) or 5, found ${protocol}`)
  return {
    url,
    shownUrl: shownUrl(url),
    clientId: clientId ?? randomClientId(),
    isDurable: session === 'durable',
    sessionExpirySeconds: integer(options, 'sessionExpirySeconds', 1, NEVER_EXPIRES, NEVER_EXPIRES),
    protocol,
    prefetch: integer(options, 'prefetch', 1, 65_535, 100),
    openTimeoutMs: openTimeout(options),
    reconnect: backOffLimits('reconnect', options.reconnect, { minMs: 250, maxMs: 15_000 }),
    retry: backOffLimits('retry', options.retry, { minMs: 1000, maxMs: 60_000 }),
    mqttOptions: {
      ...options.mqttOptions,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: options.password }),
      keepalive: integer(options, 'keepAliveSeconds', 1, 65_535, 30),
      connectTimeout: integer(options, 'connackTimeoutMs', 1, 2 ** 31 - 1, 10_000)
    }
  }
}

function integer(
  options: ConnectOptions,
  option: 'sessionExpirySeconds' | 'prefetch' | 'keepAliveSeconds' | 'connackTimeoutMs',
  least: number,
  most: number,
  base: number
): number {
  const value = options[option] ?? base
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw invalidOption(option, `expected a whole number from ${least} to ${most}, found ${String(value)}`)
}

function openTimeout({ openTimeoutMs = 30_000 }: ConnectOptions): number {
  if (openTimeoutMs === Number.POSITIVE_INFINITY || (openTimeoutMs > 0 && openTimeoutMs < 2 ** 31))
    return openTimeoutMs
  throw invalidOption(
    'openTimeoutMs',
    `expected milliseconds above 0, or Infinity, found ${String(openTimeoutMs)}`
  )
}

function shownUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed || !SCHEMES.includes(parsed.protocol)) {
    const expected = 'one such as mqtt://localhost:1883 (mqtt, mqtts, ws or wss)'
    throw invalidOption('url', `expected ${expected}, found ${JSON.stringify(url)}`)
  }
  parsed.username = parsed.password = ''
  return parsed.href.replace(/\/$/, '')
}

function randomClientId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8))
  return `restante-${Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')}`
}
