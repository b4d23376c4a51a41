import { createRequire } from 'node:module'
import { bold, isColoured, printable, terminalColumns } from './terminal.ts'

/** A column of a table: its head, and the cell of a row. */
export interface Column<Row> {
  readonly head: string
  /** What stands right is a figure, and never shortened. */
  readonly align?: 'left' | 'right'
  /** Columns with the highest rank are left out first where the terminal is too narrow; those without one stay. */
  readonly rank?: number
  /** Left out when there is nothing in it (a dash) for any row. */
  readonly isOptional?: boolean
  cell(row: Row): string | number
}

const GAP = 2
/** Texts are shortened to this before columns are left out, and then to the second. */
const SHORT = 16
const SHORTEST = 6
const NO_LINES = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid']
    .flatMap(side => [side, `${side}-mid`, `${side}-left`, `${side}-right`, `${side}-mid-mid`])
    .map(name => [name, ''])
)

/** How a table is shown; by default as stdout wants it. */
export interface TableForm {
  /** Columns of the terminal; Infinity for none. */
  readonly width: number
  readonly coloured: boolean
}

interface Fitted<Row> {
  readonly column: Column<Row>
  readonly cells: readonly string[]
  /** Characters of the longest cell or the head. */
  readonly natural: number
}

/**
 * A table without lines: fit for eyes, grep and awk; one line a row. Where the terminal is too narrow, long texts are
 * shortened (…), then columns that matter less are left out.
 */
export function tableText<Row>(
  columns: readonly Column<Row>[],
  rows: Iterable<Row>,
  form: TableForm = tableForm()
): string {
  const all = [...rows]
  const { shown, widths } = chooseColumns(
    columns.map(column => fitted(column, all)).filter(isWorthShowing),
    form.width
  )
  // loaded here: most runs of the program show no table
  const Table = createRequire(import.meta.url)('cli-table3') as typeof import('cli-table3')
  const table = new Table({
    head: shown.map(({ column }) => bold(column.head, form.coloured)),
    chars: { ...NO_LINES, middle: ' '.repeat(GAP) },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    colAligns: shown.map(({ column }) => column.align ?? 'left'),
    colWidths: widths ?? []
  })
  for (const index of all.keys()) table.push(shown.map(({ cells }) => cells[index] ?? ''))
  return table
    .toString()
    .split('\n')
    .map(line => line.trimEnd())
    .join('\n')
}

/** A table as stdout wants it. */
export function tableForm(): TableForm {
  return { width: terminalColumns(), coloured: isColoured() }
}

function fitted<Row>(column: Column<Row>, rows: readonly Row[]): Fitted<Row> {
  const cells = rows.map(row => printable(String(column.cell(row))))
  const natural = cells.reduce((most, cell) => Math.max(most, [...cell].length), column.head.length)
  return { column, cells, natural: Math.max(1, natural) }
}

function isWorthShowing<Row>({ column, cells }: Fitted<Row>): boolean {
  return !column.isOptional || cells.some(cell => cell !== '-')
}

/** Which columns are shown how wide; no widths when nothing needs to be shortened. */
function chooseColumns<Row>(
  columns: readonly Fitted<Row>[],
  available: number
): { shown: readonly Fitted<Row>[]; widths: number[] | null } {
  let shown = columns
  while (least(shown, SHORT) > available) {
    const rank = Math.max(...shown.map(({ column }) => column.rank ?? 0))
    if (rank === 0) break
    shown = shown.filter(({ column }) => (column.rank ?? 0) < rank)
  }
  if (least(shown, Number.POSITIVE_INFINITY) <= available) return { shown, widths: null }
  let cap = Math.max(SHORTEST, ...shown.map(({ natural }) => natural))
  while (cap > SHORTEST && least(shown, cap) > available) cap -= 1
  return { shown, widths: shown.map(column => width(column, cap)) }
}

/** The width of a table whose texts have at most so many characters. */
function least<Row>(columns: readonly Fitted<Row>[], cap: number): number {
  return columns.reduce((sum, column) => sum + width(column, cap) + GAP, -GAP)
}

function width<Row>({ column, natural }: Fitted<Row>, cap: number): number {
  return column.align === 'right' ? natural : Math.min(natural, cap)
}
