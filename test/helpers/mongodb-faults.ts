import type { Document } from 'mongodb'

/** What goes wrong with one command. Without more words, its connection is reset in place of an answer. */
export type MongodbFault =
  /** An insert writes its first documents only; then the connection is reset, or the server says that it is no primary any more. */
  | { readonly kind: 'partial'; readonly documents: number; readonly answer: 'reset' | 'not-primary' }
  /** It is done, and the answer says that its write concern was not met. */
  | { readonly kind: 'write-concern-error'; readonly code?: number }
  /** It is done. */
  | { readonly kind: 'lost-after' }
  /** It is not done. */
  | { readonly kind: 'lost-before' }
  /** It is not done, and the server answers with this error. */
  | { readonly kind: 'error'; readonly code: number }
  /** It is done later, when {@link Injection.deliver} says so, long after its connection was reset. */
  | { readonly kind: 'late' }

/** Which command a fault is for. */
export interface MongodbRule {
  /** `insert`, `find`, `findAndModify` and so on; left out: each. */
  readonly command?: string
  /** Left out: any. */
  readonly collection?: string
  /** The n-th that fits, from now on; 1 at first. */
  readonly nth?: number
  readonly fault: MongodbFault
}

/** A command as it went by. */
export interface MongodbCommand {
  readonly name: string
  readonly collection: string
  readonly body: Document
}

/** A fault that waits for its command. */
export interface Injection {
  /** Resolves when it has happened: for a command that is done, after it was done. */
  readonly happened: Promise<MongodbCommand>
  readonly hasHappened: boolean
  /** A `late` command goes to the server now. @returns the answer, which nobody else gets. */
  deliver(): Promise<Document>
  /** Takes it back, if it has not happened. */
  remove(): void
}

/** What becomes of a command. */
export interface Judgement {
  readonly fault: MongodbFault
  happened(): void
  /** A late command is in the hands of the proxy, which gives a way to deliver it. */
  held(deliver: () => Promise<Document>): void
}

/** Names of errors that servers really send. @see https://www.mongodb.com/docs/manual/reference/error-codes/ */
const CODE_NAMES: Readonly<Record<number, string>> = {
  50: 'MaxTimeMSExpired',
  64: 'WriteConcernTimeout',
  91: 'ShutdownInProgress',
  100: 'UnsatisfiableWriteConcern',
  189: 'PrimarySteppedDown',
  10107: 'NotWritablePrimary',
  11600: 'InterruptedAtShutdown',
  11602: 'InterruptedDueToReplStateChange',
  13435: 'NotPrimaryNoSecondaryOk'
}

const RETRYABLE: ReadonlySet<number> = new Set([91, 189, 10107, 11600, 11602, 13435])

/** The name of an error code. */
export function codeName(code: number): string {
  return CODE_NAMES[code] ?? `Location${code}`
}

/** The answer of a server that did not do a command. */
export function errorAnswer(code: number): Document {
  return {
    ok: 0,
    errmsg: `injected: ${codeName(code)}`,
    code,
    codeName: codeName(code),
    ...(RETRYABLE.has(code) ? { errorLabels: ['RetryableWriteError'] } : {})
  }
}

/** What a server adds to the answer of a write that it did, when too few others confirmed it in time. */
export function writeConcernAnswer(answer: Document, code = 64): Document {
  const errmsg = `injected: ${code === 64 ? 'waiting for replication timed out' : codeName(code)}`
  const errInfo = { writeConcern: { w: 'majority', j: true }, ...(code === 64 ? { wtimeout: true } : {}) }
  const labels = RETRYABLE.has(code) ? { errorLabels: ['RetryableWriteError'] } : {}
  return { ...answer, ...labels, writeConcernError: { code, codeName: codeName(code), errmsg, errInfo } }
}
