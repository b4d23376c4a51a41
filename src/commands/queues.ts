import { type Command, textArgument } from './command.ts'
import { factsText } from './facts.ts'
import { ageText, countText, rateText } from './human.ts'
import { type ListView, listOptions, printItem, printList } from './list.ts'
import { type Column, tableText } from './table.ts'

/** An event of a queue as GET /v1/queues shows it. */
export interface EventRow {
  readonly event: string
  readonly accepted: number
  readonly ratePerSecond: number
  readonly lastAcceptedAt: string | null
}

/** A queue as GET /v1/queues shows it. */
export interface QueueRow {
  readonly queue: string
  /** Those with the most messages, when there are very many. */
  readonly events: readonly EventRow[]
  readonly eventCount: number
  /** Sessions that are attached, and how many of them are connected. */
  readonly attached: number
  readonly connected: number
  /** Null when it is not known. */
  readonly backlog: number | null
  readonly accepted: number
  readonly ratePerSecond: number
  readonly lastAcceptedAt: string | null
}

const LIST: ListView<QueueRow> = {
  name: 'queues',
  columns: queueColumns,
  empty: 'There is no such queue: nothing was published or subscribed to.',
  sorts: ['queue', 'backlog', 'attached', 'accepted', 'rate', 'lastAcceptedAt'],
  flags: {
    prefix: { describe: 'Queues whose name begins so', query: 'prefix', takes: 'text' },
    'min-backlog': {
      describe: 'Queues with so many messages to be received',
      query: 'minBacklog',
      takes: 'count'
    }
  }
}

/** `restante queues`: what queues there are, their events, and who is attached; with a name, all about one. */
export const queuesCommand: Command = {
  usage: 'queues [queue]',
  describe: 'Show the queues, their events, and how many sessions are attached',
  positionals: { queue: { describe: 'Name of one queue, shown with its events' } },
  options: listOptions(LIST),
  examples: [
    ['restante queues --sort backlog', 'the longest backlogs first'],
    ['restante queues DB', 'all about one, with its events'],
    ['restante sessions --queue DB', 'who is attached to it']
  ],
  run(args) {
    const queue = textArgument(args, 'queue')
    if (queue === undefined) return printList(args, LIST)
    return printItem(args, { path: `queues/${encodeURIComponent(queue)}`, text: queueText })
  }
}

/** Columns for queues; ages are those at `nowMs`. */
export function queueColumns(nowMs: number): readonly Column<QueueRow>[] {
  return [
    { head: 'QUEUE', cell: row => row.queue || '(empty)' },
    { head: 'EVENTS (ACCEPTED)', rank: 1, cell: eventsText },
    { head: 'ATTACHED', align: 'right', cell: row => row.attached },
    { head: 'CONNECTED', rank: 3, align: 'right', cell: row => row.connected },
    { head: 'BACKLOG', align: 'right', cell: row => countText(row.backlog) },
    { head: 'ACCEPTED', rank: 2, align: 'right', cell: row => row.accepted },
    { head: 'RATE', align: 'right', cell: row => rateText(row.ratePerSecond) },
    { head: 'LAST', rank: 4, align: 'right', cell: row => ageText(row.lastAcceptedAt, nowMs) || '-' }
  ]
}

/** All about one queue, as text. */
export function queueText(row: QueueRow, nowMs: number): string {
  const facts = factsText([
    ['queue', row.queue],
    ['attached', `${row.attached} sessions, ${row.connected} of them connected`],
    ['backlog', row.backlog],
    ['accepted', row.accepted],
    ['rate', rateText(row.ratePerSecond)],
    ['last', row.lastAcceptedAt === null ? '-' : `${ageText(row.lastAcceptedAt, nowMs)} ago`]
  ])
  if (row.events.length === 0) return `${facts}\n\nNo message of it was accepted yet.`
  const columns: Column<EventRow>[] = [
    { head: 'EVENT', cell: ({ event }) => event || '(none)' },
    { head: 'ACCEPTED', align: 'right', cell: ({ accepted }) => accepted },
    { head: 'RATE', align: 'right', cell: ({ ratePerSecond }) => rateText(ratePerSecond) },
    { head: 'LAST', align: 'right', cell: ({ lastAcceptedAt }) => ageText(lastAcceptedAt, nowMs) }
  ]
  const hidden = row.eventCount - row.events.length
  const more = hidden > 0 ? `\n… and ${hidden} more events with fewer messages` : ''
  return `${facts}\n\n${tableText(columns, row.events)}${more}`
}

const SHOWN_EVENTS = 8

function eventsText({ events, eventCount }: QueueRow): string {
  if (events.length === 0) return '-'
  const shown = events
    .slice(0, SHOWN_EVENTS)
    .map(({ event, accepted }) => `${event || '(none)'} (${accepted})`)
  const hidden = eventCount - shown.length
  return shown.join(', ') + (hidden > 0 ? `, and ${hidden} more` : '')
}
