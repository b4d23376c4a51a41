import { QueueError } from '../../src/plugin.ts'

/** Where a Redis is, and who we are there. */
export interface RedisAddress {
  readonly host: string
  readonly port: number
  readonly username: string | undefined
  readonly password: string | undefined
  readonly hasTls: boolean
}

const DEFAULT_PORT = 6379

/** For an address that names no database; the store has the same. */
const DEFAULT_DATABASE = 'restante'

/**
 * Reads `redis://[[user]:password@]host[:port][/number]`, or `rediss:` with TLS. The number is not used: channels are the
 * same in all databases of a Redis.
 * @throws QueueError QUEUE_CONFIG_INVALID; what the address holds is not repeated, there may be a password in it.
 */
export function parseRedisUrl(text: string): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : null
  const login = url && loginOf(url)
  const isKnown =
    /^rediss?:$/.test(url?.protocol ?? '') && /^\/?\d*[?]?$/.test(`${url?.pathname}${url?.search}`)
  if (!login || !isKnown || url.hostname === '' || url.hash !== '') {
    const problem =
      'expected redis://host:port, or redis://user:password@host:port, or rediss: for TLS; special signs of a password are percent-encoded'
    throw new QueueError('QUEUE_CONFIG_INVALID', {
      detail: { key: 'redisUrl', origin: 'configuration', problem }
    })
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    ...login,
    hasTls: url.protocol === 'rediss:'
  }
}

/** Null when it is not percent-encoded as it should be. */
function loginOf({ username, password }: URL): Pick<RedisAddress, 'username' | 'password'> | null {
  try {
    return {
      username: decodeURIComponent(username) || undefined,
      password: decodeURIComponent(password) || undefined
    }
  } catch {
    return null
  }
}

/** The name of the database in an address of a MongoDB. */
export function databaseOf(mongodbUrl: string): string {
  const [, name] = /^mongodb(?:\+srv)?:\/\/[^/?]*(?:\/([^?]*))?/.exec(mongodbUrl) ?? []
  return name || DEFAULT_DATABASE
}
