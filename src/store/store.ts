import type { QueueError } from '../errors.ts'
import type { Message } from '../wire/message.ts'
import type { ClusterStore, LaneRow } from './cluster.ts'

/**
 * What a store must do. The core asks nothing else of storage, and every store passes the suite in
 * `test/contract/store.ts`. Three parts, because they fail and forget differently:
 *
 * - the **lane** keeps messages: appended in sequence, never changed, synced before a publisher is acked;
 * - the **state** keeps rows that change: sessions, subscriptions, streams, cursors, retained messages, wills; synced
 *   when asked;
 * - the **notes** keep what was sent and acked since the last checkpoint: appended before bytes leave for a
 *   subscriber, in order, synced when asked. A power cut may take their end, never a piece out of their middle.
 */
export interface Store {
  readonly supports: StoreSupports
  /**
   * Opens, recovers, and answers with all that the core keeps in memory. Called once, before anything else.
   * @throws QueueError QUEUE_DATA_IN_USE, QUEUE_DATA_VERSION, QUEUE_DATA_CORRUPT
   */
  open(): Promise<StoreContents>
  readonly lane: LaneStore
  readonly state: StateStore
  readonly notes: NoteStore
  /** Present when several servers may share it. */
  readonly cluster?: ClusterStore
  /** Largest message that it takes, its packet in bytes; left out: any. */
  readonly maxMessageBytes?: number
  /** Why it cannot be reached at this moment; null or left out while all is well. It comes back by itself. */
  readonly problem?: QueueError | null
  /** Writes out what is pending, marks the stop as clean, releases everything. The core has checkpointed before. */
  close(): Promise<void>
}

/** What a store can do; the contract suite skips what it says it cannot. */
export interface StoreSupports {
  /** Keeps what it took over a restart of the process. */
  readonly isDurable: boolean
}

/**
 * How the server stopped last time: `new` no earlier run; `clean` by close(); `process` killed, but the machine
 * went on, so that what was written is all there; `machine` perhaps a power cut: what was not synced may be gone.
 */
export type LastStop = 'new' | 'clean' | 'process' | 'machine'

/** All a store hands over at open. */
export interface StoreContents {
  readonly lastStop: LastStop
  /** Name of this lane; half of every message id. */
  readonly lane: string
  /** Its number (see `lane.ts`), 0 when left out. */
  readonly laneIndex?: number
  /** Where several servers share the store: all lanes with how far they are handed over here, the own one included. */
  readonly lanes?: readonly LaneRow[]
  /**
   * The next sequence that was certainly never used for another message, as far as the store knows; 1 at first.
   * (With weak `fsync` a lost record may have been delivered: its sequence must not come again.)
   */
  readonly nextSequence: number
  /** Sequences of each stream that are still kept, in ascending order, of all lanes. */
  readonly postings: Iterable<Posting>
  /** Of the kept messages those that expire, ascending. */
  readonly expiries: Iterable<MessageExpiry>
  readonly meta: ReadonlyMap<string, MetaRow>
  readonly streams: readonly StreamRow[]
  readonly sessions: readonly SessionRow[]
  readonly subscriptions: readonly SubscriptionRow[]
  /** Last checkpointed cursor of each session id: opaque bytes of the core. */
  readonly cursors: ReadonlyMap<number, Buffer>
  /** Retained message of each topic: opaque bytes of the core. */
  readonly retained: ReadonlyMap<string, Buffer>
  /**
   * Where several servers share the store: topics whose retained message was cleared not long ago, with the order of what
   * has cleared them. What is older does not count. See {@link CLEARED_KEPT_MS}.
   */
  readonly cleared?: ReadonlyMap<string, RetainedOrder>
  /** Wills by their id: opaque bytes of the core. */
  readonly wills: ReadonlyMap<number, Buffer>
  /** What was accepted on topics, by topic: opaque bytes of the core. */
  readonly topics: ReadonlyMap<string, Buffer>
  /** The notes since the checkpoint, oldest first: each is the bytes given to one append. */
  readonly notes: readonly Buffer[]
}

