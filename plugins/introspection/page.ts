import { decodePlace, encodePlace, type Order, type Place, type Sorting } from './cursor.ts'
import { compareText, Top } from './top.ts'
import type { Turn } from './turn.ts'

/** What a caller may ask of every list. */
export interface PageQuery {
  /** Most entries of the answer. */
  readonly limit: number
  /** `next` of the page before. */
  readonly cursor?: string
  readonly sort?: string
  readonly order?: Order
}

/** A page that holds so many rows and rows within rows ends, whatever its limit. */
const MAX_PAGE_WEIGHT = 10_000

/** Units of a turn (see Turn) that making one row takes: far more than looking at an entry. */
const ROW_UNITS = 50

/** What a list can be sorted by, besides its id. */
export interface SortKey<Item> {
  /** The order when the caller names none. */
  readonly order: Order
  /** Null stands at the end in both orders. */
  valueOf(item: Item, turn: Turn): number | null | Promise<number | null>
}

/** What a page is taken from. */
export interface PageSource<Item, Row> {
  /**
   * All entries, in any order. Entries may come and go while the page is read. A null is no entry; who walks far
   * without finding one gives it, so that the walk can pause.
   */
  readonly items: Iterable<Item | null> | AsyncIterable<Item | null>
  /** What `?sort=` calls the id; a list is sorted by it unless told otherwise. */
  readonly idName: string
  /** What entries are told apart by. */
  readonly idOf: (item: Item) => string
  readonly sorts?: Readonly<Record<string, SortKey<Item>>>
  /** Whether an entry is wanted; cheap looks first, dear ones are spent of the turn. */
  readonly accepts?: (item: Item, turn: Turn) => boolean | Promise<boolean>
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

interface Placed<Item> {
  readonly place: Place
  readonly item: Item
}

/** Rows in order, and whether there are more behind them; then there is one at least. */
export interface PagePart<Row> {
  readonly rows: { readonly place: Place; readonly row: Row }[]
  readonly hasMore: boolean
}

/**
 * Reads one page of a sorted list. Only the entries of the page become rows, and the event loop is let go again and
 * again. Sorted by id, an entry that is there from the first page to the last comes exactly once, whatever comes and
 * goes; sorted by a value, so does every entry whose value stays.
 * @throws QueueError QUEUE_REQUEST_INVALID for a cursor that was not given out for this order.
 */
export async function readPage<Item, Row>(
  source: PageSource<Item, Row>,
  query: PageQuery,
  turn: Turn
): Promise<Page<Row>> {
  const { rows, hasMore } = await readPart(source, query, turn)
  const next = hasMore ? encodePlace(sortingOf(source, query), rows.at(-1)!.place) : null
  return { rows: rows.map(({ row }) => row), next }
}

/** As {@link readPage}, with the places of the rows. */
export async function readPart<Item, Row>(
  source: PageSource<Item, Row>,
  query: PageQuery,
  turn: Turn
): Promise<PagePart<Row>> {
  const { items, hasMore } = await selectPage(source, { ...query, ...sortingOf(source, query) }, turn)
  const rows: { place: Place; row: Row }[] = []
  let weight = 0
  for (const [index, { place, item }] of items.entries()) {
    const row = await source.toRow(item)
    rows.push({ place, row })
    const rowWeight = 1 + (source.weigh?.(row) ?? 0)
    weight += rowWeight
    if (index === items.length - 1) break
    if (weight >= MAX_PAGE_WEIGHT) return { rows, hasMore: true }
    if (turn.spend(ROW_UNITS + rowWeight)) await turn.next()
  }
  return { rows, hasMore }
}

/** How a list is sorted when it is asked for so. */
export function sortingOf<Item, Row>(
  { idName, sorts }: Pick<PageSource<Item, Row>, 'idName' | 'sorts'>,
  query: PageQuery
): Sorting {
  const sort = query.sort ?? idName
  return { sort, order: query.order ?? sorts?.[sort]?.order ?? 'asc' }
}

async function selectPage<Item, Row>(
  source: PageSource<Item, Row>,
  query: PageQuery & Sorting,
  turn: Turn
): Promise<{ items: readonly Placed<Item>[]; hasMore: boolean }> {
  const { items, idOf, accepts } = source
  const key = source.sorts?.[query.sort]
  const compare = comparePlaces(query, source)
  const after = decodePlace(query, query.cursor)
  const first = new Top<Placed<Item>>(query.limit + 1, (a, b) => compare(a.place, b.place))
  for await (const item of items) {
    if (turn.spend(1)) await turn.next()
    if (item === null) continue
    const isWanted = accepts?.(item, turn) ?? true
    if (!(isWanted === true || (await isWanted))) continue
    const value = (await key?.valueOf(item, turn)) ?? null
    const place = { value, id: idOf(item) }
    if (after === null || compare(place, after) > 0) first.offer({ place, item })
  }
  const found = first.items()
  return { items: found.slice(0, query.limit), hasMore: found.length > query.limit }
}

/** The order of places in a list that is sorted so; what has no value stands at the end. */
export function comparePlaces({ sort, order }: Sorting, { idName }: { readonly idName: string }) {
  return sort === idName ? byId(order) : byValue(order)
}

function byId(order: Order): (a: Place, b: Place) => number {
  return (a, b) => (order === 'asc' ? compareText(a.id, b.id) : compareText(b.id, a.id))
}

function byValue(order: Order): (a: Place, b: Place) => number {
  return (a, b) => {
    if (a.value === b.value) return compareText(a.id, b.id)
    if (a.value === null || b.value === null) return a.value === null ? 1 : -1
    return order === 'asc' ? a.value - b.value : b.value - a.value
  }
}
