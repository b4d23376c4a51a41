import { type MessageExpiry, type Posting, QueueError } from '../../src/plugin.ts'
import { type Damage, reportDamage } from './damage.ts'
import { type Scan, scanSegment } from './scan.ts'
import { Segment } from './segment.ts'
import {
  type FoundSegment,
  findSegments,
  type JournalFolder,
  readIndex,
  removeSegment,
  writeIndex
} from './segment-files.ts'
import { HEADER_BYTES } from './segment-format.ts'
import { expiriesOf, type IndexBuilder, postingsOf, type SegmentIndex } from './segment-index.ts'

/** Fewest bytes a record can take. */
const LEAST_RECORD_BYTES = 36

/** A segment that grows, with the index that grows with it. */
export interface GrowingSegment {
  readonly segment: Segment
  readonly index: IndexBuilder
}

/** What was found in the journal folder, made good. */
export interface Journal {
  /** In the order of their sequences; the growing one, when there is one, is the last. */
  readonly segments: readonly Segment[]
  /** Null when a new segment must be begun. */
  readonly growing: GrowingSegment | null
  readonly postings: readonly Posting[]
  readonly expiries: readonly MessageExpiry[]
  /** The lane that the segments belong to; null when there is none. */
  readonly lane: string | null
  /** Above everything found, and above everything that may have been where something is damaged. */
  readonly nextSequence: number
}

/** What is known of the journal from elsewhere. */
export interface Expected {
  /** The lane's name; null when it is not known. */
  readonly lane: string | null
  /** Everything had been written and synced: what cannot be read is damage, also at the end. */
  readonly wasClean: boolean
  /** The machine stopped with a weak fsync mode: what had not been synced may be missing anywhere at the end. */
  readonly mayHaveHoles: boolean
}

/**
 * Opens the journal folder: removes what unfinished steps left, makes lost indexes again, cuts an unfinished write
 * off the end. Damage anywhere else is reported and stays as it is. Everything it answers with is synced.
 * @throws QueueError QUEUE_DATA_VERSION (nothing was changed), QUEUE_DATA_CORRUPT when segments are of another lane.
 */
export async function openJournal(folder: JournalFolder, expected: Expected): Promise<Journal> {
  const { segments, leftOver } = await findSegments(folder)
  const lane = laneOf(segments, expected)
  for (const path of leftOver) await folder.files.remove(path)
  const found = await withoutSuperseded(folder, await withoutUnborn(folder, segments))
  await folder.files.syncDirectory(folder.directory)
  return new Recovery(folder, expected, found, lane).run()
}

function laneOf(segments: readonly FoundSegment[], expected: Expected): string | null {
  let lane = expected.lane
  for (const { path, header, isHeaderDamaged } of segments) {
    if (isHeaderDamaged) continue
    lane ??= header.lane
    if (header.lane === lane) continue
    const problem = `belongs to lane ${header.lane}, the others to ${lane}`
    throw new QueueError('QUEUE_DATA_CORRUPT', { detail: { file: path, problem } })
  }
  return lane
}

/** Without the newest segment when its making was cut short: a header is synced before the first record. */
async function withoutUnborn(
  folder: JournalFolder,
  segments: readonly FoundSegment[]
): Promise<readonly FoundSegment[]> {
  const newest = segments.at(-1)
  if (!newest?.isHeaderDamaged || newest.fileBytes > HEADER_BYTES) return segments
  await removeSegment(folder, newest.path)
  return segments.slice(0, -1)
}

/** Without segments whose records were all moved to another one; they had to be removed when the server stopped. */
async function withoutSuperseded(
  folder: JournalFolder,
  segments: readonly FoundSegment[]
): Promise<readonly FoundSegment[]> {
  const kept: FoundSegment[] = []
  for (const old of segments) {
    const isSuperseded = segments.some(
      ({ header, isHeaderDamaged }) =>
        !isHeaderDamaged &&
        header.rewrites > old.header.rewrites &&
        header.firstSequence <= old.header.firstSequence &&
        header.throughSequence >= old.header.firstSequence
    )
    if (isSuperseded) await removeSegment(folder, old.path)
    else kept.push(old)
  }
  return kept
}

class Recovery {
  readonly #folder: JournalFolder
  readonly #expected: Expected
  readonly #found: readonly FoundSegment[]
  readonly #lane: string | null
  readonly #segments: Segment[] = []
  readonly #postings: Posting[] = []
  readonly #expiries: MessageExpiry[] = []
  #growing: GrowingSegment | null = null
  #nextSequence = 1

