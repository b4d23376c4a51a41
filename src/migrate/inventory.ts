import { createHash } from 'node:crypto'
import { isDirect } from '../delivery/subscription.ts'
import type { StateChange, Store, StoreContents } from '../store/store.ts'
import { rangesOf, readKept, streamsOf } from './messages.ts'
import { rowKey, rowsOf, rowText } from './rows.ts'

/** What is counted of a store. */
export const COUNTED = ['messages', 'bytes', 'sessions', 'subscriptions', 'retained', 'wills'] as const

/** How much there is of each. `bytes` are those of the messages as they are kept. */
export type Counts = Readonly<Record<(typeof COUNTED)[number], number>>

/** What a store holds: counts, and a digest of the contents of each part. */
export interface Inventory {
  readonly counts: Counts
  /** Of the messages that count; 0 when there is none. */
  readonly lastSequence: number
  /** Hexadecimal SHA-256 by part: messages, notes, and each table of rows. */
  readonly digests: ReadonlyMap<string, string>
}

/** Told now and then up to which sequence it has come. */
export type Step = (through: number) => void

/**
 * Reads all of a store that is open.
 * @param isMoved which messages count.
 */
export async function takeInventory(
  { lane }: Store,
  contents: StoreContents,
  isMoved: (sequence: number) => boolean,
  step: Step
): Promise<Inventory> {
  const streams = streamsOf(contents)
  const hash = createHash('sha256')
  let messages = 0
  let bytes = 0
  let lastSequence = 0
  for (const range of rangesOf(contents)) {
    for await (const { records, through } of readKept(lane, range, streams)) {
      for (const { sequence, record } of records) {
        if (!isMoved(sequence)) continue
        hash.update(record)
        messages++
        bytes += record.length
        lastSequence = sequence
      }
      step(through)
    }
  }
  const { sessions, subscriptions, retained, wills } = countRows(rowsOf(contents))
  const digests = new Map([['messages', hash.digest('hex')], ...rowDigests(contents)])
  return { counts: { messages, bytes, sessions, subscriptions, retained, wills }, lastSequence, digests }
}

/** A digest of all that a store hands over at open; it changes when anything in it does. */
export function fingerprintOf(contents: StoreContents): string {
  const hash = createHash('sha256')
  for (const [part, digest] of rowDigests(contents)) hash.update(`${part} ${digest}\n`)
  for (const { through } of rangesOf(contents)) hash.update(`${through}\n`)
  return hash.digest('hex')
}

/** The parts in which two inventories differ. */
export function differences(one: Inventory, other: Inventory): string[] {
  const counts = COUNTED.filter(part => one.counts[part] !== other.counts[part]).map(
    part => `${part}: ${one.counts[part]} in the source, ${other.counts[part]} in the target`
  )
  const parts = new Set([...one.digests.keys(), ...other.digests.keys()])
  const contents = [...parts]
    .filter(part => one.digests.get(part) !== other.digests.get(part))
    .map(part => `the contents of ${part}`)
  return [...counts, ...contents]
}

function countRows(rows: readonly StateChange[]) {
  // what the server has made for itself is moved, and not counted
  const isOwn = ({ table, key }: StateChange) => table === 'subscription' && isDirect(key.filter)
  const count = (table: StateChange['table']) => rows.filter(row => row.table === table && !isOwn(row)).length
  return {
    sessions: count('session'),
    subscriptions: count('subscription'),
    retained: count('retained'),
    wills: count('will')
  }
}

function rowDigests(contents: StoreContents): [part: string, digest: string][] {
  const tables = new Map<string, string[]>()
  for (const row of rowsOf(contents)) {
    const lines = tables.get(row.table) ?? []
    tables.set(row.table, lines)
    lines.push(`${rowKey(row)} ${rowText(row)}`)
  }
  tables.set(
    'notes',
    contents.notes.map(note => note.toString('base64'))
  )
  return [...tables].map(([table, lines]) => {
    const inOrder = table === 'notes' ? lines : lines.sort()
    return [table, createHash('sha256').update(inOrder.join('\n')).digest('hex')]
  })
}
