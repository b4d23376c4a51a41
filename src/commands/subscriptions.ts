import type { Command } from './command.ts'
import { ageText } from './human.ts'
import { type ListView, listOptions, printList } from './list.ts'
import type { Column } from './table.ts'

/** A subscription as GET /v1/subscriptions shows it; times in ISO 8601. */
export interface SubscriptionRow {
  readonly client: string
  /** The broker that has it; null: the server is alone on its store. */
  readonly broker?: string | null
  readonly filter: string
  readonly queue: string
  readonly event: string
  readonly qos: number
  readonly connected: boolean
  /** Null when it is not known. */
  readonly createdAt: string | null
}

const LIST: ListView<SubscriptionRow> = {
  name: 'subscriptions',
  columns: subscriptionColumns,
  empty: 'There is no such subscription.',
  sorts: ['client', 'createdAt', 'qos'],
  flags: {
    client: { describe: 'Subscriptions of this client id', query: 'client', takes: 'text' },
    filter: { describe: 'Subscriptions with exactly this filter', query: 'filter', takes: 'text' },
    queue: { describe: 'Subscriptions that can match a topic of this queue', query: 'queue', takes: 'text' },
    matches: { describe: 'Subscriptions that match this topic', query: 'matches', takes: 'text' },
    connected: {
      ...{ describe: 'Those whose client is connected', query: 'connected', takes: 'nothing' },
      value: 'true'
    },
    away: {
      ...{ describe: 'Those whose client is away', query: 'connected', takes: 'nothing' },
      value: 'false'
    }
  }
}

/** `restante subscriptions`: who is subscribed to what. */
export const subscriptionsCommand: Command = {
  usage: 'subscriptions',
  describe: 'Show who is subscribed to which events',
  options: listOptions(LIST),
  examples: [
    ['restante subscriptions --matches DB/CREATE', 'who would get a message of this topic'],
    ['restante subscriptions --client logger', 'those of one client']
  ],
  run: args => printList(args, LIST)
}

/** Columns for subscriptions; ages are those at `nowMs`. */
export function subscriptionColumns(nowMs: number): Column<SubscriptionRow>[] {
  return [
    { head: 'CLIENT', cell: row => row.client },
    { head: 'BROKER', rank: 4, isOptional: true, cell: row => row.broker ?? '-' },
    { head: 'QUEUE', cell: row => row.queue },
    { head: 'EVENT', cell: row => row.event || '-' },
    { head: 'QOS', rank: 1, align: 'right', cell: row => row.qos },
    { head: 'CONNECTED', rank: 2, cell: row => (row.connected ? 'yes' : 'no') },
    { head: 'SINCE', rank: 3, cell: row => ageText(row.createdAt, nowMs) || '?' }
  ]
}
