import { systemClock } from '../clock.ts'
import { type Arguments, type Command, countArgument, textArgument } from './command.ts'
import { addressOption, askJson, httpBase, readList } from './http-client.ts'
import { flagOptions, flagQuery, type QueryFlags } from './query-flags.ts'
import { type Column, tableText } from './table.ts'
import { show, watchOptions } from './watch.ts'

const MAX_ROWS = 1_000_000_000

/** A list of the server, and how it is shown. */
export interface ListView<Row> {
  /** The key of its rows in the answer. */
  readonly name: string
  /** Behind `v1/`; default: the name. */
  readonly path?: string
  readonly flags: QueryFlags
  /** What it can be sorted by; none: as it comes. */
  readonly sorts?: readonly string[]
  /** Rows that are shown when nobody says how many; default: all. */
  readonly limit?: number
  /** Ages are those at `nowMs`. */
  columns(nowMs: number): readonly Column<Row>[]
  /** What is said when there is no row. */
  readonly empty: string
}

/** One thing of the server, and how it is shown. */
export interface ItemView<Row> {
  /** Behind `v1/`; ids in it are percent-encoded. */
  readonly path: string
  text(row: Row, nowMs: number): string
}

/** The options of a command that shows a list. */
export function listOptions({
  flags,
  sorts = [],
  limit
}: Pick<ListView<never>, 'flags' | 'sorts' | 'limit'>): Command['options'] {
  const sorting = {
    sort: { requiresArg: true, choices: sorts, describe: 'What the list is sorted by' },
    order: { requiresArg: true, choices: ['asc', 'desc'], describe: 'Direction of the sorting' }
  }
  return {
    ...flagOptions(flags),
    ...(sorts.length > 0 ? sorting : {}),
    limit: {
      requiresArg: true,
      describe: 'Show so many at most',
      defaultDescription: limit === undefined ? 'all' : String(limit)
    },
    ...watchOptions,
    ...addressOption
  }
}

/** Reads a list and shows it, as a table or as JSON (all pages as one). */
export function printList<Row>(args: Arguments, view: ListView<Row>): Promise<number> {
  const base = httpBase(args)
  const query = flagQuery(view.flags, args)
  for (const name of ['sort', 'order']) {
    const value = view.sorts ? textArgument(args, name) : undefined
    if (value !== undefined) query.set(name, value)
  }
  const limit = countArgument(args, 'limit', { min: 1, max: MAX_ROWS }) ?? view.limit ?? MAX_ROWS
  const list = { name: view.name, path: view.path ?? view.name, query }
  return show(args, {
    async read(signal): Promise<Record<string, unknown>> {
      const { rows, next, incomplete } = await readList<Row>(base, list, { limit, signal })
      return { [view.name]: rows, next, ...(incomplete.length > 0 && { incomplete }) }
    },
    text: content =>
      listText(view, content[view.name] as readonly Row[], content.next !== null) +
      missingText(content.incomplete as readonly string[] | undefined)
  })
}

/** Reads one thing and shows it, as text or as JSON. */
export function printItem<Row extends object>(
  args: Arguments,
  { path, text }: ItemView<Row>
): Promise<number> {
  const base = httpBase(args)
  return show(args, {
    read: async signal => (await askJson(base, `v1/${path}`, { signal })) as Row,
    text: row => text(row, systemClock.now())
  })
}

/** Names in one cell; a dash when there are none. */
export function namesText(names: readonly string[] | null | undefined): string {
  return names?.length ? names.join(', ') : '-'
}

/** Brokers that have not answered. */
function missingText(names: readonly string[] | undefined): string {
  return names ? `\n… and what ${names.join(', ')} has: no answer in time` : ''
}

function listText<Row>({ columns, empty }: ListView<Row>, rows: readonly Row[], hasMore: boolean): string {
  if (rows.length === 0) return empty
  const table = tableText(columns(systemClock.now()), rows)
  return hasMore ? `${table}\n… and more: --limit shows them` : table
}
