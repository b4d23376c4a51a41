import { decodeCursor, encodeCursor } from './cursor.ts'
import { compareText, Top } from './top.ts'
import { Turn } from './turn.ts'

/** What a caller may ask of a list. */
export interface PageQuery {
  /** Most entries of the answer. */
  readonly limit: number
  /** `next` of the page before. */
  readonly cursor?: string
}

/** JSON Schema of {@link PageQuery}. */
export const pageQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000,
      default: 100,
      description: 'Most entries of the answer; it may have fewer although there are more.'
    },
    cursor: {
      type: 'string',
      minLength: 1,
      description: '`next` of the page before; without it the list begins at its start.'
    }
  }
} as const

/** A page that holds so many rows and rows within rows ends, whatever its limit. */
const MAX_PAGE_WEIGHT = 10_000

/** Units of a turn (see Turn) that making one row takes: far more than looking at an entry. */
const ROW_UNITS = 50

/** What a page is taken from. */
export interface PageSource<Item, Row> {
  /**
   * All entries, in any order. Entries may come and go while the page is read. A null is no entry; who walks far
   * without finding one gives it, so that the walk can pause.
   */
  readonly items: Iterable<Item | null>
  /** What entries are sorted by, and told apart by. */
  readonly keyOf: (item: Item) => string
  readonly toRow: (item: Item) => Row | Promise<Row>
  /** Rows within a row. */
  readonly weigh?: (row: Row) => number
}

/** A page as callers get it. */
export interface Page<Row> {
  readonly rows: Row[]
  /** Cursor of the next page; null at the end. */
  readonly next: string | null
}

/**
 * Reads one page of a list, sorted by key. Only the entries of the page become rows, and the event loop is let go
 * again and again. An entry that is there from the first page to the last comes exactly once, whatever comes and goes.
 * @throws QueueError QUEUE_REQUEST_INVALID for a cursor that was not given out by {@link readPage}.
 */
export async function readPage<Item, Row>(
  source: PageSource<Item, Row>,
  query: PageQuery
): Promise<Page<Row>> {
  const turn = new Turn()
  const { items, hasMore } = await selectPage(source, query, turn)
  const rows: Row[] = []
  let weight = 0
  for (const [index, { key, item }] of items.entries()) {
    const row = await source.toRow(item)
    rows.push(row)
    const rowWeight = 1 + (source.weigh?.(row) ?? 0)
    weight += rowWeight
    const isLast = index === items.length - 1
    if (isLast ? hasMore : weight >= MAX_PAGE_WEIGHT) return { rows, next: encodeCursor(key) }
    if (turn.spend(ROW_UNITS + rowWeight)) await turn.next()
  }
  return { rows, next: null }
}

interface Keyed<Item> {
  readonly key: string
  readonly item: Item
}

async function selectPage<Item, Row>(
  { items, keyOf }: PageSource<Item, Row>,
  query: PageQuery,
  turn: Turn
): Promise<{ items: readonly Keyed<Item>[]; hasMore: boolean }> {
  const after = decodeCursor(query.cursor)
  const first = new Top<Keyed<Item>>(query.limit + 1, (a, b) => compareText(a.key, b.key))
  for (const item of items) {
    if (item !== null) {
      const key = keyOf(item)
      if (after === null || key > after) first.offer({ key, item })
    }
    if (turn.spend(1)) await turn.next()
  }
  const found = first.items()
  return { items: found.slice(0, query.limit), hasMore: found.length > query.limit }
}
