import {
  errorText,
  type LaneBlock,
  type Logger,
  type Message,
  QueueError,
  readRecord,
  systemCode
} from '../../src/plugin.ts'
import { claimedLength, itemLength, reportDamage } from './damage.ts'
import { type Files, readAt } from './files.ts'
import type { Span } from './marks.ts'
import type { Segment } from './segment.ts'
import { batchSequence, isBatchHeader } from './segment-format.ts'

/** Bytes that one read fetches, where the steps between the marks allow. */
const READ_BYTES = 384 * 1024
/** What a message object takes besides the bytes it shows. */
const MESSAGE_BYTES = 128

/**
 * Reads the piece of a segment around `sequence`. What cannot be read of it is reported once and left out.
 * @returns null when the file is not there any more: it was released or rewritten meanwhile.
 * @throws QueueError QUEUE_DATA_CORRUPT when the file cannot be read at all.
 */
export async function readBlock(
  files: Files,
  log: Logger,
  segment: Segment,
  sequence: number
): Promise<LaneBlock | null> {
  const span = segment.marks.span(sequence, READ_BYTES, segment)
  if (!span) return { from: segment.firstSequence, to: segment.lastSequence, messages: [], bytes: 0 }
  const bytes = await readSpan(files, segment, span)
  if (!bytes) return null
  const messages = decode(bytes, span, segment, log)
  return {
    from: span.from,
    to: span.to,
    messages,
    bytes: bytes.length + messages.length * MESSAGE_BYTES
  }
}

async function readSpan(files: Files, segment: Segment, span: Span): Promise<Buffer | null> {
  try {
    const file = await files.open(segment.path, 'read')
    try {
      return await readAt(file, span.offset, span.stop - span.offset)
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return null
    throw new QueueError('QUEUE_DATA_CORRUPT', {
      cause,
      detail: { file: segment.path, problem: `cannot be read (${errorText(cause)})` }
    })
  }
}

function decode(bytes: Buffer, span: Span, segment: Segment, log: Logger): Message[] {
  const messages: Message[] = []
  let last = span.from - 1
  let damagedAt = -1
  const report = (stop: number, to: number) => {
    const offset = span.offset + damagedAt
    if (damagedAt >= 0) reportDamage(log, segment, { offset, stop: span.offset + stop, from: last + 1, to })
    damagedAt = -1
  }
  let at = 0
  while (at < bytes.length) {
    const length = itemLength(bytes, at, bytes.length, segment.header.salt)
    if (length > 0 && isBatchHeader(bytes, at)) {
      at += length
      continue
    }
    const message = length > 0 ? readRecord(bytes, at).message : null
    if (message && message.sequence > last && message.sequence <= span.to) {
      report(at, message.sequence - 1)
      messages.push(message)
      last = message.sequence
      at += length
    } else {
      if (damagedAt < 0) damagedAt = at
      at = resume(bytes, at, span, segment)
    }
  }
  if (bytes.length < span.stop - span.offset && damagedAt < 0) damagedAt = bytes.length
  report(bytes.length, span.to)
  return messages
}

/** Where to go on behind a damaged place: behind its own length, else at the next batch or mark. */
function resume(bytes: Buffer, at: number, span: Span, segment: Segment): number {
  const end = bytes.length
  const { salt } = segment.header
  if (end - at < 8) return end
  const own = at + claimedLength(bytes, at)
  if (own < end && itemLength(bytes, own, end, salt) > 0) return own
  let batch = bytes.indexOf(salt, at + 1)
  while (batch >= 0 && batchSequence(bytes, batch, salt) === 0) batch = bytes.indexOf(salt, batch + 1)
  const mark = segment.marks.after(span.offset + at) - span.offset
  return Math.min(batch < 0 ? end : batch, mark, end)
}
