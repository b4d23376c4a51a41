import type { Aedes } from 'aedes'
import { membersOf } from './aedes-types.ts'

/** Limits that an application has given to its Aedes. */
export interface AedesLimits {
  readonly connectTimeoutMs: number
  readonly maxTopicLevels: number
  /** Null: none. */
  readonly maxPacketBytes: number | null
  /** Longest keep alive that a client may ask for; null: none. */
  readonly maxKeepAliveSeconds: number | null
}

/** Reads the limits of an Aedes that is not adopted yet. */
export function limitsOf(aedes: Aedes): AedesLimits {
  const { connectTimeout, maxTopicLevels, maximumPacketSize, keepaliveLimit } = membersOf(aedes)
  return {
    connectTimeoutMs: connectTimeout,
    maxTopicLevels,
    maxPacketBytes: maximumPacketSize || null,
    maxKeepAliveSeconds: keepaliveLimit || null
  }
}
