import { isQueueError, QueueError } from '../errors.ts'
import type { Store, StoreContents } from '../store/store.ts'
import { Message } from '../wire/message.ts'
import { topicField } from '../wire/publish.ts'
import { type Counts, differences, fingerprintOf, takeInventory } from './inventory.ts'
import { BatchWriter, readKept, recordOf, streamsOf } from './messages.ts'
import { refusal } from './place.ts'
import { rowsOf } from './rows.ts'
import { assertOneLane, assertSource, headOf } from './source.ts'
import { assertTarget, type Mark, markChange, markOf, RowWriter } from './target.ts'
import { wholeOf } from './whole.ts'

/** One of the two stores. */
export interface Side {
  /** For what is told of it. */
  readonly name: string
  /** Makes the store; asked again for each time it is opened. */
  make(): Promise<Store>
}

/** What is being done. */
export type Phase = 'messages' | 'rows' | 'check'

/** What a migration works with. */
export interface MigrateOptions {
  readonly source: Side
  readonly target: Side
  /** Told again and again. @param done and `total`: sequences or rows. */
  progress(phase: Phase, done: number, total: number): void
  /** Asked again and again: whether to leave off, so that it can go on later. */
  isStopped(): boolean
}

/** How it ended. */
export interface Migrated {
  /** False: it was stopped, and goes on when it is run again. */
  readonly isDone: boolean
  /** Whether it went on where an earlier one had ended. */
  readonly isResumed: boolean
  /** What the target holds, as read back; null when it was stopped. */
  readonly counts: Counts | null
}

/** An open store. */
interface Open {
  readonly side: Side
  readonly store: Store
  readonly contents: StoreContents
}

/** Thrown where it is stopped. */
const STOPPED = new QueueError('QUEUE_SERVER_STOPPING')

/** The message that keeps the place of the last sequence where that one is gone; nobody is owed it. */
const PLACE_TOPIC = '$migration'

/**
 * Puts all that is in one store into another one, as it is: messages with their sequences, streams, sessions,
 * subscriptions, cursors, notes, retained messages, wills, counts by topic. The source stays as it is. A mark in the target
 * says that it is not complete; as long as it is there, the same migration goes on where it was. In the end the target is
 * opened anew, read back and compared.
 * @throws QueueError QUEUE_REQUEST_INVALID: nothing was done; QUEUE_DATA_CORRUPT: the target differs; and those of the stores.
 */
export async function migrate(options: MigrateOptions): Promise<Migrated> {
  const opened = await open(options.source)
  const result = { isDone: false, isResumed: false, counts: null as Counts | null }
  try {
    assertSource(opened.contents, opened.side.name)
    const source = { ...opened, contents: await wholeOf(opened.store, opened.contents, opened.side.name) }
    await assertOneLane(source.store, source.contents, source.side.name)
    result.isResumed = await fill(options, source)
    result.counts = await check(options, source)
    result.isDone = true
  } catch (cause) {
    if (cause !== STOPPED) throw cause
  } finally {
    await opened.store.close()
  }
  return result
}

/** @returns whether it went on where an earlier one had ended. */
async function fill(options: MigrateOptions, source: Open): Promise<boolean> {
  const mark: Mark = { from: source.side.name, fingerprint: fingerprintOf(source.contents) }
  const target = await open(options.target)
  try {
    assertTarget(target.contents, target.side.name, mark)
    await copy(options, source, target, mark)
    return markOf(target.contents) !== null
  } finally {
    await target.store.close()
  }
}

/** Opens a store; a server that runs on it is told of as what it is. */
async function open(side: Side): Promise<Open> {
  const store = await side.make()
  try {
    return { side, store, contents: await store.open() }
  } catch (cause) {
    if (!isQueueError(cause)) throw cause
    const isInUse = cause.code === 'QUEUE_DATA_IN_USE' || cause.code === 'QUEUE_BROKER_NAME_IN_USE'
    throw isInUse ? refusal(`a server runs on ${side.name}: stop it first`, cause) : cause
  }
}

async function copy(options: MigrateOptions, source: Open, target: Open, mark: Mark): Promise<void> {
  const writer = new RowWriter(target.store, target.contents)
  const rows = writer.missing(rowsOf(source.contents))
  const isStream = ({ table }: (typeof rows)[number]) => table === 'stream'
  await target.store.state.write([markChange(mark)], { sync: true })
  // the row of a stream is on stable storage before any record uses its id
  await writer.write(rows.filter(isStream), () => {})
  await copyMessages(options, source, target)
  const others = rows.filter(row => !isStream(row))
  await writer.write(others, written => step(options, 'rows', written, others.length))
  await copyNotes(source, target)
}

/** Tells how far it is. @throws STOPPED */
function step({ progress, isStopped }: MigrateOptions, phase: Phase, done: number, total: number): void {
  progress(phase, done, total)
  if (isStopped()) throw STOPPED
}

/** Goes on behind the last message that is there. */
async function copyMessages(options: MigrateOptions, source: Open, target: Open): Promise<void> {
  const through = headOf(source.contents)
  const writer = new BatchWriter(target.store.lane)
  const range = { after: target.contents.nextSequence - 1, through }
  let last = range.after
  for await (const block of readKept(source.store.lane, range, streamsOf(source.contents))) {
    for (const kept of block.records) await writer.add(kept)
    last = block.records.at(-1)?.sequence ?? last
    step(options, 'messages', block.through, through)
  }
  // sequences go on behind the last one that the source gave out, also when that message is gone
  if (last < through) await writer.add({ sequence: through, record: placeRecord(through) })
  await writer.flush()
}

function placeRecord(sequence: number): Buffer {
  const message = Message.from({ topicField: topicField(PLACE_TOPIC), payload: Buffer.alloc(0), qos: 1 })
  message.sequence = sequence
  return recordOf(message, [])
}

async function copyNotes(source: Open, target: Open): Promise<void> {
  const { notes } = source.contents
  const there = target.contents.notes
  if (!there.every((note, i) => notes[i]?.equals(note))) {
    throw refusal(`${target.side.name} was used since the migration began: empty it and begin anew`)
  }
  for (const note of notes.slice(there.length)) await target.store.notes.append(note, { sync: true })
}

/**
 * Compares the source with the target as it is found when opened anew, and takes the mark out.
 * @throws QueueError QUEUE_DATA_CORRUPT
 */
async function check(options: MigrateOptions, source: Open): Promise<Counts> {
  const target = await open(options.target)
  try {
    const through = headOf(source.contents)
    const stepAt = (before: number) => (sequence: number) =>
      step(options, 'check', before + sequence, 2 * through)
    const wanted = await takeInventory(source.store, source.contents, () => true, stepAt(0))
    const isPlaced = wanted.lastSequence < through
    const isMoved = (sequence: number) => !isPlaced || sequence !== through
    const found = await takeInventory(target.store, target.contents, isMoved, stepAt(through))
    const differing = differences(wanted, found)
    if (differing.length > 0) throw differs(target.side.name, differing)
    await target.store.state.write([markChange(null)], { sync: true })
    return found.counts
  } finally {
    await target.store.close()
  }
}

function differs(file: string, differing: readonly string[]): QueueError {
  const problem = `differs from the source (${differing.join('; ')}): empty it and begin anew`
  return new QueueError('QUEUE_DATA_CORRUPT', { detail: { file, problem, isDifferent: true } })
}
