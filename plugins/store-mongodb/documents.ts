import type { MetaRow, SubscriptionRow } from '../../src/plugin.ts'

/**
 * The documents of the collections, all of whose names begin with `restante_`. Numbers that serve as `_id`, and all that
 * may exceed 32 bits, are kept as doubles (see `double` in `database.ts`). Rule for changing them: what is
 * written here is read by every later version; a new field is optional, and FORMAT_VERSION grows with what an older
 * server must not touch.
 */
export const FORMAT_VERSION = 1

/** Names of the collections. */
export const COLLECTIONS = {
  brokers: 'restante_brokers',
  messages: 'restante_messages',
  notes: 'restante_notes',
  changes: 'restante_changes',
  streams: 'restante_streams',
  sessions: 'restante_sessions',
  cursors: 'restante_cursors',
  subscriptions: 'restante_subscriptions',
  retained: 'restante_retained',
  wills: 'restante_wills',
  meta: 'restante_meta',
  topics: 'restante_topics',
  owed: 'restante_owed',
  calls: 'restante_calls'
} as const

/** A broker name, its lane, and whether it lives. */
export interface BrokerDocument {
  /** The name. */
  readonly _id: string
  readonly lane: number
  /** Grows with every start under this name. */
  readonly incarnation: number
  readonly state: 'live' | 'stopped' | 'dead'
  /** A counter: whoever sees it grow knows that the broker lives. */
  readonly heartbeat: number
  /** Its newest message, as it said last; its lane goes on above it, also when no message is left. */
  readonly head: number
  /** The same of its notes: the last number that was used. */
  readonly notesHead: number
  /** Milliseconds since 1970, on its own clock. */
  readonly startedAt: number
  readonly host: string
  readonly pid: number
  readonly pidNamespace: string
  readonly bootId: string
  readonly version: string
  /** Name of the broker that found it dead. */
  readonly closedBy?: string | null
}

/** Put at the next number of a log whose owner is taken for dead: what he inserts there later is refused. */
export interface Seal {
  /** Name of the broker that put it there. */
  readonly by: string
  /** The incarnation whose log ends here. */
  readonly incarnation: number
}

/** What all numbered documents have: those of messages, notes and changes. Numbers are dense in each lane. */
export interface LogDocument {
  /** lane x LANE_SPAN + number in the lane. */
  readonly _id: number
  /** `<incarnation>.<n>`: which insert of which incarnation it came with. */
  readonly batch?: string
  /** Only this and `_id` are there. */
  readonly seal?: Seal
}

/** A message of a lane, or a seal, or a mark that numbers were left out. */
export interface MessageDocument extends LogDocument {
  /** Streams that it belongs to. */
  readonly streams?: readonly number[]
  readonly topic?: string
  /** The record, in the format of `journal/record.ts`. */
  readonly record?: Buffer
  /** Bytes of the record. */
  readonly bytes?: number
  /** Milliseconds since 1970; left out: never. */
  readonly expiresAt?: number
  /** The numbers from this one up to the one before `_id` were never used. */
  readonly skip?: number
}

/** A note. */
export interface NoteDocument extends LogDocument {
  readonly note?: Buffer
}

/** A write of several rows, or a part of one. It counts from the moment at which its last part is there. */
export interface ChangesDocument extends LogDocument {
  /** BSON of {@link LoggedChanges}, or a part of it; gone when it was applied. */
  readonly changes?: Buffer
  /** This part is not the last one. */
  readonly hasMore?: boolean
  /** All of it is in the collections. The last document of a log stays, for its number. */
  readonly isApplied?: boolean
  /** Whoever has closed the log does it now; the one that had begun it may not go on. */
  readonly isTaken?: boolean
}

/** A distinct filter. */
export interface StreamDocument {
  readonly _id: number
  /** Left out when it is gone. */
  readonly filter?: string
  /** By lane: grows when a broker has begun to use it. */
  readonly touches?: Readonly<Record<string, number>>
  readonly isGone?: boolean
  /** Milliseconds since 1970. */
  readonly goneAt?: number
}

/** Who owns a client id, and its session if it has one. */
export interface SessionDocument {
  /** The client id. */
  readonly _id: string
  /** 0: no session, only the claim of a connected client. */
  readonly sessionId: number
  /** The incarnation of a broker that owns it: see `ownerNumber` in `identity.ts`. */
  readonly owner: number
  /** Grows with every change of the owner. */
  readonly epoch: number
  readonly createdAt?: number
  readonly expirySeconds?: number | null
  readonly disconnectedAt?: number | null
  /** While it is taken over: the incarnation that has left it. */
  readonly estate?: number
  /** While it moves: in which document of `restante_owed` stands what it is owed. */
  readonly owedIn?: string
}

/** The checkpointed cursor of a session. */
export interface CursorDocument {
  /** The session id. */
  readonly _id: number
  /** That of the session when it was written, or raised by a new owner so that the old one writes no more. */
  readonly epoch: number
  /** Owner of the session; set together with the epoch, for all cursors of a broker at once where it starts or goes. */
  readonly owner: number
  readonly cursor: Buffer
}

/** A subscription of a session. */
export interface SubscriptionDocument extends SubscriptionRow {
  /** `<sessionId>/<filter>` */
  readonly _id: string
  readonly epoch: number
}

/** The retained message of a topic; of two, the one that was accepted later counts, then the one with the higher sequence. */
export interface RetainedDocument {
  /** The topic. */
  readonly _id: string
  /** null: it was cleared. */
  readonly row: Buffer | null
  readonly acceptedAt: number
  readonly sequence: number
  /** Of one that was cleared: `acceptedAt`, by which the old ones are found. */
  readonly clearedAt?: number
}

/** A will. */
export interface WillDocument {
  readonly _id: number
  readonly owner: number
  /** Whose will it is; left out in one that was written without. */
  readonly clientId?: string
  readonly row: Buffer
  /** While it is taken over: the incarnation that has left it. */
  readonly estate?: number
}

/** A row about the store or about one broker. */
export interface MetaDocument {
  /**
   * `<lane>/<key>` of the core; `<lane>!<key>` of this store; `ids/<kind>` counters; `format`.
   */
  readonly _id: string
  /** The one of that lane that has written it; a row of the database as a whole has none. */
  readonly incarnation?: number
  readonly row?: MetaRow
  /** Of a counter: the next id that was never given out. */
  readonly next?: number
}

/** What was accepted on a topic, as one broker counted. */
export interface TopicDocument {
  /** `<lane>/<topic>` */
  readonly _id: string
  readonly incarnation?: number
  readonly row: Buffer
}
