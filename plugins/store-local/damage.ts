import { checkRecord, type Logger, RECORD_PREFIX_BYTES } from '../../src/plugin.ts'
import type { Segment } from './segment.ts'
import { BATCH_HEADER_BYTES, batchSequence, isBatchHeader } from './segment-format.ts'

/** A place of a segment that could not be read. */
export interface Damage {
  readonly offset: number
  /** Where reading went on. */
  readonly stop: number
  /** The messages that may have been there: sequences from..to, both included. */
  readonly from: number
  readonly to: number
}

/**
 * Whether a good batch header or record stands at `offset`; `end` is where the readable bytes end.
 * @returns its length in bytes; 0 when the bytes end too early; -1 when what stands there is neither.
 */
export function itemLength(bytes: Buffer, offset: number, end: number, salt: Buffer): number {
  if (end - offset < RECORD_PREFIX_BYTES) return 0
  if (!isBatchHeader(bytes, offset)) return checkRecord(bytes, offset, end)
  if (end - offset < BATCH_HEADER_BYTES) return 0
  return batchSequence(bytes, offset, salt) > 0 ? BATCH_HEADER_BYTES : -1
}

/** The bytes that what stands at `offset` says it takes; there are at least 8 bytes. Nothing is checked. */
export function claimedLength(bytes: Buffer, offset: number): number {
  return isBatchHeader(bytes, offset) ? BATCH_HEADER_BYTES : RECORD_PREFIX_BYTES + bytes.readUInt32LE(offset)
}

/** Tells of damage in the log, once for each place. */
export function reportDamage(log: Logger, segment: Segment, damage: Damage): void {
  segment.isDamaged = true
  if (segment.reported.has(damage.offset)) return
  segment.reported.add(damage.offset)
  log.error(
    {
      file: segment.path,
      offset: damage.offset,
      bytes: damage.stop - damage.offset,
      fromSequence: damage.from,
      toSequence: damage.to
    },
    'the journal is damaged: messages with these sequences cannot be read; the file is kept, the rest of it is used'
  )
}
