import type { MetaRow, StateChange, Store, StoreContents } from '../../src/store/store.ts'
import { REPLAY_STREAM } from '../../src/store/store.ts'
import { ByteWriter } from '../../src/wire/bytes.ts'
import { ORIGIN } from '../../src/wire/message.ts'
import { batchOf, type MessageSpec } from './batches.ts'
import type { Random } from './tools-random.ts'

/** How much is put into a store. */
export interface FillSize {
  readonly messages: number
  readonly sessions: number
}

const STREAMS = 9

/** Puts something of every kind into an open, empty store: also messages that are freed again, so that there are gaps. */
export async function fillStore(
  store: Store,
  random: Random,
  { messages, sessions }: FillSize
): Promise<void> {
  await store.state.write([...rowsOf(random, sessions)], { sync: true })
  for (let sequence = 1; sequence <= messages; ) {
    const count = Math.min(1 + random.below(40), messages - sequence + 1)
    const specs = Array.from({ length: count }, () => specOf(random))
    await store.lane.commit(batchOf(sequence, specs))
    sequence += count
  }
  for (let i = 0; i < 5; i++) await store.notes.append(bytesOf(random, 60), { sync: true })
  const lows = Array.from({ length: STREAMS + 1 }, () => random.below(messages))
  await store.lane.release({ above: streamId => lows[streamId] ?? 0, pending: [2, 5, messages] })
}

/** Everything that a store hands over at open and that has to be the same after it was moved, with its messages. */
export async function contentsOf(store: Store, contents: StoreContents) {
  const { meta, streams, sessions, subscriptions, cursors, retained, wills, topics, notes } = contents
  const messages: object[] = []
  for (let sequence = 1; sequence < contents.nextSequence; ) {
    const block = await store.lane.read(sequence)
    for (const message of block.messages) {
      if (message.sequence < sequence || message.sequence >= contents.nextSequence) continue
      const { acceptedAt, expiresAt, publisher, origin, originId, isV5, bytes, offset, length } = message
      const packet = bytes.toString('hex', offset, offset + length)
      const fields = { acceptedAt, expiresAt, publisher, origin, originId, isV5, packet }
      messages.push({ sequence: message.sequence, ...fields })
    }
    sequence = block.to + 1
  }
  return {
    nextSequence: contents.nextSequence,
    messages,
    postings: postingsOf(contents),
    expiries: [...contents.expiries].map(({ sequence, expiresAt }) => [sequence, expiresAt]).sort(),
    meta: sorted(meta as ReadonlyMap<string, MetaRow>),
    streams: [...streams].sort((a, b) => a.streamId - b.streamId),
    sessions: [...sessions].sort((a, b) => a.sessionId - b.sessionId),
    subscriptions: [...subscriptions].sort((a, b) =>
      `${a.sessionId}/${a.filter}` < `${b.sessionId}/${b.filter}` ? -1 : 1
    ),
    cursors: sorted(cursors),
    retained: sorted(retained),
    wills: sorted(wills),
    topics: sorted(topics),
    notes: notes.map(note => note.toString('hex'))
  }
}

function postingsOf({ postings }: StoreContents): [number, number[]][] {
  const byStream = new Map<number, number[]>()
  for (const { streamId, sequences } of postings) {
    byStream.set(streamId, [...(byStream.get(streamId) ?? []), ...sequences])
  }
  return [...byStream].sort(([a], [b]) => a - b)
}

function sorted<Key, Row>(rows: ReadonlyMap<Key, Row>): [Key, unknown][] {
  const plain = [...rows].map(([key, row]): [Key, unknown] => [
    key,
    Buffer.isBuffer(row) ? row.toString('hex') : row
  ])
  return plain.sort(([a], [b]) => (a < b ? -1 : 1))
}

function specOf(random: Random): MessageSpec {
  const streams = Array.from({ length: STREAMS }, (_, i) => i + 1).filter(() => random.chance(0.2))
  const isInbound = random.chance(0.05)
  return {
    topic: `DB/${random.below(5)}`,
    payload: bytesOf(random, 200),
    streamIds: isInbound ? [REPLAY_STREAM, ...streams] : streams,
    publisher: random.chance(0.3) ? '' : `client ${random.below(9)} ü`,
    isV5: random.chance(0.5),
    qos: 1 + random.below(2),
    ...(random.chance(0.2) ? { expiresAt: 1_900_000_000_000 + random.below(1_000_000) } : {}),
    ...(isInbound ? { origin: ORIGIN.inbound, originId: 1 + random.below(9) } : {})
  }
}

function* rowsOf(random: Random, sessions: number): Generator<StateChange> {
  for (let streamId = 1; streamId <= STREAMS; streamId++) {
    yield { table: 'stream', key: streamId, row: { streamId, filter: `DB/+/${streamId}` } }
  }
  for (let sessionId = 1; sessionId <= sessions; sessionId++) {
    const expirySeconds = random.chance(0.5) ? null : random.below(100_000)
    const times = { createdAt: 1_700_000_000_000 + sessionId, disconnectedAt: random.chance(0.3) ? null : 3 }
    const row = { sessionId, clientId: `client!/${sessionId}`, expirySeconds, ...times }
    yield { table: 'session', key: sessionId, row }
    if (random.chance(0.8)) yield { table: 'cursor', key: sessionId, row: bytesOf(random, 40) }
    for (let streamId = 1; streamId <= STREAMS; streamId++) {
      if (random.chance(0.7)) continue
      const filter = `DB/+/${streamId}`
      const subscription = { streamId, qos: random.below(3), fromSequence: random.below(50), createdAt: 7 }
      yield {
        table: 'subscription',
        key: { sessionId, filter },
        row: {
          sessionId,
          filter,
          ...subscription,
          identifier: random.below(2),
          keepsRetain: random.chance(0.5)
        }
      }
    }
  }
  yield { table: 'meta', key: 'sessions', row: { next: sessions + 1 } }
  yield { table: 'meta', key: 'wills', row: { next: 8 } }
  yield { table: 'meta', key: 'replay', row: { through: 11 } }
  yield { table: 'retained', key: 'DB/ü!', row: retainedRow() }
  yield { table: 'will', key: 7, clientId: 'client!/1', row: willRow() }
  yield { table: 'topic', key: 'DB/1', row: bytesOf(random, 30) }
}

/** A retained row is a record without streams. */
function retainedRow(): Buffer {
  return Buffer.concat(batchOf(1, [{ streamIds: [], topic: 'DB/ü!' }]).buffers)
}

/** A will as `delivery/will-row.ts` writes it: version, delay, time, MQTT 5, client id, PUBLISH. */
function willRow(): Buffer {
  const id = Buffer.from('client!/1')
  const head = new ByteWriter().number(1).number(30).number(0).number(0).number(id.length).take()
  return Buffer.concat([head, id, Buffer.from([0x30, 4, 0, 1, 97, 120])])
}

function bytesOf(random: Random, most: number): Buffer {
  return Buffer.from(Array.from({ length: 1 + random.below(most) }, () => random.below(256)))
}
