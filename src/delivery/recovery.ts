import { LaneMarks, laneOf } from '../lane.ts'
import type { Feed } from '../routing/feed.ts'
import type { Router } from '../routing/router.ts'
import type { StateChange, StoreContents } from '../store/store.ts'
import { type Cursor, decodeCursor } from './cursor.ts'
import type { Expiry } from './expiry.ts'
import { ENTRY } from './inflight.ts'
import { readNote } from './note-format.ts'
import { beginOf } from './rows.ts'
import { Session, type SessionHost } from './session.ts'
import { Subscription } from './subscription.ts'

/** What is known of a session while the store is read. */
interface Found {
  readonly frontiers: LaneMarks
  nextCounter: number
  reservedCounter: number
  suspects: number
  /** What is inflight, by counter. */
  readonly pending: Map<number, { readonly sequence: number; flags: number }>
  /** Packet ids of the session's own publishes, by the sequence of the message. */
  readonly inbound: Map<number, number>
  /** Sequences of messages whose packet id was given back. */
  readonly inboundFree: Set<number>
}

/** What was made of the rows and notes of a store. */
export interface Recovered {
  readonly sessions: readonly Session[]
  /** No sequence up to it may be given out: some row knows it. */
  readonly highestSequence: number
  /** Sequences of inbound QoS 2 messages that are done with, by session id, as far as notes tell. */
  readonly inboundFree: ReadonlyMap<number, ReadonlySet<number>>
  /** Takes out rows of sessions and streams that are gone, left behind by a stop between two writes. */
  readonly orphans: readonly StateChange[]
}

/**
 * Makes the sessions from what the store kept: rows, then the notes since the last checkpoint, in the order in which
 * they were written. After a perhaps lost tail (`lastStop` machine) packet ids go on above the reservation, and as
 * many first deliveries as may have been sent carry DUP.
 * @param heads newest messages: from there on a stream that was not read before has all that comes.
 */
