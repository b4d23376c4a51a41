import type { Command } from './command.ts'
import type { Fact } from './facts.ts'
import { ageText, durationText } from './human.ts'
import { type ListView, listOptions, printList } from './list.ts'
import type { Column } from './table.ts'

/** A broker as GET /v1/brokers shows it; times in ISO 8601. */
export interface BrokerRow {
  readonly broker: string
  readonly lane: number
  readonly state: string
  /** Whether it is the one that answers. */
  readonly self: boolean
  readonly heartbeatAgeMs: number
  readonly headSequence: number
  readonly followedSequence: number
  /** Messages in between. */
  readonly lag: number
  readonly startedAt: string
  readonly host: string
  readonly version: string
}

const LIST: ListView<BrokerRow> = {
  name: 'brokers',
  columns: brokerColumns,
  empty: 'This server is alone on its store. Brokers share one with --store mongodb.',
  sorts: ['broker', 'lane', 'heartbeatAge', 'lag', 'startedAt'],
  flags: {
    state: {
      ...{ describe: 'Brokers in this state', query: 'state', takes: 'text' },
      choices: ['live', 'silent', 'stopped', 'dead']
    }
  }
}

/** `restante brokers`: who shares the store, and how far the one that answers has followed each. */
export const brokersCommand: Command = {
  usage: 'brokers',
  describe: 'Show the brokers that share the store',
  options: listOptions(LIST),
  examples: [
    ['restante brokers --watch', 'shown again every 2 seconds'],
    ['restante brokers --state silent --json', 'those without a heartbeat, for a script']
  ],
  run: args => printList(args, LIST)
}

/** Columns for brokers; ages are those at `nowMs`. */
export function brokerColumns(nowMs: number): Column<BrokerRow>[] {
  return [
    { head: 'BROKER', cell: row => (row.self ? `${row.broker} (this one)` : row.broker) },
    { head: 'LANE', rank: 3, align: 'right', cell: row => row.lane },
    { head: 'STATE', cell: row => row.state },
    { head: 'HEARTBEAT', align: 'right', cell: heartbeatText },
    { head: 'NEWEST', rank: 2, align: 'right', cell: row => row.headSequence },
    { head: 'LAG', align: 'right', cell: row => row.lag },
    { head: 'UP', rank: 1, align: 'right', cell: row => upText(row, nowMs) },
    { head: 'HOST', rank: 4, cell: row => row.host || '-' },
    { head: 'VERSION', rank: 5, cell: row => row.version || '-' }
  ]
}

/** One that has ended gives none. */
function heartbeatText({ state, heartbeatAgeMs }: BrokerRow): string {
  if (hasEnded(state)) return '-'
  return heartbeatAgeMs < 1_000 ? `${heartbeatAgeMs} ms` : durationText(heartbeatAgeMs)
}

function upText({ state, startedAt }: BrokerRow, nowMs: number): string {
  return hasEnded(state) ? '-' : ageText(startedAt, nowMs)
}

function hasEnded(state: string): boolean {
  return state === 'stopped' || state === 'dead'
}

/** The broker that has something; nothing where the server is alone on its store. */
export function brokerFact(broker: string | null | undefined): readonly Fact[] {
  return broker ? [['broker', broker]] : []
}
