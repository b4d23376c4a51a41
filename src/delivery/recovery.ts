import type { Router } from '../routing/router.ts'
import type { StateChange, StoreContents } from '../store/store.ts'
import { type Cursor, decodeCursor } from './cursor.ts'
import { readNote } from './notes.ts'
import { Session, type SessionHost } from './session.ts'
import { Subscription } from './subscription.ts'

/** What is known of a session while the store is read. */
interface Found {
  frontier: number
  nextCounter: number
  reservedCounter: number
  suspects: number
  /** Sequence by counter, and back. */
  readonly pending: Map<number, number>
  readonly counters: Map<number, number>
}

/** What was made of the rows and notes of a store. */
export interface Recovered {
  readonly sessions: readonly Session[]
  /** No sequence up to it may be given out: some row knows it. */
  readonly highestSequence: number
  /** Takes out rows of sessions and streams that are gone, left behind by a stop between two writes. */
  readonly orphans: readonly StateChange[]
}

/**
 * Makes the sessions from what the store kept: rows, then the notes since the last checkpoint, in the order in which
 * they were written. After a perhaps lost tail (`lastStop` machine) packet ids go on above the reservation, and as
 * many first deliveries as may have been sent carry DUP.
 */
export function recoverSessions(
  contents: StoreContents,
  router: Router<Subscription>,
  host: SessionHost
): Recovered {
  const found = new Map<number, Found>()
  for (const { sessionId } of contents.sessions)
    found.set(sessionId, foundOf(contents.cursors.get(sessionId)))
  for (const note of contents.notes) replay(note, found)
  const sessions = contents.sessions.map(row => {
    const session = new Session(row, host)
    fill(session, found.get(row.sessionId)!, contents.lastStop === 'machine')
    return session
  })
  const byId = new Map(sessions.map(session => [session.sessionId, session]))
  enterSubscriptions(contents, router, byId)
  return {
    sessions,
    highestSequence: highestSequence(contents, found.values()),
    orphans: [...orphans(contents, router, byId)]
  }
}

function* orphans(
  { cursors, subscriptions, streams }: StoreContents,
  router: Router<Subscription>,
  byId: ReadonlyMap<number, Session>
): Iterable<StateChange> {
  for (const key of cursors.keys()) if (!byId.has(key)) yield { table: 'cursor', key, row: null }
  for (const { sessionId, filter } of subscriptions) {
    if (!byId.has(sessionId)) yield { table: 'subscription', key: { sessionId, filter }, row: null }
  }
  for (const { streamId: key } of streams) {
    if (!router.streamById(key)) yield { table: 'stream', key, row: null }
  }
}

function foundOf(row: Buffer | undefined): Found {
  const cursor: Cursor = row
    ? decodeCursor(row)
    : { frontier: 0, nextCounter: 0, reservedCounter: 0, suspects: 0, pending: [] }
  return {
    frontier: cursor.frontier,
    nextCounter: cursor.nextCounter,
    reservedCounter: cursor.reservedCounter,
    suspects: cursor.suspects,
    pending: new Map(cursor.pending.map(({ counter, sequence }) => [counter, sequence])),
    counters: new Map(cursor.pending.map(({ counter, sequence }) => [sequence, counter]))
  }
}

/** Applies one note; entries that the row already knows change nothing. */
function replay(note: Buffer, found: ReadonlyMap<number, Found>): void {
  readNote(note, {
    sent(sessionId, counter, sequence) {
      const session = found.get(sessionId)
      if (!session || counter < session.nextCounter) return
      session.nextCounter = counter + 1
      session.frontier = Math.max(session.frontier, sequence)
      session.suspects = Math.max(0, session.suspects - 1)
      session.pending.set(counter, sequence)
      session.counters.set(sequence, counter)
    },
    acked(sessionId, sequence) {
      const session = found.get(sessionId)
      const counter = session?.counters.get(sequence)
      if (!session || counter === undefined) return
      session.pending.delete(counter)
      session.counters.delete(sequence)
    }
  })
}

function fill(session: Session, found: Found, mayHaveLost: boolean): void {
  session.frontier = found.frontier
  session.reservedCounter = found.reservedCounter
  session.requestedCounter = found.reservedCounter
  session.suspects = found.suspects
  // with a weak fsync a power cut may have taken a message that was sent; the pump will find out
  for (const [counter, sequence] of [...found.pending].sort(([a], [b]) => a - b)) {
    session.inflight.restore(counter, sequence)
  }
  session.inflight.nextCounter = found.nextCounter
  if (!mayHaveLost || found.reservedCounter <= found.nextCounter) return
  // those in doubt since an earlier cut are among these: both begin at the frontier
  session.suspects = Math.max(session.suspects, found.reservedCounter - found.nextCounter)
  session.inflight.nextCounter = found.reservedCounter
}

function enterSubscriptions(
  contents: StoreContents,
  router: Router<Subscription>,
  byId: ReadonlyMap<number, Session>
): void {
  // the rows of subscriptions say which streams there are: one without may share its filter with a later one
  for (const { streamId } of contents.streams) router.reserveId(streamId)
  for (const row of contents.subscriptions) {
    const session = byId.get(row.sessionId)
    if (!session) continue
    const stream = router.stream(row.filter, row.streamId)
    const subscription = new Subscription(session, stream, row)
    session.subscriptions.set(row.filter, subscription)
    stream.subscribers++
    stream.isStored = true
    if (row.qos > 0) stream.durable.add(subscription)
    router.activate(stream)
  }
  for (const { streamId, sequences } of contents.postings) {
    router.reserveId(streamId)
    const stream = router.streamById(streamId)
    if (!stream) continue
    const low = stream.lowSequence()
    for (const sequence of sequences) if (sequence > low) stream.sequences.push(sequence)
  }
}

function highestSequence(contents: StoreContents, found: Iterable<Found>): number {
  let highest = 0
  for (const { frontier, counters } of found) {
    highest = Math.max(highest, frontier)
    for (const sequence of counters.keys()) highest = Math.max(highest, sequence)
  }
  for (const { fromSequence } of contents.subscriptions) highest = Math.max(highest, fromSequence)
  return highest
}
