import { brokerFact } from './brokers.ts'
import { type Command, textArgument } from './command.ts'
import { type Fact, factsText } from './facts.ts'
import { ageText, bytesText, countText } from './human.ts'
import { type ListView, listOptions, namesText, printItem, printList } from './list.ts'
import type { Column } from './table.ts'

/** A client as GET /v1/clients shows it; times in ISO 8601. Null: not known, or there is none. */
export interface ClientRow {
  readonly id: string
  /** The broker that it is connected to; null: the server is alone on its store. */
  readonly broker?: string | null
  readonly username: string | null
  readonly address: string | null
  readonly transport: string
  readonly protocol: string | number | null
  readonly connectedAt: string | null
  readonly lastActivityAt: string | null
  readonly keepAliveSeconds: number | null
  readonly persistent: boolean
  readonly queues: readonly string[]
  readonly receivedBytes: number | null
  readonly sentBytes: number | null
  readonly receivedMessages: number | null
  readonly sentMessages: number | null
  readonly dropped: number | null
}

const LIST: ListView<ClientRow> = {
  name: 'clients',
  columns: clientColumns,
  empty: 'No client is connected.',
  sorts: [
    ...['id', 'connectedAt', 'lastActivityAt', 'receivedBytes', 'sentBytes'],
    ...['receivedMessages', 'sentMessages', 'dropped']
  ],
  flags: {
    queue: { describe: 'Clients whose session is attached to this queue', query: 'queue', takes: 'text' },
    prefix: { describe: 'Clients whose id begins so', query: 'prefix', takes: 'text' },
    username: { describe: 'Clients of this user', query: 'username', takes: 'text' },
    transport: {
      ...{ describe: 'Clients that are connected so', query: 'transport', takes: 'text' },
      choices: ['tcp', 'websocket', 'stream']
    },
    durable: {
      ...{ describe: 'Clients whose session outlives the connection', query: 'persistent' },
      ...{ takes: 'nothing', value: 'true' }
    },
    clean: {
      ...{ describe: 'Clients whose session ends with the connection', query: 'persistent' },
      ...{ takes: 'nothing', value: 'false' }
    }
  }
}

/** `restante clients`: who is connected; with an id, all about one. */
export const clientsCommand: Command = {
  usage: 'clients [id]',
  describe: 'Show who is connected',
  positionals: { id: { describe: 'Client id of one that is connected' } },
  options: listOptions(LIST),
  examples: [
    ['restante clients --queue DB --watch', 'who is attached to queue DB, shown again every 2 seconds'],
    ['restante clients --sort dropped --limit 10', 'those that lost the most'],
    ['restante clients --json | jq -r ".clients[].id"', 'ids, for a script']
  ],
  run(args) {
    const id = textArgument(args, 'id')
    if (id === undefined) return printList(args, LIST)
    return printItem(args, { path: `clients/${encodeURIComponent(id)}`, text: clientText })
  }
}

/** Columns for clients; ages are those at `nowMs`. */
export function clientColumns(nowMs: number): Column<ClientRow>[] {
  return [
    { head: 'CLIENT', cell: row => row.id },
    { head: 'BROKER', rank: 3, isOptional: true, cell: row => row.broker ?? '-' },
    { head: 'USER', rank: 4, isOptional: true, cell: row => row.username ?? '-' },
    { head: 'ADDRESS', rank: 3, cell: row => row.address ?? '-' },
    { head: 'TRANSPORT', rank: 6, cell: row => row.transport },
    { head: 'MQTT', rank: 6, cell: row => row.protocol ?? '?' },
    { head: 'SESSION', rank: 2, cell: row => (row.persistent ? 'durable' : 'clean') },
    { head: 'QUEUES', cell: row => namesText(row.queues) },
    { head: 'CONNECTED', cell: row => ageText(row.connectedAt, nowMs) || '?' },
    { head: 'IN', rank: 1, align: 'right', cell: row => sizeText(row.receivedBytes) },
    { head: 'OUT', rank: 1, align: 'right', cell: row => sizeText(row.sentBytes) },
    { head: 'DROPPED', align: 'right', cell: row => countText(row.dropped) }
  ]
}

/** All about one client, as text. */
export function clientText(row: ClientRow, nowMs: number): string {
  const facts: readonly Fact[] = [
    ['client', row.id],
    ...brokerFact(row.broker),
    ['user', row.username ?? '-'],
    ['address', row.address ?? '-'],
    ['transport', row.transport],
    ['MQTT', row.protocol],
    ['session', row.persistent ? 'durable: kept while it is away' : 'clean: ends with the connection'],
    ['queues', namesText(row.queues)],
    ['connected', `${row.connectedAt ?? '?'} (${agoText(row.connectedAt, nowMs)})`],
    ['active', agoText(row.lastActivityAt, nowMs)],
    ['keep alive', row.keepAliveSeconds === null ? null : `${row.keepAliveSeconds} s`],
    ['received', `${countText(row.receivedMessages)} messages, ${sizeText(row.receivedBytes)}`],
    ['sent', `${countText(row.sentMessages)} messages, ${sizeText(row.sentBytes)}`],
    ['dropped', row.dropped]
  ]
  return factsText(facts)
}

function agoText(time: string | null, nowMs: number): string {
  return time === null ? '?' : `${ageText(time, nowMs)} ago`
}

function sizeText(bytes: number | null): string {
  return bytes === null ? '?' : bytesText(bytes)
}
