import { QueueError } from '../../src/plugin.ts'

/** The direction of a list. */
export type Order = 'asc' | 'desc'

/** Where an entry stands in a list that is sorted by value, then by id. */
export interface Place {
  /** Null: it has none, and stands at the end. */
  readonly value: number | null
  readonly id: string
}

/** How a list is sorted. */
export interface Sorting {
  readonly sort: string
  readonly order: Order
}

/** Says where a page ended, for `?cursor=`, in a form that callers need not read. */
export function encodePlace({ sort, order }: Sorting, { value, id }: Place): string {
  return encodeCursor(`${sort} ${order} ${value ?? ''} ${id}`)
}

/**
 * The place in a cursor; null when there is no cursor.
 * @throws QueueError QUEUE_REQUEST_INVALID when it was not made by {@link encodePlace}, or for another order.
 */
export function decodePlace({ sort, order }: Sorting, cursor: string | undefined): Place | null {
  const text = decodeCursor(cursor)
  if (text === null) return null
  const parts = /^(\w+) (asc|desc) (-?[\d.e+-]*) (.*)$/s.exec(text)
  const value = parts?.[3] === '' ? null : Number(parts?.[3])
  if (!parts || Number.isNaN(value)) throw badCursor()
  if (parts[1] !== sort || parts[2] !== order) {
    throw new QueueError('QUEUE_REQUEST_INVALID', {
      detail: { problem: `the cursor is one of sort=${parts[1]}&order=${parts[2]}: ask in the same order` }
    })
  }
  return { value, id: parts[4]! }
}

function encodeCursor(text: string): string {
  return Buffer.from(text).toString('base64url')
}

function decodeCursor(cursor: string | undefined): string | null {
  if (cursor === undefined) return null
  const text = Buffer.from(cursor, 'base64url').toString()
  if (encodeCursor(text) !== cursor) throw badCursor()
  return text
}

/** Makes the place where a part of a list ended into a cursor, which is good for lists of this kind only. */
export function encodePart(kind: string, next: string | null): string | null {
  return next === null ? null : encodeCursor(`${kind} ${next}`)
}

/**
 * The place in a cursor; null when there is no cursor.
 * @throws QueueError QUEUE_REQUEST_INVALID when it was not made by {@link encodePart} for this kind.
 */
export function decodePart(kind: string, cursor: string | undefined): string | null {
  const text = decodeCursor(cursor)
  if (text === null) return null
  if (!text.startsWith(`${kind} `)) throw badCursor()
  return text.slice(kind.length + 1)
}

function badCursor(): QueueError {
  return new QueueError('QUEUE_REQUEST_INVALID', {
    detail: { problem: 'the cursor is not one of this server: expected `next` of the page before' }
  })
}
