import { QueueError } from '../../src/plugin.ts'

/** Says where a page ended, for `?cursor=`: the key of its last entry, in a form that callers need not read. */
export function encodeCursor(key: string): string {
  return Buffer.from(key).toString('base64url')
}

/**
 * The key in a cursor; null when there is no cursor.
 * @throws QueueError QUEUE_REQUEST_INVALID when it was not made by {@link encodeCursor}.
 */
export function decodeCursor(cursor: string | undefined): string | null {
  if (cursor === undefined) return null
  const key = Buffer.from(cursor, 'base64url').toString()
  if (encodeCursor(key) !== cursor) {
    throw new QueueError('QUEUE_REQUEST_INVALID', {
      detail: { problem: 'the cursor is not one of this server' }
    })
  }
  return key
}
