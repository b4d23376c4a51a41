import type { Clock } from '../../../src/plugin.ts'
import type { ClusterPartOptions } from '../cluster-part.ts'
import type { Collection } from '../database.ts'
import { type BrokerRecord, brokersOf } from './broker-record.ts'
import { selfOf } from './owner.ts'

const LONGEST_ROUND_MS = 500

/** What every part of the cluster stands on. */
export interface Ground extends ClusterPartOptions {
  readonly brokers: Collection<BrokerRecord>
  /** Milliseconds from one round to the next. */
  readonly roundMs: number
  /** Owner number of this broker, once it has joined. */
  readonly self: number
}

/** The ground of one store. */
export function groundOf(options: ClusterPartOptions): Ground {
  return {
    ...options,
    brokers: brokersOf(options.database),
    roundMs: Math.min(LONGEST_ROUND_MS, options.brokerTimeoutMs / 4),
    get self() {
      return selfOf(options.identity)
    }
  }
}

/** Resolves after so many milliseconds. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise(resolve => {
    clock.after(ms, resolve)
  })
}
