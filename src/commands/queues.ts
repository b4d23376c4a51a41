import type { Command } from './command.ts'
import { httpOptions } from './http-client.ts'
import { printList } from './list.ts'
import type { Column } from './table.ts'

/** `restante queues`: what queues there are, their events, and who is attached. */
export const queuesCommand: Command = {
  usage: 'queues',
  describe: 'Show the queues, their events, and how many sessions are attached',
  options: httpOptions,
  run: args =>
    printList(args, {
      name: 'queues',
      columns: QUEUE_COLUMNS,
      empty: 'There is no queue yet: nothing was published or subscribed to.'
    })
}

/** A queue as GET /v1/queues shows it. */
export interface QueueRow {
  readonly queue: string
  /** Those with the most messages, when there are very many. */
  readonly events: readonly { event: string; accepted: number }[]
  readonly eventCount: number
  /** Sessions that are attached, and how many of them are connected. */
  readonly attached: number
  readonly connected: number
  /** Null when it cannot be told for this queue alone. */
  readonly backlog: number | null
  readonly accepted: number
}

/** Columns for queues. */
export const QUEUE_COLUMNS: readonly Column<QueueRow>[] = [
  { head: 'QUEUE', cell: row => row.queue },
  { head: 'EVENTS (ACCEPTED)', cell: eventsText },
  { head: 'ATTACHED', align: 'right', cell: row => row.attached },
  { head: 'CONNECTED', align: 'right', cell: row => row.connected },
  { head: 'BACKLOG', align: 'right', cell: row => row.backlog ?? '?' },
  { head: 'ACCEPTED', align: 'right', cell: row => row.accepted }
]

const SHOWN_EVENTS = 8

function eventsText({ events, eventCount }: QueueRow): string {
  if (events.length === 0) return '-'
  const shown = events
    .slice(0, SHOWN_EVENTS)
    .map(({ event, accepted }) => `${event || '(none)'} (${accepted})`)
  const hidden = eventCount - shown.length
  return shown.join(', ') + (hidden > 0 ? `, and ${hidden} more` : '')
}
