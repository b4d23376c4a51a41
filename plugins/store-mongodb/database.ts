import {
  BSON,
  type Collection,
  Double,
  MongoBulkWriteError,
  MongoClient,
  MongoError,
  MongoServerError,
  MongoServerSelectionError,
  MongoWriteConcernError
} from 'mongodb'
import type {
  BrokerDocument,
  ChangesDocument,
  CursorDocument,
  MessageDocument,
  MetaDocument,
  NoteDocument,
  RetainedDocument,
  SessionDocument,
  StreamDocument,
  SubscriptionDocument,
  TopicDocument,
  WillDocument
} from './documents.ts'
import { COLLECTIONS } from './documents.ts'
import { mendDriver } from './driver-mend.ts'

export type { AnyBulkWriteOperation, Collection, Document, Filter } from 'mongodb'

/** The name of the database where the address says none. */
const DEFAULT_DATABASE = 'restante'

/** A server that is not there is found out after this; whoever wants it asks again. */
const SELECTION_MS = 2_000
/** An answer that takes longer counts as unknown. A server that is gone is found out sooner, by the pulse of the driver. */
const ANSWER_MS = 60_000
/** The same for the other members of a replica set, told by the server itself. */
const MAJORITY_MS = 10_000

/** Updates in one command, so that none takes long. */
const MOST_UPDATES = 1_000
/** FerretDB takes a connection of its database for each, never gets enough for more than 100, and serves several brokers. */
const MOST_OF_FERRETDB = 20

/** They stand here and not in the client's options, where the address could weaken them. */
const CONCERNS = {
  readConcern: { level: 'majority' },
  writeConcern: { w: 'majority', journal: true, wtimeoutMS: MAJORITY_MS },
  readPreference: 'primary'
} as const

/** An open database. Whatever is read from it was acked by a majority, whatever is written waits for one. */
export interface Database {
  readonly brokers: Collection<BrokerDocument>
  readonly messages: Collection<MessageDocument>
  readonly notes: Collection<NoteDocument>
  readonly changes: Collection<ChangesDocument>
  readonly streams: Collection<StreamDocument>
  readonly sessions: Collection<SessionDocument>
  readonly cursors: Collection<CursorDocument>
  readonly subscriptions: Collection<SubscriptionDocument>
  readonly retained: Collection<RetainedDocument>
  readonly wills: Collection<WillDocument>
  readonly meta: Collection<MetaDocument>
  readonly topics: Collection<TopicDocument>
  /** A collection whose documents are typed where they are used. @param name one of `COLLECTIONS`. */
  collection<Shape extends { _id: string | number }>(name: string): Collection<Shape>
  /**
   * Connects unless it is connected. One attempt, to be made again until it is done: from then on the driver does it by
   * itself, but not when its first attempt failed.
   */
  connect(): Promise<void>
  /** How many updates may be under way at the same time, in one command or in several, once it is connected. */
  readonly mostUpdates: number
  close(): Promise<void>
}

/** Makes a database of an address, not yet connected. */
export type OpenDatabase = (url: string) => Database

/**
 * The database at an address with the name of the database in it, `restante` where it has none.
 * @throws the error of the driver when it is no address of a MongoDB.
 */
export const openDatabase: OpenDatabase = url => {
  mendDriver()
  const client = new MongoClient(url, {
    retryWrites: false, // what became of a write is found out by this store, which has to know it for certain
    serverSelectionTimeoutMS: SELECTION_MS,
    connectTimeoutMS: SELECTION_MS,
    socketTimeoutMS: ANSWER_MS,
    heartbeatFrequencyMS: SELECTION_MS,
    ignoreUndefined: true,
    promoteBuffers: true,
    appName: 'restante'
  })
  const database = client.db(databaseOf(url))
  let mostUpdates = MOST_OF_FERRETDB
  const collection = <Shape extends { _id: string | number }>(name: string) =>
    database.collection<Shape>(name, CONCERNS)
  return {
    brokers: collection(COLLECTIONS.brokers),
    messages: collection(COLLECTIONS.messages),
    notes: collection(COLLECTIONS.notes),
    changes: collection(COLLECTIONS.changes),
    streams: collection(COLLECTIONS.streams),
    sessions: collection(COLLECTIONS.sessions),
    cursors: collection(COLLECTIONS.cursors),
    subscriptions: collection(COLLECTIONS.subscriptions),
    retained: collection(COLLECTIONS.retained),
    wills: collection(COLLECTIONS.wills),
    meta: collection(COLLECTIONS.meta),
    topics: collection(COLLECTIONS.topics),
    collection,
    async connect() {
      await client.connect()
      const { ferretdbVersion } = await database.command({ buildInfo: 1 })
      mostUpdates = ferretdbVersion === undefined ? MOST_UPDATES : MOST_OF_FERRETDB
    },
    get mostUpdates() {
      return mostUpdates
    },
    close: () => client.close()
  }
}

/** Makes the indexes that are missing. */
export async function makeIndexes(database: Database): Promise<void> {
  await database.messages.createIndex({ streams: 1, _id: 1 })
  await database.streams.createIndex({ filter: 1 }, { unique: true, sparse: true })
  await database.sessions.createIndex({ owner: 1 })
  await database.sessions.createIndex({ sessionId: 1 })
  await database.cursors.createIndex({ owner: 1 })
  await database.subscriptions.createIndex({ sessionId: 1 })
  await database.subscriptions.createIndex({ streamId: 1 })
  await database.wills.createIndex({ owner: 1 })
  await database.collection(COLLECTIONS.calls).createIndex({ to: 1, _id: 1 })
}

