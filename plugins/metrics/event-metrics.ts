import { Counter, Histogram, type Registry } from 'prom-client'
import type { ServerEvents } from '../../src/plugin.ts'

/** From a fast disk in a quiet machine to one that is in trouble. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

/** How many messages share a commit. */
const MESSAGES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000]

/** Registers what is counted as it happens. Label values are reasons and codes of errors: their lists are closed. */
export function addEventMetrics(registry: Registry, events: ServerEvents): void {
  const registers = [registry]
  const duration = new Histogram({
    name: 'restante_commit_duration_seconds',
    help: 'How long it took to write and sync a batch of messages.',
    buckets: SECONDS,
    registers
  })
  const size = new Histogram({
    name: 'restante_commit_messages',
    help: 'Messages in a batch that was written and synced together.',
    buckets: MESSAGES,
    registers
  })
  const bytes = new Counter({
    name: 'restante_committed_bytes_total',
    help: 'Bytes of messages that were written and synced.',
    registers
  })
  events.on('committed', committed => {
    duration.observe(committed.durationMs / 1_000)
    size.observe(committed.messages)
    bytes.inc(committed.bytes)
  })
  countReasons(registry, events)
}

function countReasons(registry: Registry, events: ServerEvents): void {
  const labelNames = ['reason'] as const
  const disconnections = new Counter({
    name: 'restante_disconnections_total',
    help: 'Connections that ended: client (it said DISCONNECT), lost (it did not), or the code of the error.',
    labelNames,
    registers: [registry]
  })
  for (const reason of ['client', 'lost']) disconnections.inc({ reason }, 0)
  events.on('clientDisconnected', ({ reason }) => disconnections.inc({ reason }))
  const ended = new Counter({
    name: 'restante_sessions_ended_total',
    help: 'Sessions that ended: with their connection, expired, replaced by Clean Start, or ended by an administrator.',
    labelNames,
    registers: [registry]
  })
  for (const reason of ['disconnected', 'expired', 'replaced', 'ended']) ended.inc({ reason }, 0)
  events.on('sessionEnded', ({ reason }) => ended.inc({ reason }))
}
