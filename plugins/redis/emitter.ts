import MQEmitterRedis from 'mqemitter-redis'
import type { RedisAddress } from './address.ts'

/** From the first try to reach a Redis that is away to the next, and at most, in milliseconds. */
const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 2_000

/** So long a connection may take, and its end. */
const CONNECT_TIMEOUT_MS = 5_000
const END_TIMEOUT_MS = 500

/** What the emitter remembers of ids of messages; each comes once anyway, since there is one channel. */
const REMEMBERED_IDS = 1_000

/** A message on its way through Redis. */
export interface Envelope {
  /** The channel of Redis. */
  readonly topic: string
  /** Whose process it came from. */
  readonly from: string
  /** The channel of the bus. */
  readonly channel: string
  readonly bytes: Buffer
}

/** One of the two connections of an emitter. */
export interface RedisConnection {
  readonly status: string
  on(event: 'ready' | 'close' | 'end', listener: () => void): unknown
  on(event: 'messageBuffer', listener: (channel: Buffer, payload: Buffer) => void): unknown
  listeners(event: string): unknown[]
  removeAllListeners(event: string): unknown
  subscribe(channel: string): Promise<unknown>
  disconnect(isReconnecting?: boolean): void
}

/** Publishes and subscribes through Redis, over a connection for each. */
export interface RedisEmitter {
  readonly subConn: RedisConnection
  readonly pubConn: RedisConnection
  readonly state: { on(event: 'error', listener: (error: Error) => void): unknown }
  on(topic: string, listener: (message: object, done: () => void) => void): unknown
  emit(message: Envelope, done: (error?: Error) => void): void
}

/**
 * Connects to a Redis, again and again with back-off while it is away. Nothing waits for a connection that is not there,
 * and what is under way when one breaks is refused, so no queue grows.
 * @param foreign told of what is on our channel and is none of our messages.
 */
export function connectRedis(address: RedisAddress, foreign: (error: unknown) => void): RedisEmitter {
  const { host, port, username, password, hasTls } = address
  const emitter = MQEmitterRedis({
    ...{
      host,
      port,
      ...(username && { username }),
      ...(password && { password }),
      ...(hasTls && { tls: {} })
    },
    ...{
      connectTimeout: CONNECT_TIMEOUT_MS,
      disconnectTimeout: END_TIMEOUT_MS,
      keepAlive: CONNECT_TIMEOUT_MS
    },
    ...{ enableOfflineQueue: false, maxRetriesPerRequest: 0, autoResubscribe: false },
    retryStrategy: retryDelayMs,
    maxLRUCache: REMEMBERED_IDS
  }) as unknown as RedisEmitter
  guard(emitter.subConn, foreign)
  return emitter
}

/** Each wait is up to twice as long as the one before, so that many servers do not come at once. */
function retryDelayMs(attempts: number): number {
  const longest = Math.min(FIRST_RETRY_MS * 2 ** Math.min(attempts, 10), LONGEST_RETRY_MS)
  return Math.ceil(longest * (0.5 + Math.random() / 2))
}

/** The emitter takes everything on the channel for a message of its own kind, and throws out of the connection otherwise. */
function guard(connection: RedisConnection, foreign: (error: unknown) => void): void {
  const handlers = connection.listeners('messageBuffer') as ((channel: Buffer, payload: Buffer) => void)[]
  connection.removeAllListeners('messageBuffer')
  connection.on('messageBuffer', (channel, payload) => {
    try {
      for (const handle of handlers) handle(channel, payload)
    } catch (error) {
      foreign(error)
    }
  })
}
