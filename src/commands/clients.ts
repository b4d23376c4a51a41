import { systemClock } from '../clock.ts'
import type { Command } from './command.ts'
import { httpOptions } from './http-client.ts'
import { ageText, bytesText } from './human.ts'
import { namesText, printList } from './list.ts'
import type { Column } from './table.ts'

/** `restante clients`: who is connected. */
export const clientsCommand: Command = {
  usage: 'clients',
  describe: 'Show who is connected',
  options: httpOptions,
  run: args =>
    printList(args, {
      name: 'clients',
      columns: clientColumns(systemClock.now()),
      empty: 'No client is connected.'
    })
}

/** A client as GET /v1/clients shows it; times in ISO 8601. */
export interface ClientRow {
  readonly id: string
  readonly address: string | null
  readonly transport: string
  readonly protocol: string | number
  readonly connectedAt: string
  readonly persistent: boolean
  readonly queues: readonly string[]
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly dropped: number
}

/** Columns for clients; ages are those at `nowMs`. */
export function clientColumns(nowMs: number): Column<ClientRow>[] {
  return [
    { head: 'CLIENT', cell: row => row.id },
    { head: 'ADDRESS', cell: row => row.address ?? '-' },
    { head: 'TRANSPORT', cell: row => row.transport },
    { head: 'MQTT', cell: row => row.protocol },
    { head: 'SESSION', cell: row => (row.persistent ? 'durable' : 'clean') },
    { head: 'QUEUES', cell: row => namesText(row.queues) },
    { head: 'CONNECTED', cell: row => ageText(row.connectedAt, nowMs) },
    { head: 'IN', align: 'right', cell: row => bytesText(row.receivedBytes) },
    { head: 'OUT', align: 'right', cell: row => bytesText(row.sentBytes) },
    { head: 'DROPPED', align: 'right', cell: row => row.dropped }
  ]
}