  constructor(
    folder: JournalFolder,
    expected: Expected,
    found: readonly FoundSegment[],
    lane: string | null
  ) {
    this.#folder = folder
    this.#expected = expected
    this.#found = found
    this.#lane = lane
  }

  async run(): Promise<Journal> {
    for (const [place, found] of this.#found.entries()) {
      const lastSequence = (this.#found[place + 1]?.header.firstSequence ?? Number.POSITIVE_INFINITY) - 1
      await this.#open(found, lastSequence)
    }
    return {
      segments: this.#segments,
      growing: this.#growing,
      postings: this.#postings,
      expiries: this.#expiries,
      lane: this.#lane,
      nextSequence: this.#nextSequence
    }
  }

  /** @param lastSequence the last that can be in it; Infinity for the newest segment. */
  async #open(found: FoundSegment, lastSequence: number): Promise<void> {
    const segment = new Segment(this.#folder.directory, found.header)
    this.#segments.push(segment)
    if (found.isHeaderDamaged) {
      if (found.header.rewrites > 0 && lastSequence < Number.POSITIVE_INFINITY)
        segment.lastSequence = lastSequence
      this.#report(segment, {
        offset: 0,
        stop: HEADER_BYTES,
        from: found.header.firstSequence,
        to: lastSequence
      })
    }
    const index = await readIndex(this.#folder, segment)
    if (index && index.end <= found.fileBytes) {
      segment.addIndex(index)
      this.#addPostings(index)
    } else {
      await this.#scan(segment, found, lastSequence)
      if (index) this.#reportShort(segment, index, found.fileBytes)
    }
    this.#nextSequence = Math.max(this.#nextSequence, segment.firstSequence, segment.lastSequence + 1)
  }

  async #scan(segment: Segment, found: FoundSegment, lastSequence: number): Promise<void> {
    const isNewest = lastSequence === Number.POSITIVE_INFINITY
    const mayGrow = isNewest && found.header.rewrites === 0 && !found.isHeaderDamaged
    const file = await this.#folder.files.open(segment.path, 'write')
    let scan: Scan
    try {
      scan = await scanSegment(file, segment.header, mayGrow && !this.#expected.wasClean)
      if (scan.tornBytes > 0) {
        this.#tellTorn(segment, scan)
        await file.truncate(scan.index.end)
      }
      // what a killed server wrote may be in memory only; it must not be shown before it is on stable storage
      await file.sync()
    } finally {
      await file.close()
    }
    segment.addIndex(scan.index)
    this.#addPostings(scan.index)
    for (const damage of scan.damages)
      this.#report(segment, { ...damage, to: Math.min(damage.to, lastSequence) })
    if (mayGrow && !segment.isDamaged) this.#growing = { segment, index: scan.index }
    else await writeIndex(this.#folder, segment, scan.index)
    const unreadBytes = found.fileBytes - scan.tornBytes - scan.index.end
    if (isNewest) this.#skipSequences(segment, unreadBytes)
  }

  #addPostings(index: SegmentIndex): void {
    for (const posting of postingsOf(index)) this.#postings.push(posting)
    for (const expiry of expiriesOf(index)) this.#expiries.push(expiry)
  }

  /** Its index knows of more than the file has. */
  #reportShort(segment: Segment, index: SegmentIndex, fileBytes: number): void {
    const to = index.sequences[index.sequences.length - 1] ?? 0
    if (to <= segment.lastSequence) return
    this.#report(segment, { offset: fileBytes, stop: index.end, from: segment.lastSequence + 1, to })
    segment.lastSequence = to
  }

  /** No sequence that a damaged end of the journal may have held is used again. */
  #skipSequences(segment: Segment, unreadBytes: number): void {
    const most = Math.ceil(unreadBytes / LEAST_RECORD_BYTES)
    this.#nextSequence = Math.max(this.#nextSequence, segment.lastSequence + 1 + most)
  }

  #tellTorn(segment: Segment, scan: Scan): void {
    this.#folder.log.warn(
      { file: segment.path, offset: scan.index.end, bytes: scan.tornBytes },
      'cut an unfinished write off the end of the journal'
    )
  }

  #report(segment: Segment, damage: Damage): void {
    if (this.#expected.mayHaveHoles) {
      this.#folder.log.error(
        { file: segment.path, offset: damage.offset, fromSequence: damage.from, toSequence: damage.to },
        'messages with these sequences had not been synced and are lost'
      )
    } else reportDamage(this.#folder.log, segment, damage)
  }
}
