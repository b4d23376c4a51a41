import { notFound, QueueError } from '../../src/plugin.ts'
import { encodePlace, type Sorting } from './cursor.ts'
import { comparePlaces, type PagePart, type PageQuery, type PageSource, readPart, sortingOf } from './page.ts'
import type { Introspected } from './source.ts'
import { Turn } from './turn.ts'

/** The rows of one broker are cut when they take more as JSON, so that an answer fits into a message between brokers. */
const MOST_CHARACTERS = 4_000_000

/** A page made of the answers of all brokers. */
export interface SharedPage<Row> {
  readonly rows: Row[]
  readonly next: string | null
  /** Brokers that have not answered, when there are any: what they have is missing. */
  readonly incomplete?: readonly string[]
}

/**
 * A list of all brokers: each reads a page of its own in the same order, and one page is made of them. So an answer is as
 * small as a page, and figures are counted where they are.
 */
export class SharedList<Query extends PageQuery, Item, Row> {
  readonly #context: Introspected
  readonly #method: string
  readonly #sourceOf: (query: Query) => PageSource<Item, Row>

  /** @param name of the list; brokers of two versions may ask each other, so a list that changes gets a new one. */
  constructor(context: Introspected, name: string, sourceOf: (query: Query) => PageSource<Item, Row>) {
    this.#context = context
    this.#method = `list/${name}`
    this.#sourceOf = sourceOf
    context.peers?.answer(this.#method, async query => {
      return short(await this.#readPart(query as Query, new Turn()))
    })
  }

  /** @throws QueueError QUEUE_REQUEST_INVALID for a cursor that was not given out for this order. */
  async read(query: Query, turn: Turn): Promise<SharedPage<Row>> {
    const { peers } = this.#context
    // the others count while we do
    const asked = peers?.askAll(this.#method, query)
    const own = await this.#readPart(query, turn)
    const { answers, missing } = (await asked) ?? NOBODY
    const parts = [own, ...answers.map(({ answer }) => answer as PagePart<Row>)]
    const source = this.#sourceOf(query)
    const sorting = sortingOf(source, query)
    return { ...merge(parts, { ...sorting, idName: source.idName }, query.limit), ...incomplete(missing) }
  }

  async #readPart(query: Query, turn: Turn): Promise<PagePart<Row>> {
    return await readPart(this.#sourceOf(query), query, turn)
  }
}

const NOBODY = { answers: [], missing: [] } as const

/** What an answer says of brokers that are not in it; nothing when all are. */
export function incomplete(missing: readonly string[]): { readonly incomplete?: readonly string[] } {
  return missing.length === 0 ? {} : { incomplete: missing }
}

/**
 * Looks for one thing here, and then on the other brokers.
 * @throws QueueError QUEUE_NOT_FOUND; QUEUE_BROKER_AWAY when a broker that may have it does not answer.
 */
export class SharedOne<Question, Answer extends object> {
  readonly #context: Introspected
  readonly #method: string
  readonly #find: (question: Question) => Promise<Answer | null>

  /** @param find null: it is not here. */
  constructor(context: Introspected, name: string, find: (question: Question) => Promise<Answer | null>) {
    this.#context = context
    this.#method = `one/${name}`
    this.#find = find
    context.peers?.answer(this.#method, question => find(question as Question))
  }

  /** @param kind and name of what is looked for, for people. */
  async find(question: Question, kind: string, name: string): Promise<Answer> {
    const own = await this.#find(question)
    if (own) return own
    const { answers, missing } = (await this.#context.peers?.askAll(this.#method, question)) ?? NOBODY
    for (const { answer } of answers) if (answer) return answer as Answer
    throw notFoundOrAway(kind, name, missing)
  }
}

/** QUEUE_NOT_FOUND; or QUEUE_BROKER_AWAY when brokers have not answered, since it may be there. */
export function notFoundOrAway(kind: string, name: string, missing: readonly string[]): QueueError {
  if (missing.length === 0) return notFound(kind, name)
  const problem = `no other broker has the ${kind}, it may be there`
  return new QueueError('QUEUE_BROKER_AWAY', { detail: { name: missing.join(', '), problem } })
}

/** Behind the end of a part that has more there may be entries in between. */
function merge<Row>(
  parts: readonly PagePart<Row>[],
  sorting: Sorting & { readonly idName: string },
  limit: number
): SharedPage<Row> {
  const compare = comparePlaces(sorting, sorting)
  const ends = parts.flatMap(({ rows, hasMore }) => (hasMore ? [rows.at(-1)!.place] : []))
  const bound = ends.sort(compare)[0]
  const known = parts
    .flatMap(({ rows }) => rows)
    .filter(({ place }) => !bound || compare(place, bound) <= 0)
    .sort((a, b) => compare(a.place, b.place))
  // what is just going from one broker to another may be told by both
  const seen = new Set<string>()
  const single = known.filter(({ place }) => !seen.has(place.id) && seen.add(place.id))
  const rows = single.slice(0, limit)
  const hasMore = ends.length > 0 || single.length > limit
  return {
    rows: rows.map(({ row }) => row),
    next: hasMore && rows.length > 0 ? encodePlace(sorting, rows.at(-1)!.place) : null
  }
}

/** As much of a part as fits into a message; one row at least. */
function short<Row>(part: PagePart<Row>): PagePart<Row> {
  let characters = 0
  for (const [i, row] of part.rows.entries()) {
    characters += JSON.stringify(row).length
    if (i > 0 && characters > MOST_CHARACTERS) return { rows: part.rows.slice(0, i), hasMore: true }
  }
  return part
}
