import { brokerFact } from './brokers.ts'
import { type Command, textArgument } from './command.ts'
import { type Fact, factsText } from './facts.ts'
import { ageText, countText, durationText } from './human.ts'
import { type ListView, listOptions, namesText, printItem, printList } from './list.ts'
import { type Column, tableText } from './table.ts'

/** A session as GET /v1/sessions shows it; times in ISO 8601. Null: not known, or there is none. */
export interface SessionRow {
  readonly id: string
  /** The broker that has it; null: the server is alone on its store. */
  readonly broker?: string | null
  readonly connected: boolean
  readonly persistent: boolean
  readonly state: string | null
  readonly queues: readonly string[]
  readonly subscriptions: readonly { filter: string; qos: number; createdAt: string | null }[]
  readonly backlog: number | null
  readonly inflight: number | null
  /** Age of the oldest message it has not acked; null when there is none. */
  readonly oldestAgeMs: number | null
  readonly createdAt: string | null
  readonly connectedAt: string | null
  readonly disconnectedAt: string | null
  readonly lastActivityAt: string | null
  /** Null: for ever. */
  readonly expirySeconds: number | null
  readonly expiresAt: string | null
}

const LIST: ListView<SessionRow> = {
  name: 'sessions',
  columns: sessionColumns,
  empty: 'There is no such session. A client gets a durable one by connecting without Clean Start.',
  sorts: ['id', 'backlog', 'inflight', 'oldest', 'createdAt', 'connectedAt', 'lastActivityAt'],
  flags: {
    queue: { describe: 'Sessions attached to this queue', query: 'queue', takes: 'text' },
    prefix: { describe: 'Sessions whose id begins so', query: 'prefix', takes: 'text' },
    connected: {
      ...{ describe: 'Sessions whose client is connected', query: 'connected', takes: 'nothing' },
      value: 'true'
    },
    away: {
      ...{ describe: 'Sessions whose client is away', query: 'connected', takes: 'nothing' },
      value: 'false'
    },
    state: {
      ...{ describe: 'Sessions in this state', query: 'state', takes: 'text' },
      choices: ['ready', 'caught-up', 'inflight-full', 'socket-full', 'offline']
    },
    'min-backlog': { describe: 'Sessions with so many messages to get', query: 'minBacklog', takes: 'count' },
    'min-inflight': { describe: 'Sessions with so many unacked', query: 'minInflight', takes: 'count' },
    'min-age': {
      ...{ describe: 'Sessions whose oldest message is as old as this (90s, 5min, 2h, 1d)' },
      ...{ query: 'minOldestAgeMs', takes: 'duration' }
    }
  }
}

/** `restante sessions`: whom the server remembers, and how far each is; with an id, all about one. */
export const sessionsCommand: Command = {
  usage: 'sessions [id]',
  describe: 'Show the sessions, connected or away, and what they have still to receive',
  positionals: { id: { describe: 'Client id of one session, shown with its subscriptions' } },
  options: listOptions(LIST),
  examples: [
    ['restante sessions --sort backlog --watch', 'the longest backlogs first, shown again every 2 seconds'],
    ['restante sessions --away --min-age 5min', 'who has been leaving messages lie'],
    ['restante sessions logger', 'all about one']
  ],
  run(args) {
    const id = textArgument(args, 'id')
    if (id === undefined) return printList(args, LIST)
    return printItem(args, { path: `sessions/${encodeURIComponent(id)}`, text: sessionText })
  }
}

/** Columns for sessions; ages are those at `nowMs`. */
export function sessionColumns(nowMs: number): Column<SessionRow>[] {
  return [
    { head: 'SESSION', cell: row => row.id },
    { head: 'BROKER', rank: 3, isOptional: true, cell: row => row.broker ?? '-' },
    { head: 'CONNECTED', cell: row => presence(row, nowMs) },
    { head: 'STATE', rank: 2, cell: row => row.state ?? '?' },
    { head: 'QUEUES', rank: 1, cell: row => namesText(row.queues) },
    { head: 'FILTERS', rank: 4, align: 'right', cell: row => row.subscriptions.length },
    { head: 'BACKLOG', align: 'right', cell: row => countText(row.backlog) },
    { head: 'INFLIGHT', rank: 3, align: 'right', cell: row => countText(row.inflight) },
    { head: 'OLDEST', align: 'right', cell: oldestText },
    { head: 'ENDS', rank: 5, isOptional: true, align: 'right', cell: row => endText(row, nowMs) }
  ]
}

/** All about one session, as text. */
export function sessionText(row: SessionRow, nowMs: number): string {
  const facts: readonly Fact[] = [
    ['session', row.id],
    ...brokerFact(row.broker),
    ['kind', row.persistent ? 'durable: kept while its client is away' : 'clean: ends with its connection'],
    ['connected', presence(row, nowMs)],
    ['state', row.state],
    ['queues', namesText(row.queues)],
    ['backlog', row.backlog],
    ['inflight', row.inflight],
    ['oldest', oldestText(row)],
    ['active', row.lastActivityAt === null ? '-' : `${ageText(row.lastActivityAt, nowMs)} ago`],
    ['created', row.createdAt === null ? null : `${row.createdAt} (${ageText(row.createdAt, nowMs)} ago)`],
    ['ends', endingText(row, nowMs)]
  ]
  const filters: Column<SessionRow['subscriptions'][number]>[] = [
    { head: 'FILTER', cell: ({ filter }) => filter },
    { head: 'QOS', align: 'right', cell: ({ qos }) => qos },
    { head: 'SINCE', cell: ({ createdAt }) => ageText(createdAt, nowMs) || '?' }
  ]
  const subscriptions =
    row.subscriptions.length === 0 ? 'It has no subscription.' : tableText(filters, row.subscriptions)
  return `${factsText(facts)}\n\n${subscriptions}`
}

function oldestText({ oldestAgeMs }: SessionRow): string {
  return oldestAgeMs === null ? '-' : durationText(oldestAgeMs)
}

function presence({ connected, connectedAt, disconnectedAt }: SessionRow, nowMs: number): string {
  if (connected) return connectedAt ? `yes, ${ageText(connectedAt, nowMs)}` : 'yes'
  return disconnectedAt ? `no, ${ageText(disconnectedAt, nowMs)}` : 'no'
}

function endText({ expiresAt }: SessionRow, nowMs: number): string {
  return expiresAt === null ? '-' : `in ${durationText(Math.max(0, Date.parse(expiresAt) - nowMs))}`
}

function endingText(row: SessionRow, nowMs: number): string {
  const { persistent, expirySeconds, expiresAt } = row
  if (expiresAt !== null) return `${endText(row, nowMs)} (${expiresAt})`
  if (!persistent) return 'with its connection'
  return expirySeconds === null ? 'never' : `${durationText(expirySeconds * 1_000)} after its client has left`
}
