import { systemClock } from '../clock.ts'
import { type Arguments, type Command, EXIT, textArgument } from './command.ts'
import { getOne, httpBase, httpOptions } from './http-client.ts'
import { ageText, durationText } from './human.ts'
import { namesText, printJson, printList } from './list.ts'
import { type Column, tableText } from './table.ts'
import { printable, writeOut } from './terminal.ts'

/** `restante sessions`: whom the server remembers, and how far each is; with an id, all about one. */
export const sessionsCommand: Command = {
  usage: 'sessions [id]',
  describe: 'Show the sessions, connected or away, and what they have still to receive',
  positionals: { id: { describe: 'Client id of one session, shown with its subscriptions' } },
  options: httpOptions,
  run(args) {
    const id = textArgument(args, 'id')
    return id === undefined ? printSessions(args) : printSession(args, id)
  }
}

/** A session as GET /v1/sessions shows it; times in ISO 8601. */
export interface SessionRow {
  readonly id: string
  readonly connected: boolean
  readonly persistent: boolean
  readonly state: string
  readonly queues: readonly string[]
  readonly subscriptions: readonly { filter: string; qos: number; createdAt: string }[]
  readonly backlog: number
  readonly inflight: number
  /** Age of the oldest message it has not acked; null when there is none. */
  readonly oldestAgeMs: number | null
  readonly createdAt: string
  readonly connectedAt: string | null
  readonly disconnectedAt: string | null
}

/** Columns for sessions; ages are those at `nowMs`. */
export function sessionColumns(nowMs: number): Column<SessionRow>[] {
  return [
    { head: 'SESSION', cell: row => row.id },
    { head: 'CONNECTED', cell: row => presence(row, nowMs) },
    { head: 'STATE', cell: row => row.state },
    { head: 'QUEUES', cell: row => namesText(row.queues) },
    { head: 'FILTERS', align: 'right', cell: row => row.subscriptions.length },
    { head: 'BACKLOG', align: 'right', cell: row => row.backlog },
    { head: 'INFLIGHT', align: 'right', cell: row => row.inflight },
    { head: 'OLDEST', align: 'right', cell: oldestText }
  ]
}

/** All about one session, as text. */
export function sessionText(row: SessionRow, nowMs: number): string {
  const facts: readonly (readonly [string, string | number])[] = [
    ['session', row.id],
    ['kind', row.persistent ? 'durable: kept while its client is away' : 'clean: ends with its connection'],
    ['connected', presence(row, nowMs)],
    ['state', row.state],
    ['queues', namesText(row.queues)],
    ['backlog', row.backlog],
    ['inflight', row.inflight],
    ['oldest', oldestText(row)],
    ['created', `${row.createdAt} (${ageText(row.createdAt, nowMs)} ago)`]
  ]
  const width = Math.max(...facts.map(([name]) => name.length))
  const filters: Column<SessionRow['subscriptions'][number]>[] = [
    { head: 'FILTER', cell: ({ filter }) => filter },
    { head: 'QOS', align: 'right', cell: ({ qos }) => qos },
    { head: 'SINCE', cell: ({ createdAt }) => ageText(createdAt, nowMs) }
  ]
  const subscriptions =
    row.subscriptions.length === 0 ? 'It has no subscription.' : tableText(filters, row.subscriptions)
  const lines = facts.map(([name, value]) => `${name.padEnd(width)}  ${printable(String(value))}`)
  return `${lines.join('\n')}\n\n${subscriptions}`
}

function printSessions(args: Arguments): Promise<number> {
  const columns = sessionColumns(systemClock.now())
  const empty = 'There is no session. A client gets a durable one by connecting without Clean Start.'
  return printList<SessionRow>(args, { name: 'sessions', columns, empty })
}

async function printSession(args: Arguments, id: string): Promise<number> {
  const session = await getOne(httpBase(args), `v1/sessions/${encodeURIComponent(id)}`)
  if (args.json) await printJson(session)
  else await writeOut(`${sessionText(session as SessionRow, systemClock.now())}\n`)
  return EXIT.done
}

function oldestText({ oldestAgeMs }: SessionRow): string {
  return oldestAgeMs === null ? '-' : durationText(oldestAgeMs)
}

function presence({ connected, connectedAt, disconnectedAt }: SessionRow, nowMs: number): string {
  if (connected) return `yes, ${ageText(connectedAt, nowMs)}`
  return disconnectedAt ? `no, ${ageText(disconnectedAt, nowMs)}` : 'no'
}
