import { type Arguments, EXIT } from './command.ts'
import { getList, httpBase } from './http-client.ts'
import { type Column, tableText } from './table.ts'
import { writeOut } from './terminal.ts'

/** A list that the server shows under GET /v1/<name>. */
export interface ListView<Row> {
  readonly name: string
  readonly columns: readonly Column<Row>[]
  /** What is said when there is no row. */
  readonly empty: string
}

/** Reads a list and prints it, as a table or as JSON (all pages as one). */
export async function printList<Row>(
  args: Arguments,
  { name, columns, empty }: ListView<Row>
): Promise<number> {
  const rows = await getList<Row>(httpBase(args), name)
  if (args.json) await printJson({ [name]: rows, next: null })
  else await writeOut(`${rows.length === 0 ? empty : tableText(columns, rows)}\n`)
  return EXIT.done
}

/** Prints JSON for programs and people. */
export async function printJson(content: object): Promise<void> {
  await writeOut(`${JSON.stringify(content, null, 2)}\n`)
}

/** Names in one cell; a dash when there are none. */
export function namesText(names: readonly string[] | null | undefined): string {
  return names?.length ? names.join(', ') : '-'
}
