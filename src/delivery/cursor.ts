import { ByteReader, ByteWriter } from '../wire/bytes.ts'
import type { Session } from './session.ts'

/** Rule for changing the row: a new layout gets a new version; this one is read for ever. */
const CURSOR_VERSION = 1

/** How far a session is. */
export interface Cursor {
  /** Everything up to it was sent; what is not in `pending` is acked. */
  readonly frontier: number
  readonly nextCounter: number
  /** Counters below it may have been used, whatever else is known. */
  readonly reservedCounter: number
  readonly suspects: number
  /** Sent and not acked, oldest first. */
  readonly pending: readonly { readonly counter: number; readonly sequence: number }[]
}

/** The cursor of a session as it stands. */
export function encodeCursor(session: Session): Buffer {
  const out = new ByteWriter()
  const { inflight } = session
  out
    .number(CURSOR_VERSION)
    .number(session.frontier)
    .number(inflight.nextCounter)
    .number(session.requestedCounter)
  const pending = inflight.allEntries()
  out.number(session.suspects).number(pending.length)
  let last = { counter: 0, sequence: 0 }
  for (const entry of pending) {
    out.signed(entry.counter - last.counter).signed(entry.sequence - last.sequence)
    last = entry
  }
  return out.take()
}

/** Reads a row of {@link encodeCursor}. Throws RangeError when it is not one. */
export function decodeCursor(row: Buffer): Cursor {
  const input = new ByteReader(row)
  const version = input.number()
  if (version !== CURSOR_VERSION)
    throw new RangeError(`a cursor has version ${version}, not ${CURSOR_VERSION}`)
  const frontier = input.number()
  const nextCounter = input.number()
  const reservedCounter = input.number()
  const suspects = input.number()
  const pending: { counter: number; sequence: number }[] = []
  let counter = 0
  let sequence = 0
  for (let left = input.number(); left > 0; left--) {
    counter += input.signed()
    sequence += input.signed()
    pending.push({ counter, sequence })
  }
  return { frontier, nextCounter, reservedCounter, suspects, pending }
}
