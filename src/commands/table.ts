import Table from 'cli-table3'
import { bold, isColoured, printable, terminalColumns } from './terminal.ts'

/** A column of a table: its head, and the cell of a row. */
export interface Column<Row> {
  readonly head: string
  readonly align?: 'left' | 'right'
  cell(row: Row): string | number
}

const GAP = 2
const NARROWEST = 6
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

/**
 * A table without lines: fit for eyes, grep and awk. Where the terminal is too narrow the widest columns are wrapped.
 */
export function tableText<Row>(
  columns: readonly Column<Row>[],
  rows: Iterable<Row>,
  form: TableForm = { width: terminalColumns(), coloured: isColoured() }
): string {
  const cells = [...rows].map(row => columns.map(column => printable(String(column.cell(row)))))
  const heads = columns.map(column => column.head)
  const widths = fittingWidths(naturalWidths([heads, ...cells]), form.width)
  const table = new Table({
    head: heads.map(head => bold(head, form.coloured)),
    chars: { ...NO_LINES, middle: ' '.repeat(GAP) },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    colAligns: columns.map(column => column.align ?? 'left'),
    colWidths: widths ?? [],
    wordWrap: true,
    wrapOnWordBoundary: false
  })
  table.push(...cells)
  return table
    .toString()
    .split('\n')
    .map(line => line.trimEnd())
    .join('\n')
}

function naturalWidths(lines: readonly (readonly string[])[]): number[] {
  const [heads = []] = lines
  return heads.map((_, index) => Math.max(1, ...lines.map(line => [...(line[index] ?? '')].length)))
}

/** Widths that fit, made by cutting the widest columns down to one common width; null when nothing needs a cut. */
function fittingWidths(widths: readonly number[], available: number): number[] | null {
  const room = available - GAP * (widths.length - 1)
  const total = (cap: number): number => widths.reduce((sum, width) => sum + Math.min(width, cap), 0)
  if (total(Number.POSITIVE_INFINITY) <= room) return null
  let cap = room
  while (cap > NARROWEST && total(cap) > room) cap -= 1
  return widths.map(width => Math.min(width, Math.max(cap, NARROWEST)))
}
