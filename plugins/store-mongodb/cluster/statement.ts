import { LaneMarks, laneOf, laneStart, type Owed } from '../../../src/plugin.ts'
import { double } from '../database.ts'

/** Numbers in one document at most: 4 MiB. */
const PART_NUMBERS = 512 * 1024
const NUMBER_BYTES = 8

/**
 * A part of what a broker says that its sessions are owed. `numbers` of all parts, one behind the other, are doubles,
 * little-endian:
 *
 * ```
 * heads: n, n x sequence | streams in use: n, n x id | lows: n, n x (stream id, sequence) | pending: n, n x sequence
 * ```
 *
 * Rule for changing it: brokers of two versions may run side by side; a new layout gets another field.
 */
export interface StatementDocument {
  /** `<owner>/<count>/<part>` */
  readonly _id: string
  readonly owner: number
  /** Grows by one with each statement of an owner. */
  readonly count: number
  readonly part: number
  readonly parts: number
  readonly numbers: Buffer
}

/**
 * What the sessions of one broker were owed at one moment: above `heads` everything; below it, of each stream in `lows`
 * what is above the sequence there; and what is pending. It stays true: what was not owed at one moment never is again.
 */
export interface Statement {
  /** `<owner>/<count>` */
  readonly id: string
  readonly owner: number
  readonly count: number
  readonly heads: LaneMarks
  readonly streams: ReadonlySet<number>
  /** By stream id and lane. */
  readonly lows: ReadonlyMap<number, ReadonlyMap<number, number>>
  readonly pending: readonly number[]
}

/** The documents of a statement. */
export function statementDocuments(owner: number, count: number, owed: Owed): StatementDocument[] {
  const numbers = Float64Array.from(numbersOf(owed))
  const parts = Math.max(1, Math.ceil(numbers.length / PART_NUMBERS))
  return Array.from({ length: parts }, (_, part) => {
    const own = numbers.slice(part * PART_NUMBERS, (part + 1) * PART_NUMBERS)
    return {
      ...{ _id: `${owner}/${count}/${part}`, owner: double(owner), count: double(count), part, parts },
      numbers: Buffer.from(own.buffer, own.byteOffset, own.byteLength)
    }
  })
}

function numbersOf({ heads = [], streams = new Map(), pending, above }: Owed): number[] {
  const lows: number[] = []
  for (const [streamId, ofLanes] of streams) for (const low of ofLanes.values()) lows.push(streamId, low)
  for (const head of heads) {
    const replayed = above(0, laneOf(head))
    if (replayed < head) lows.push(0, replayed)
  }
  const ids = [...streams.keys()]
  return [heads.length, ...heads].concat(
    [ids.length],
    ids,
    [lows.length / 2],
    lows,
    [pending.length],
    pending
  )
}

/** The whole statements among documents, by id; those of which a part is missing are left out. */
export function statementsOf(documents: readonly StatementDocument[]): Map<string, Statement> {
  const groups = new Map<string, StatementDocument[]>()
  for (const document of documents) {
    const id = `${document.owner}/${document.count}`
    const group = groups.get(id)
    if (group) group.push(document)
    else groups.set(id, [document])
  }
  const statements = new Map<string, Statement>()
  for (const [id, group] of groups) {
    if (group.length === group[0]!.parts) statements.set(id, statementOf(id, group))
  }
  return statements
}

function statementOf(id: string, documents: StatementDocument[]): Statement {
  const { owner, count } = documents[0]!
  documents.sort((a, b) => a.part - b.part)
  const bytes = Buffer.concat(documents.map(({ numbers }) => Buffer.from(numbers)))
  let at = 0
  const next = () => bytes.readDoubleLE(NUMBER_BYTES * at++)
  const list = () => Array.from({ length: next() }, next)
  const heads = new LaneMarks(list())
  const streams = new Set(list())
  const lows = new Map<number, Map<number, number>>()
  for (let left = next(); left > 0; left--) lower(lows, next(), next())
  return { id, owner, count, heads, streams, lows, pending: list() }
}

/** Notes that of a stream everything above a sequence is owed, unless more is already. */
export function lower(lows: Map<number, Map<number, number>>, streamId: number, sequence: number): void {
  const ofStream = lows.get(streamId) ?? new Map<number, number>()
  lows.set(streamId, ofStream)
  const lane = laneOf(sequence)
  ofStream.set(lane, Math.min(sequence, ofStream.get(lane) ?? Number.POSITIVE_INFINITY))
}

/** Above which sequence of a lane a statement says that a stream is owed. Without a statement, everything is. */
export function owedAbove(statement: Statement | undefined, streamId: number, lane: number): number {
  if (!statement) return laneStart(lane)
  return Math.min(
    statement.lows.get(streamId)?.get(lane) ?? Number.POSITIVE_INFINITY,
    statement.heads.at(lane)
  )
}
