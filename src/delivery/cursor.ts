import { ByteReader, ByteWriter } from '../wire/bytes.ts'
import type { Session } from './session.ts'

/** Rule for changing the row: a new layout gets a new version; the old ones are read for ever. */
const CURSOR_VERSION = 3

/** A delivery that is inflight, as it is kept. */
export interface PendingDelivery {
  readonly counter: number
  readonly sequence: number
  /** Bits of `ENTRY`. */
  readonly flags: number
}

/** How far a session is. */
export interface Cursor {
  /** Everything up to it was sent, lane by lane; what is not in `pending` is acked. */
  readonly frontiers: readonly number[]
  readonly nextCounter: number
  /** Counters below it may have been used, whatever else is known. */
  readonly reservedCounter: number
  readonly suspects: number
  /** Sent and not acked, oldest first. */
  readonly pending: readonly PendingDelivery[]
  /** Packet ids of the session's own QoS 2 publishes, with the sequence of the message. */
  readonly inbound: readonly { readonly packetId: number; readonly sequence: number }[]
}

/** The cursor of a session as it stands. */
export function encodeCursor(session: Session): Buffer {
  const out = new ByteWriter()
  const { inflight } = session
  out.number(CURSOR_VERSION)
  const frontiers = [...session.frontiers.all()]
  out.number(frontiers.length)
  for (const frontier of frontiers) out.number(frontier)
  out.number(inflight.nextCounter).number(session.requestedCounter)
  const pending = inflight.allEntries()
  out.number(session.suspects).number(pending.length)
  let last = { counter: 0, sequence: 0 }
  for (const entry of pending) {
    out
      .signed(entry.counter - last.counter)
      .signed(entry.sequence - last.sequence)
      .number(entry.flags)
    last = entry
  }
  const inbound = [...session.inbound.storedIds()]
  out.number(inbound.length)
  for (const { packetId, sequence } of inbound) out.number(packetId).number(sequence)
  return out.take()
}

/** Reads a row of {@link encodeCursor}. Throws RangeError when it is not one. */
export function decodeCursor(row: Buffer): Cursor {
  const input = new ByteReader(row)
  const version = input.number()
  if (version > CURSOR_VERSION || version < 1)
    throw new RangeError(`a cursor has version ${version}, not ${CURSOR_VERSION}`)
  const frontiers = Array.from({ length: version > 2 ? input.number() : 1 }, () => input.number())
  const nextCounter = input.number()
  const reservedCounter = input.number()
  const suspects = input.number()
  const pending: PendingDelivery[] = []
  let counter = 0
  let sequence = 0
  for (let left = input.number(); left > 0; left--) {
    counter += input.signed()
    sequence += input.signed()
    pending.push({ counter, sequence, flags: version > 1 ? input.number() : 0 })
  }
  return { frontiers, nextCounter, reservedCounter, suspects, pending, inbound: readInbound(input, version) }
}

function readInbound(input: ByteReader, version: number): Cursor['inbound'] {
  if (version === 1) return []
  return Array.from({ length: input.number() }, () => ({
    packetId: input.number(),
    sequence: input.number()
  }))
}
