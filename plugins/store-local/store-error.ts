import { errorText, QueueError, systemCode } from '../../src/plugin.ts'

// Too many open files: nothing was written, and a later try may pass as well.
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EMFILE', 'ENFILE'])
// LevelDB tells the cause of an I/O error in its text only
const FULL_TEXT = /no space left on device|disk quota exceeded|file too large|not enough space/i

/** Whether a write failed because there is no room; it may pass when there is. */
export function isFull(error: unknown): boolean {
  if (error instanceof QueueError) return error.code === 'QUEUE_STORE_FULL'
  return FULL.has(systemCode(error) ?? '') || FULL_TEXT.test(causes(error))
}

/** The error to throw for a failed write: QUEUE_STORE_FULL when there is no room, else QUEUE_STORE_FAILED. */
export function storeError(problem: string, cause: unknown): QueueError {
  if (cause instanceof QueueError) return cause
  const detail = { problem: `${problem}: ${errorText(cause)}` }
  return new QueueError(isFull(cause) ? 'QUEUE_STORE_FULL' : 'QUEUE_STORE_FAILED', { cause, detail })
}

/** The error of a store that takes nothing more. */
export function storeFailed(problem: string, cause: unknown): QueueError {
  return new QueueError('QUEUE_STORE_FAILED', {
    cause,
    detail: { problem: `${problem}: ${errorText(cause)}` }
  })
}

function causes(error: unknown): string {
  let text = ''
  for (let cause = error; cause instanceof Error; cause = cause.cause) text += `${cause.message}\n`
  return text
}
