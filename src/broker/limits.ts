import type { Aedes } from 'aedes'
import { membersOf } from './aedes-types.ts'

/** Limits that an application has given to its Aedes; null where it has given none. */
export interface AedesLimits {
  readonly connectTimeoutMs: number
  readonly maxTopicLevels: number
  readonly maxPacketBytes: number | null
  readonly maxKeepAliveSeconds: number | null
  readonly receiveMaximum: number | null
  readonly topicAliasMaximum: number | null
  readonly maxSessionExpirySeconds: number | null
}

/** Reads the limits of an Aedes that is not adopted yet. */
export function limitsOf(aedes: Aedes): AedesLimits {
  const members = membersOf(aedes)
  return {
    connectTimeoutMs: members.connectTimeout,
    maxTopicLevels: members.maxTopicLevels,
    maxPacketBytes: members.maximumPacketSize || null,
    maxKeepAliveSeconds: members.keepaliveLimit || null,
    receiveMaximum: members.receiveMaximum || null,
    topicAliasMaximum: members.topicAliasMaximum || null,
    maxSessionExpirySeconds: members.sessionExpiryIntervalLimit || null
  }
}