export function recoverSessions(
  contents: StoreContents,
  router: Router<Subscription>,
  host: SessionHost,
  heads = new LaneMarks()
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
  enterSubscriptions(contents, router, byId, heads)
  return {
    sessions,
    inboundFree: new Map([...found].map(([sessionId, { inboundFree }]) => [sessionId, inboundFree])),
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
    : { frontiers: [], nextCounter: 0, reservedCounter: 0, suspects: 0, pending: [], inbound: [] }
  return {
    frontiers: new LaneMarks(cursor.frontiers),
    nextCounter: cursor.nextCounter,
    reservedCounter: cursor.reservedCounter,
    suspects: cursor.suspects,
    pending: new Map(cursor.pending.map(({ counter, sequence, flags }) => [counter, { sequence, flags }])),
    inbound: new Map(cursor.inbound.map(({ packetId, sequence }) => [sequence, packetId])),
    inboundFree: new Set()
  }
}

/** Applies one note; entries that the row already knows change nothing. */
function replay(note: Buffer, found: ReadonlyMap<number, Found>): void {
  readNote(note, {
    sent(sessionId, counter, sequence, flags) {
      const session = found.get(sessionId)
      if (!session || counter < session.nextCounter) return
      session.nextCounter = counter + 1
      session.pending.set(counter, { sequence, flags })
      if (flags & ENTRY.aside) return
      session.frontiers.raise(sequence)
      session.suspects = Math.max(0, session.suspects - 1)
    },
    released(sessionId, counter) {
      const entry = found.get(sessionId)?.pending.get(counter)
      if (entry) entry.flags |= ENTRY.released
    },
    acked(sessionId, counter) {
      found.get(sessionId)?.pending.delete(counter)
    },
    ackedSequence(sessionId, sequence) {
      const pending = found.get(sessionId)?.pending ?? new Map<number, { sequence: number }>()
      for (const [counter, entry] of pending) if (entry.sequence === sequence) pending.delete(counter)
    },
    inboundFree(sessionId, sequence) {
      const session = found.get(sessionId)
      session?.inbound.delete(sequence)
      session?.inboundFree.add(sequence)
    }
  })
}

function fill(session: Session, found: Found, mayHaveLost: boolean): void {
  for (const frontier of found.frontiers.all()) session.frontiers.set(frontier)
  session.reservedCounter = found.reservedCounter
  session.requestedCounter = found.reservedCounter
  session.suspects = found.suspects
  // with a weak fsync a power cut may have taken a message that was sent; the pump will find out
  for (const [counter, { sequence, flags }] of [...found.pending].sort(([a], [b]) => a - b)) {
    session.inflight.restore(counter, sequence, flags)
  }
  for (const [sequence, packetId] of found.inbound) session.inbound.restore(packetId, sequence)
  session.inflight.nextCounter = found.nextCounter
  if (!mayHaveLost || found.reservedCounter <= found.nextCounter) return
  // those in doubt since an earlier cut are among these: both begin at the frontier
  session.suspects = Math.max(session.suspects, found.reservedCounter - found.nextCounter)
  session.inflight.nextCounter = found.reservedCounter
}

function enterSubscriptions(
  contents: StoreContents,
  router: Router<Subscription>,
  byId: ReadonlyMap<number, Session>,
  heads: LaneMarks
): void {
  // the rows of subscriptions say which streams there are: one without may share its filter with a later one
  for (const { streamId } of contents.streams) router.reserveId(streamId)
  for (const row of contents.subscriptions) {
    const session = byId.get(row.sessionId)
    if (!session) continue
    const stream = router.stream(row.filter, row.streamId)
    const subscription = new Subscription(session, stream, { ...row, from: beginOf(row) })
    session.subscriptions.set(row.filter, subscription)
    if (subscription.isSpecial) session.specials++
    stream.subscribers++
    stream.isStored = true
    if (row.qos > 0) {
      if (stream.durable.size === 0) stream.cover(heads)
      stream.durable.add(subscription)
    }
    router.activate(stream)
  }
  for (const { streamId, sequences } of contents.postings) {
    router.reserveId(streamId)
    const stream = router.streamById(streamId)
    if (!stream) continue
    const lows = new Map<number, number>()
    for (const sequence of sequences) {
      const lane = laneOf(sequence)
      let low = lows.get(lane)
      if (low === undefined) {
        low = stream.lowSequence(lane)
        lows.set(lane, low)
      }
      if (sequence > low) stream.openFeed(lane, low).sequences.push(sequence)
    }
  }
}

/** Tells what the streams have when it expires. */
export function enterExpiries(
  { expiries }: StoreContents,
  router: Router<Subscription>,
  expiry: Expiry
): void {
  const times = new Map<number, number>()
  for (const { sequence, expiresAt } of expiries) times.set(sequence, expiresAt)
  if (times.size === 0) return
  for (const { sequences } of feedsOf(router)) {
    for (let index = sequences.length - sequences.size; index < sequences.length; index++) {
      const sequence = sequences.at(index)!
      const expiresAt = times.get(sequence)
      if (expiresAt !== undefined) expiry.add(expiresAt, sequence, [sequences])
    }
  }
}

function* feedsOf(router: Router<Subscription>): Iterable<Feed> {
  for (const stream of router.streams) yield* stream.feeds()
}

/** Of the lane of this server. */
function highestSequence(contents: StoreContents, found: Iterable<Found>): number {
  const highest = new LaneMarks()
  for (const { frontiers, pending, inbound } of found) {
    for (const frontier of frontiers.all()) highest.raise(frontier)
    for (const { sequence } of pending.values()) highest.raise(sequence)
    for (const sequence of inbound.keys()) highest.raise(sequence)
  }
  for (const row of contents.subscriptions) for (const from of beginOf(row).all()) highest.raise(from)
  return highest.at(contents.laneIndex ?? 0)
}
