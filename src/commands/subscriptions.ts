import { systemClock } from '../clock.ts'
import type { Command } from './command.ts'
import { httpOptions } from './http-client.ts'
import { ageText } from './human.ts'
import { printList } from './list.ts'
import type { Column } from './table.ts'

/** `restante subscriptions`: who is subscribed to what. */
export const subscriptionsCommand: Command = {
  usage: 'subscriptions',
  describe: 'Show who is subscribed to which events',
  options: httpOptions,
  run: args =>
    printList(args, {
      name: 'subscriptions',
      columns: subscriptionColumns(systemClock.now()),
      empty: 'There is no subscription.'
    })
}

/** A subscription as GET /v1/subscriptions shows it; times in ISO 8601. */
export interface SubscriptionRow {
  readonly client: string
  readonly filter: string
  readonly queue: string
  readonly event: string
  readonly qos: number
  readonly connected: boolean
  readonly createdAt: string
}

/** Columns for subscriptions; ages are those at `nowMs`. */
export function subscriptionColumns(nowMs: number): Column<SubscriptionRow>[] {
  return [
    { head: 'CLIENT', cell: row => row.client },
    { head: 'QUEUE', cell: row => row.queue },
    { head: 'EVENT', cell: row => row.event || '-' },
    { head: 'QOS', align: 'right', cell: row => row.qos },
    { head: 'CONNECTED', cell: row => (row.connected ? 'yes' : 'no') },
    { head: 'SINCE', cell: row => ageText(row.createdAt, nowMs) }
  ]
}
