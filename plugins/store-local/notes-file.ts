import { crc32 } from 'node:zlib'

/**
 * A file of notes is one frame behind the other. Numbers grow by one from note to note and run on from file to file.
 * All numbers are little-endian.
 *
 * ```
 * u32 bytes of the note | u32 crc32(number, note) | u48 number | note
 * ```
 *
 * Rule for changing it: files of notes live until the next checkpoint, so another form needs another file ending.
 */
export const FRAME_BYTES = 14
const NUMBER_BYTES = 6
const CRC_AT = 4
const NUMBER_AT = 8

/** What stands in front of a note. */
export function encodeFrame(number: number, note: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_BYTES)
  bytes.writeUInt32LE(note.length, 0)
  bytes.writeUIntLE(number, NUMBER_AT, NUMBER_BYTES)
  bytes.writeUInt32LE(crc32(note, crc32(bytes.subarray(NUMBER_AT))), CRC_AT)
  return bytes
}

/** What a file of notes says. */
export interface NotesRead {
  readonly notes: readonly Buffer[]
  /** Bytes up to the end of the last good frame. */
  readonly end: number
  /**
   * What follows: nothing; the beginning of a frame, as an append leaves it that was cut short; or something that
   * is no frame, or not the next one.
   */
  readonly tail: 'none' | 'cut' | 'bad'
}

/** Reads frames up to the first that is not whole, not good, or not the next in number. */
export function readFrames(bytes: Buffer, firstNumber: number): NotesRead {
  const notes: Buffer[] = []
  let at = 0
  for (;;) {
    if (at === bytes.length) return { notes, end: at, tail: 'none' }
    if (at + FRAME_BYTES > bytes.length) return { notes, end: at, tail: 'cut' }
    const end = at + FRAME_BYTES + bytes.readUInt32LE(at)
    if (end > bytes.length) return { notes, end: at, tail: 'cut' }
    const isGood =
      crc32(bytes.subarray(at + NUMBER_AT, end)) === bytes.readUInt32LE(at + CRC_AT) &&
      bytes.readUIntLE(at + NUMBER_AT, NUMBER_BYTES) === firstNumber + notes.length
    if (!isGood) return { notes, end: at, tail: 'bad' }
    notes.push(bytes.subarray(at + FRAME_BYTES, end))
    at = end
  }
}

const NAME = /^(\d{1,15})\.(log|cut)$/

/** What the name of a file of notes says. */
export interface NotesName {
  readonly generation: number
  /** A note that belonged into it could not be written. */
  readonly isCut: boolean
}

/** Reads a name; `null` when it is none of ours. */
export function parseNotesName(name: string): NotesName | null {
  const found = NAME.exec(name)
  return found && { generation: Number(found[1]), isCut: found[2] === 'cut' }
}