/** A number to be stored, or asked for, as a double: MongoDB compares by value, but one type for all is safest. */
export function double(value: number): number {
  return new Double(value) as unknown as number // read back, it is a plain number
}

/** Bytes of some JSON-like object in which Buffers stay what they are. */
export function encodeBson(object: object): Buffer {
  return Buffer.from(BSON.serialize(object, { ignoreUndefined: true }))
}

/** What {@link encodeBson} made bytes of. */
export function decodeBson(bytes: Buffer): unknown {
  return BSON.deserialize(bytes, { promoteBuffers: true })
}

/**
 * What is known after a failure:
 * - `not-sent`: it has not reached the database;
 * - `unknown`: it may have been done, or be done in a moment; it passes by itself;
 * - `duplicate`: refused, because there is such a document; of several, those before `index` are written;
 * - `full`: refused for want of space; those before `index` are written;
 * - `refused`: refused for good; those before `index` are written.
 */
export interface Failure {
  readonly kind: 'not-sent' | 'unknown' | 'duplicate' | 'full' | 'refused'
  /** Of an ordered write of several: how many are done for certain; 0 otherwise. */
  readonly index: number
}

const DUPLICATE_KEY = 11_000
/** OutOfDiskSpace; services with a quota say it in words. */
const FULL_CODES = new Set([14_031, 17_034])
const FULL_TEXT = /no space left|out of disk|disk (is )?full|quota|over your space|not enough space/i
/** Wrong login, no permission, invalid document, no such command and the like: the same again would fail again. */
const REFUSED_CODES = new Set([
  2, 9, 13, 14, 18, 20, 22, 52, 59, 66, 72, 73, 115, 121, 10_334, 17_419, 17_420
])

/** Those of them that are about who asks; a service says it in words only. */
const LOGIN_CODES = new Set([13, 18])
const SERVICE_CODE = 8_000
const LOGIN_TEXT = /auth|not allowed|permission/i

/** What is known after the driver has thrown. */
export function failureOf(error: unknown): Failure {
  if (error instanceof MongoServerSelectionError) return { kind: 'not-sent', index: 0 }
  if (error instanceof MongoWriteConcernError) return { kind: 'unknown', index: 0 }
  if (error instanceof MongoBulkWriteError) return failureOfBulk(error)
  if (error instanceof MongoServerError) return failureOfCode(error)
  return { kind: isOfConnection(error) ? 'unknown' : 'refused', index: 0 }
}

/** Other errors of the driver are about what it was given. */
function isOfConnection(error: unknown): boolean {
  if (error instanceof MongoError) return !/^Mongo(InvalidArgument|Parse)Error$/.test(error.name)
  return error instanceof Error && 'syscall' in error // the address of a cluster is looked up in DNS
}

function failureOfBulk(error: MongoBulkWriteError): Failure {
  // without a majority also what was written before does not count yet
  if (error.result.getWriteConcernError() !== undefined) return { kind: 'unknown', index: 0 }
  const [first] = [error.writeErrors].flat()
  if (first) return { kind: kindOf(first.code, first.errmsg ?? ''), index: first.index }
  // the failure of a whole command, which the driver has wrapped; commands before it may have been done
  const index = error.insertedCount
  const { kind } = error.code === undefined ? failureOf(error.errorResponse) : failureOfCode(error)
  return { kind, index }
}

function failureOfCode({ code, message }: MongoServerError): Failure {
  return { kind: kindOf(code, message), index: 0 }
}

/** Whether of a write of several nothing was refused but duplicates. */
export function isOnlyDuplicates(error: unknown): boolean {
  if (!(error instanceof MongoBulkWriteError)) return isDuplicate(error)
  if (error.result.getWriteConcernError() !== undefined) return false
  const errors = [error.writeErrors].flat()
  return errors.length === 0 ? isDuplicate(error) : errors.every(({ code }) => code === DUPLICATE_KEY)
}

/** Whether some write was refused because there is such a document already. */
export function isDuplicate(error: unknown): boolean {
  return failureOf(error).kind === 'duplicate'
}

/** Whether it was the server that answered with an error. */
export function isOfServer(error: unknown): boolean {
  return error instanceof MongoServerError
}

/** Whether it comes from the driver, the server's answers included. */
export function isOfDriver(error: unknown): boolean {
  return error instanceof MongoError
}

/** Whether the server knows no such user, or does not let it do this. */
export function isOfLogin(error: unknown): boolean {
  return error instanceof MongoServerError && isLogin(error.code, error.message)
}

/** The address for people: without its password and options. */
export function shownUrl(url: string): string {
  return url.replace(/\?.*$/, '').replace(/^([\w+]+:\/\/)([^:@/]*):[^/]*@/, '$1$2:***@')
}

function kindOf(code: unknown, text: string): Failure['kind'] {
  if (code === DUPLICATE_KEY) return 'duplicate'
  if (FULL_CODES.has(code as number) || FULL_TEXT.test(text)) return 'full'
  return REFUSED_CODES.has(code as number) || isLogin(code, text) ? 'refused' : 'unknown'
}

function isLogin(code: unknown, text: string): boolean {
  return LOGIN_CODES.has(code as number) || (code === SERVICE_CODE && LOGIN_TEXT.test(text))
}

function databaseOf(url: string): string {
  const path = /^[\w+]+:\/\/[^/?]+\/([^?]+)/.exec(url)
  return path?.[1] ? decodeURIComponent(path[1]) : DEFAULT_DATABASE
}
