import { type Arguments, type Command, CommandError, EXIT, textArgument } from './command.ts'
import { ageText, bytesText } from './human.ts'
import { type ListView, listOptions, printList } from './list.ts'
import type { QueryFlags } from './query-flags.ts'
import type { Column } from './table.ts'

/** A message as GET /v1/messages shows it; times in ISO 8601. Null: not known, or there is none. */
export interface MessageRow {
  readonly id: string | null
  readonly topic: string
  readonly queue: string
  readonly event: string
  readonly qos: number
  readonly retained: boolean
  readonly publisher: string | null
  readonly acceptedAt: string | null
  readonly expiresAt: string | null
  readonly payloadBytes: number
  readonly payload: string
  readonly encoding: 'utf8' | 'base64'
  /** Whether `payload` is only the beginning. */
  readonly cut: boolean
  readonly properties: {
    readonly contentType: string | null
    readonly responseTopic: string | null
    readonly correlationData: string | null
    readonly userProperties: Readonly<Record<string, readonly string[]>>
  } | null
}

/** A message that a session has still to ack, as GET /v1/sessions/{id}/messages shows it. */
export interface OwedRow {
  readonly status: 'queued' | 'inflight'
  readonly sequence: number | null
  /** Null when the store does not have it any more. */
  readonly message: MessageRow | null
}

const SHOWN_MESSAGES = 50

const KEPT_FLAGS: QueryFlags = {
  queue: { describe: 'Messages of this queue', query: 'queue', takes: 'text' },
  event: { describe: 'Messages of this event of the queue', query: 'event', takes: 'text' },
  topic: { describe: 'Messages that match this topic filter', query: 'topic', takes: 'text' },
  publisher: { describe: 'Messages that this client id has published', query: 'publisher', takes: 'text' },
  since: {
    ...{ describe: 'Accepted at this time or later: ISO 8601, or how long ago (5min, 2h, 1d)' },
    ...{ query: 'from', takes: 'time' }
  },
  until: { describe: 'Accepted before this time', query: 'to', takes: 'time' }
}

const OWED_FLAGS: QueryFlags = {
  status: {
    ...{ describe: 'With a session: only those queued, or only those inflight' },
    ...{ query: 'status', takes: 'text', choices: ['queued', 'inflight'] }
  }
}

const KEPT: ListView<MessageRow> = {
  name: 'messages',
  flags: KEPT_FLAGS,
  limit: SHOWN_MESSAGES,
  columns: messageColumns,
  empty: 'No such message is kept.'
}

/** `restante messages`: what is kept, the newest first; with a session, what that has still to ack. */
export const messagesCommand: Command = {
  usage: 'messages [session]',
  describe: 'Show kept messages, the newest first, or what a session has still to ack',
  positionals: { session: { describe: 'Client id: what this session has still to ack, the oldest first' } },
  options: listOptions({ flags: { ...KEPT_FLAGS, ...OWED_FLAGS }, limit: SHOWN_MESSAGES }),
  examples: [
    ['restante messages --queue DB --since 5min', 'what came for queue DB in the last five minutes'],
    ['restante messages logger --status queued', 'what logger is still to be sent'],
    ['restante message lane-1:42', 'one of them, whole']
  ],
  run(args) {
    const session = textArgument(args, 'session')
    refuseFlags(args, session === undefined ? OWED_FLAGS : KEPT_FLAGS, session === undefined)
    return session === undefined ? printList(args, KEPT) : printOwed(args, session)
  }
}

function refuseFlags(args: Arguments, flags: QueryFlags, isWithout: boolean): void {
  const given = Object.keys(flags).find(name => args[name] !== undefined)
  if (given === undefined) return
  const problem = `--${given} goes ${isWithout ? 'with' : 'without'} a session`
  throw new CommandError(problem, { exitCode: EXIT.usage })
}

function printOwed(args: Arguments, session: string): Promise<number> {
  return printList<OwedRow>(args, {
    name: 'messages',
    path: `sessions/${encodeURIComponent(session)}/messages`,
    flags: OWED_FLAGS,
    limit: SHOWN_MESSAGES,
    columns: owedColumns,
    empty: 'It has no such message to ack.'
  })
}

/** Columns for kept messages; ages are those at `nowMs`. */
export function messageColumns(nowMs: number): Column<MessageRow>[] {
  return [
    { head: 'ID', cell: row => row.id ?? '?' },
    { head: 'AGE', align: 'right', cell: row => ageText(row.acceptedAt, nowMs) || '?' },
    { head: 'TOPIC', cell: row => row.topic },
    { head: 'QOS', rank: 3, align: 'right', cell: row => row.qos },
    { head: 'PUBLISHER', rank: 2, cell: row => row.publisher ?? '-' },
    { head: 'SIZE', rank: 1, align: 'right', cell: row => bytesText(row.payloadBytes) },
    { head: 'PAYLOAD', cell: payloadText }
  ]
}

/** Columns for what a session has still to ack. */
export function owedColumns(nowMs: number): Column<OwedRow>[] {
  const columns = messageColumns(nowMs).map(({ cell, ...column }) => ({
    ...column,
    cell: ({ message }: OwedRow) => (message === null ? '-' : cell(message))
  }))
  const gone = (row: OwedRow) =>
    row.message === null ? `${row.sequence ?? '?'} (gone)` : (row.message.id ?? '?')
  return [{ head: 'STATUS', cell: ({ status }) => status }, { head: 'ID', cell: gone }, ...columns.slice(1)]
}

/** A payload in one line. */
export function payloadText({ payload, encoding, cut }: MessageRow): string {
  return `${encoding === 'base64' ? 'base64:' : ''}${payload}${cut ? '…' : ''}`
}