/** A run of sequences of one stream. */
export interface Posting {
  readonly streamId: number
  readonly sequences: readonly number[] | Float64Array
}

/** When a message expires. */
export interface MessageExpiry {
  readonly sequence: number
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

// ---- lane

/** A message on its way into the lane. */
export interface AppendedMessage {
  readonly message: Message
  readonly streamIds: readonly number[]
  /** Bytes of its record in `buffers`. */
  readonly recordBytes: number
}

/** What is committed together, in sequence order, without a gap inside. */
export interface CommitBatch {
  /** The records in the format of `journal/record.ts`, one behind the other; a record may span no two buffers. */
  readonly buffers: readonly Buffer[]
  readonly bytes: number
  readonly messages: readonly AppendedMessage[]
}

/** A piece of the lane read back. */
export interface LaneBlock {
  /** The piece answers for every sequence from `from` to `to`, both included. */
  readonly from: number
  readonly to: number
  /** The messages in it that are still kept, ascending. A sequence in the range without a message is gone. */
  readonly messages: readonly Message[]
  /** Bytes that keeping this block keeps in memory. */
  readonly bytes: number
}

/** What is still wanted, for the janitor. A record is owed when one of these says so. */
export interface Owed {
  /** Of this stream in a lane, everything above the answer is owed. It answers for every id, also for one not known to anybody. */
  above(streamId: number, lane?: number): number
  /** How far this server has followed the lanes, one sequence of each: above it, all is owed. */
  readonly heads?: readonly number[]
  /** The streams that durable subscriptions here read; with the answers of `above` by lane where they are below the head. */
  readonly streams?: ReadonlyMap<number, ReadonlyMap<number, number>>
  /** Sequences that were sent and not acked, ascending. */
  readonly pending: readonly number[]
}

/** What the janitor did. */
export interface ReleaseReport {
  readonly freedBytes: number
  readonly keptBytes: number
}

/** The part that keeps messages. */
export interface LaneStore {
  /**
   * Makes a batch durable (as the fsync setting says). One call at a time.
   * @throws QueueError QUEUE_STORE_FULL: nothing of the batch is kept, the lane stands as before, a later commit may
   * pass; QUEUE_STORE_FAILED: the lane takes nothing more until it is opened again. Reading goes on in both cases. A
   * store that is away for a while does not throw: the batch stays with it until it is known what became of it.
   */
  commit(batch: CommitBatch): Promise<void>
  /**
   * The block that answers for `sequence`, which is at most the last committed one.
   * @throws QueueError QUEUE_DATA_CORRUPT when it cannot be read.
   */
  read(sequence: number): Promise<LaneBlock>
  /** Frees what is owed to nobody. Works in slices, beside commits and reads; one call at a time. */
  release(owed: Owed): Promise<ReleaseReport>
  /** Bytes that the lane takes on disk (in memory for a store without one). */
  sizeBytes(): number
}

// ---- state

/** A row about the store as a whole. */
export interface MetaRow {
  readonly [key: string]: string | number | boolean | null
}

/**
 * The stream of messages that changed more than the lane when they were accepted (see `delivery/replay.ts`): read back
 * at the next start when no checkpoint came after them. No row and no filter belongs to it.
 */
export const REPLAY_STREAM = 0

/** The meta row of a store that is being filled from another one, and is no use before that is done (see `migrate/`). */
export const FILLING_KEY = 'migration'

/** A distinct filter that some session subscribes to. Ids are never used again. */
export interface StreamRow {
  readonly streamId: number
  readonly filter: string
}

/** A persistent session. A new incarnation (Clean Start) gets a new id. */
export interface SessionRow {
  /** 1 to 2^32 - 1, never used again. */
  readonly sessionId: number
  readonly clientId: string
  readonly createdAt: number
  /** Seconds after the disconnect until it ends; null: never. @see MQTT 5.0 section 3.1.2.11.2 */
  readonly expirySeconds: number | null
  /** When its connection ended; null while connected. */
  readonly disconnectedAt?: number | null
}

/** A subscription of a persistent session. */
export interface SubscriptionRow {
  readonly sessionId: number
  readonly filter: string
  readonly streamId: number
  readonly qos: number
  /** Messages above this sequence belong to it, in the lane of that sequence. */
  readonly fromSequence: number
  /** The same of other lanes; of a lane that is not named, all messages belong to it. */
  readonly fromElsewhere?: readonly number[]
  readonly createdAt: number
  /** Subscription Identifier; 0: none. */
  readonly identifier?: number
  /** Not for messages that its own client publishes. */
  readonly isNoLocal?: boolean
  /** Messages keep the RETAIN flag with which they were published. */
  readonly keepsRetain?: boolean
}

/** One change of one row; `null` deletes it. */
export type StateChange =
  | { readonly table: 'meta'; readonly key: string; readonly row: MetaRow | null }
  | { readonly table: 'stream'; readonly key: number; readonly row: StreamRow | null }
  | { readonly table: 'session'; readonly key: number; readonly row: SessionRow | null }
  | { readonly table: 'subscription'; readonly key: SubscriptionKey; readonly row: SubscriptionRow | null }
  | { readonly table: 'cursor'; readonly key: number; readonly row: Buffer | null }
  | {
      readonly table: 'retained'
      readonly key: string
      readonly row: Buffer | null
      /** Where several servers share the store: the row counts only if the one that is there has a lower order. */
      readonly order?: RetainedOrder
    }
  | {
      readonly table: 'will'
      readonly key: number
      readonly row: Buffer | null
      /** Whose will it is: it goes with the session from one server to another. */
      readonly clientId?: string
    }
  | { readonly table: 'topic'; readonly key: string; readonly row: Buffer | null }

/** Which of two retained messages of a topic is the later one: by time, then by sequence. */
export interface RetainedOrder {
  /** Milliseconds since 1970. */
  readonly acceptedAt: number
  readonly sequence: number
}

/**
 * So many milliseconds it is remembered that a retained message was cleared, where several servers share the store: by
 * then whatever is older was heard of, or taken over from a server that is gone.
 */
export const CLEARED_KEPT_MS = 3_600_000

/** What a subscription is found by. */
export interface SubscriptionKey {
  readonly sessionId: number
  readonly filter: string
}

/** The part that keeps rows. */
export interface StateStore {
  /**
   * Applies all changes or none, in the order of the calls. Calls made while a write is under way are grouped.
   * With `sync` it is on stable storage when the promise resolves, whatever the fsync setting.
   * @throws QueueError QUEUE_STORE_FULL, QUEUE_STORE_FAILED or QUEUE_STORE_AWAY: none of the changes counts.
   */
  write(changes: readonly StateChange[], options: { sync: boolean }): Promise<void>
}

// ---- notes

/** The part that keeps what was sent and acked since the last checkpoint. */
export interface NoteStore {
  /**
   * Appends a note; resolves when it would survive a kill of the process, with `sync` a power cut (it and all before
   * it; where the fsync setting is weak, `sync` is not heeded). One call at a time. A note that cannot be written must
   * not be missing in silence: after a restart `lastStop` is then `machine`.
   */
  append(note: Buffer, options: { sync: boolean }): Promise<void>
  /**
   * Applies a checkpoint: writes the changes with sync, and from then on notes appended before the call are not
   * handed over at open any more; notes appended during and after the call are. It may be called while an append is
   * under way.
   * @param changes asked once, in the turn in which they enter the order of {@link StateStore.write}: rows made
   * earlier could put back what a write in between had changed.
   */
  checkpoint(changes: () => readonly StateChange[]): Promise<void>
  /** Bytes of notes since the last checkpoint. */
  sizeBytes(): number
}
