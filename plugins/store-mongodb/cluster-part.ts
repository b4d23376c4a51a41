import type { Clock, ClusterStore, LastStop, Logger, Owed } from '../../src/plugin.ts'
import type { ChangesLog } from './changes-log.ts'
import type { Database } from './database.ts'
import type { Identity } from './identity.ts'
import type { LaneHeads } from './lane-heads.ts'
import type { Patience } from './patience.ts'

/**
 * What the store asks of the part that lives with other brokers (folder `cluster/`), and what it gives to it. The store
 * calls `join` in open, then reads everything; `leave` is the last step of close.
 */
export interface ClusterPart {
  /**
   * Registers this broker under its name, sets lane and incarnation of the identity, and closes what an earlier
   * incarnation has left open (seals its lane, notes and changes unless it had stopped cleanly).
   * @throws QueueError QUEUE_BROKER_NAME_IN_USE, QUEUE_BROKER_NAMES_EXHAUSTED
   */
  join(): Promise<Joined>
  /** The store is open: the last sequence of the own lane is in `heads`. */
  opened?(): void
  /** Something was committed: others can be told. */
  committed?(): void
  /**
   * Called before an insert: when this broker has given no sign of life for so long that others may have taken it for dead,
   * it gives one now, or finds that it is fenced. Otherwise whoever closes its lane might never come to the end of it.
   * @throws the error of the driver
   */
  renew?(): Promise<void>
  /** No sign of life any more: the start has failed after {@link join}, or the store is being closed. */
  abandon?(): void
  /** Marks a clean stop. Everything else is written, `head` and `notesHead` included in what is given. */
  leave(last: { readonly head: number; readonly notesHead: number }): Promise<void>
  /** Given on as `Store.cluster`. */
  readonly cluster?: ClusterStore
  /** What others are owed; without one, nothing is. */
  readonly owedElsewhere?: OwedElsewhere
}

/** What joining has found. */
export interface Joined {
  readonly lastStop: LastStop
  /** Own lane: at least everything up to here was used (from the broker document); LANE start at first. */
  readonly head: number
  readonly notesHead: number
  /** All lanes that have a broker name, the own one included. */
  readonly lanes: readonly { readonly lane: number; readonly name: string; readonly head: number }[]
}

/** What the cluster part is made with. */
export interface ClusterPartOptions {
  readonly database: Database
  readonly identity: Identity
  readonly patience: Patience
  readonly heads: LaneHeads
  /** For taking over: applies what another broker had begun to write. */
  readonly changesLog: ChangesLog
  readonly clock: Clock
  readonly log: Logger
  readonly brokerTimeoutMs: number
  readonly storeTimeoutMs: number
}

/** Makes the cluster part of a store. */
export type MakeClusterPart = (options: ClusterPartOptions) => ClusterPart

/** What other brokers are owed, for freeing. */
export interface OwedElsewhere {
  /**
   * Tells the others what this broker owes, and answers what they do.
   * @returns null when that is not known now: nothing is freed in this round.
   */
  exchange(owed: Owed): Promise<OwedByOthers | null>
  /**
   * Called before the highest document of a lane goes, which then must be known from elsewhere. Left out: it stays.
   */
  raiseHead?(lane: number, head: number): Promise<void>
}

/** What other brokers still want. */
export interface OwedByOthers {
  /**
   * The lanes that this broker is to free: its own, and those of dead brokers that fall to it. Above `through`, not
   * all live brokers have followed: nothing there is freed.
   */
  readonly lanes: readonly { readonly lane: number; readonly through: number }[]
  /** Of this stream in a lane everything above the answer is owed to another; Infinity: nothing. */
  above(streamId: number, lane: number): number
  /** Sequences that others have sent and that are not acked. */
  readonly pending: readonly number[]
}
