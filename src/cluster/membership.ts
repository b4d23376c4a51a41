import type { Clock } from '../clock.ts'
import type { QueueError } from '../errors.ts'
import { LaneNames } from '../lane-names.ts'
import type { Logger } from '../log.ts'
import type { Bus } from '../store/cluster.ts'
import type { Store, StoreContents } from '../store/store.ts'
import { Calls } from './calls.ts'
import { Member } from './member.ts'

/** This server among others, where the store is shared; alone, there are names of lanes only. */
export interface Membership {
  readonly member: Member | null
  readonly calls: Calls | null
  readonly laneNames: LaneNames
}

/** What a membership is made of. */
export interface MembershipOptions {
  readonly store: Store
  readonly clock: Clock
  readonly log: Logger
  readonly bus?: Bus | null | undefined
  readonly fenced?: ((error: QueueError) => void) | undefined
}

/** Makes what this server needs to be one of several, on what the store has handed over. */
export function membershipOf(options: MembershipOptions, contents: StoreContents): Membership {
  const { store, log, clock, bus = null, fenced = () => {} } = options
  const { lane, laneIndex = 0, lanes = [] } = contents
  const laneNames = new LaneNames()
  for (const row of [...lanes, { lane: laneIndex, name: lane }]) laneNames.add(row)
  const { cluster } = store
  if (!cluster) return { member: null, calls: null, laneNames }
  const calls = new Calls({ cluster, clock })
  const answer: Calls['handle'] = (method, params) => calls.handle(method, params)
  return { member: new Member({ cluster, bus, laneNames, log, clock, answer, fenced }), calls, laneNames }
}
