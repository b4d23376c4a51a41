import { join } from 'node:path'
import { errorText, type Logger } from '../../src/plugin.ts'
import { type Files, readAt, readWhole, removeIfThere, replaceFile } from './files.ts'
import type { Segment } from './segment.ts'
import {
  BATCH_HEADER_BYTES,
  batchSequence,
  createSalt,
  decodeHeader,
  HEADER_BYTES,
  parseName,
  SALT_BYTES,
  type SegmentHeader
} from './segment-format.ts'
import { decodeIndex, encodeIndex, indexSalt, type SegmentIndex } from './segment-index.ts'

/** Where the segments are, and what is needed to work on them. */
export interface JournalFolder {
  readonly files: Files
  readonly directory: string
  readonly log: Logger
}

/** A segment file found at open. */
export interface FoundSegment {
  readonly path: string
  readonly fileBytes: number
  readonly header: SegmentHeader
  /** The header could not be read; what is known comes from the name and from what else was found. */
  readonly isHeaderDamaged: boolean
}

/**
 * Reads the header of every segment and changes nothing.
 * @returns the segments in the order of their sequences, and files that are left over from an unfinished step.
 * @throws QueueError QUEUE_DATA_VERSION
 */
export async function findSegments(
  folder: JournalFolder
): Promise<{ segments: FoundSegment[]; leftOver: string[] }> {
  const segments: FoundSegment[] = []
  const leftOver: string[] = []
  const names = await folder.files.list(folder.directory)
  for (const name of names) {
    const parsed = parseName(name)
    if (!parsed) continue
    const path = join(folder.directory, name)
    if (parsed.isTemporary) leftOver.push(path)
    else if (parsed.kind === 'seg') segments.push(await findSegment(folder, path))
    else if (!names.includes(name.replace(/idx$/, 'seg'))) leftOver.push(path)
  }
  segments.sort(
    (a, b) => a.header.firstSequence - b.header.firstSequence || a.header.rewrites - b.header.rewrites
  )
  return { segments, leftOver }
}

async function findSegment(folder: JournalFolder, path: string): Promise<FoundSegment> {
  const file = await folder.files.open(path, 'read')
  try {
    const fileBytes = await file.size()
    const beginning = await readAt(file, 0, Math.min(fileBytes, HEADER_BYTES + BATCH_HEADER_BYTES))
    const header = decodeHeader(beginning, path)
    if (header) return { path, fileBytes, header, isHeaderDamaged: false }
    const { firstSequence, rewrites } = parseName(path.slice(folder.directory.length + 1))!
    const salt = firstBatchSalt(beginning) ?? (await saltBeside(folder, path)) ?? createSalt()
    const guess = { lane: '', salt, rewrites, firstSequence, throughSequence: 0, createdAt: 0 }
    return { path, fileBytes, header: guess, isHeaderDamaged: true }
  } finally {
    await file.close()
  }
}

function firstBatchSalt(beginning: Buffer): Buffer | null {
  const salt = beginning.subarray(HEADER_BYTES, HEADER_BYTES + SALT_BYTES)
  return salt.length === SALT_BYTES && batchSequence(beginning, HEADER_BYTES, salt) > 0 ? salt : null
}

async function saltBeside(folder: JournalFolder, path: string): Promise<Buffer | null> {
  try {
    return indexSalt(await readWhole(folder.files, path.replace(/seg$/, 'idx')))
  } catch {
    return null
  }
}

/** Reads the index of a segment; `null` when there is no good one. */
export async function readIndex(folder: JournalFolder, segment: Segment): Promise<SegmentIndex | null> {
  try {
    return decodeIndex(await readWhole(folder.files, segment.indexPath), segment.header)
  } catch {
    return null // missing, or damaged in a way that its checksum hides: it is made again
  }
}

/** Writes the index of a segment. It can be made again, so a failure is only told of. */
export async function writeIndex(
  folder: JournalFolder,
  segment: Segment,
  index: SegmentIndex
): Promise<void> {
  try {
    await replaceFile(folder.files, segment.indexPath, encodeIndex(index, segment.header))
  } catch (error) {
    folder.log.warn({ file: segment.indexPath, error: errorText(error) }, 'an index could not be written')
  }
}

/** Removes a segment and its index. */
export async function removeSegment(folder: JournalFolder, path: string): Promise<void> {
  await folder.files.remove(path)
  await removeIfThere(folder.files, path.replace(/seg$/, 'idx'))
}
