import { ByteReader, ByteWriter } from '../wire/bytes.ts'
import { ENTRY } from './inflight.ts'

/**
 * Kinds of entries in a note, the session's id and a count behind each. Rule for changing them: old kinds keep their
 * meaning; a new meaning is a new kind.
 */
const KIND = {
  /** First deliveries with QoS 1: the first counter, sequences. */
  sent: 1,
  /** Acks by sequence; written by early versions only. */
  ackedSequences: 2,
  /** First deliveries with other flags: the flags, the first counter, sequences. */
  sentWith: 3,
  /** PUBREC has come: counters. */
  released: 4,
  /** Acks: counters. */
  acked: 5,
  /** Packet ids of inbound QoS 2 messages are free again: sequences of the messages. */
  inboundFree: 6
} as const

/** First deliveries of one session whose counters run on without a gap. */
export interface SentRun {
  readonly flags: number
  readonly counter: number
  readonly sequences: number[]
}

/** What happened to one session since the last note. */
export interface Page {
  runs: SentRun[]
  released: number[]
  acked: number[]
  inboundFree: number[]
}

/** An empty page. */
export function newPage(): Page {
  return { runs: [], released: [], acked: [], inboundFree: [] }
}

/** A note of the pages, by session id. */
export function encodeNote(pages: Iterable<readonly [sessionId: number, page: Page]>): Buffer {
  const out = new ByteWriter()
  for (const [sessionId, page] of pages) {
    for (const { flags, counter, sequences } of page.runs) {
      out
        .number(flags === 0 ? KIND.sent : KIND.sentWith)
        .number(sessionId)
        .number(sequences.length)
      if (flags !== 0) out.number(flags)
      out.number(counter)
      writeDeltas(out, sequences)
    }
    writeList(out, KIND.released, sessionId, page.released)
    writeList(out, KIND.acked, sessionId, page.acked)
    writeList(out, KIND.inboundFree, sessionId, page.inboundFree)
  }
  return out.take()
}

function writeList(out: ByteWriter, kind: number, sessionId: number, list: readonly number[]): void {
  if (list.length === 0) return
  out.number(kind).number(sessionId).number(list.length)
  writeDeltas(out, list)
}

function writeDeltas(out: ByteWriter, list: readonly number[]): void {
  let last = 0
  for (const value of list) {
    out.signed(value - last)
    last = value
  }
}

/** Takes the entries of notes read back. */
export interface NoteVisitor {
  /** A first delivery; `flags` are bits of `ENTRY`. */
  sent(sessionId: number, counter: number, sequence: number, flags: number): void
  ackedSequence(sessionId: number, sequence: number): void
  released(sessionId: number, counter: number): void
  acked(sessionId: number, counter: number): void
  inboundFree(sessionId: number, sequence: number): void
}

/** Reads a note. Throws RangeError when it is cut off or has a kind that this version does not know. */
export function readNote(note: Buffer, visitor: NoteVisitor): void {
  const input = new ByteReader(note)
  while (!input.isAtEnd) {
    const kind = input.number()
    const sessionId = input.number()
    const count = input.number()
    const visit = visitOf(kind, sessionId, input, visitor)
    let value = 0
    for (let i = 0; i < count; i++) {
      value += input.signed()
      visit(value, i)
    }
  }
}

function visitOf(
  kind: number,
  sessionId: number,
  input: ByteReader,
  visitor: NoteVisitor
): (value: number, i: number) => void {
  switch (kind) {
    case KIND.sent:
    case KIND.sentWith: {
      const flags = kind === KIND.sent ? 0 : input.number()
      const counter = input.number()
      return (sequence, i) => visitor.sent(sessionId, counter + i, sequence, flags)
    }
    case KIND.ackedSequences:
      return sequence => visitor.ackedSequence(sessionId, sequence)
    case KIND.released:
      return counter => visitor.released(sessionId, counter)
    case KIND.acked:
      return counter => visitor.acked(sessionId, counter)
    case KIND.inboundFree:
      return sequence => visitor.inboundFree(sessionId, sequence)
    default:
      throw new RangeError(`a note has an entry of unknown kind ${kind}`)
  }
}

/** Whether first deliveries with these flags must be synced before they leave. */
export function needsSync(flags: number): boolean {
  return (flags & ENTRY.qos2) !== 0
}
