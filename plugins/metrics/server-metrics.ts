import { Counter, Gauge, type Registry } from 'prom-client'
import { type Directory, DROP_REASONS, type ServerView } from '../../src/plugin.ts'
import type { BacklogTotal } from './backlog-total.ts'

type Figures = Readonly<
  Record<string, { readonly help: string; readonly value: (server: ServerView) => number }>
>

/** What rises and falls. */
const GAUGES: Figures = {
  restante_connected_clients: {
    help: 'Clients that are connected.',
    value: server => server.connectedClients
  },
  restante_persistent_sessions: {
    help: 'Sessions that outlive their connection, connected or not.',
    value: server => server.persistentSessions
  },
  restante_subscriptions: { help: 'Subscriptions of all sessions.', value: server => server.subscriptions },
  restante_inflight_messages: {
    help: 'Messages sent to sessions and not acked yet.',
    value: server => server.inflightMessages
  },
  restante_retained_messages: {
    help: 'Topics with a retained message, those under $SYS included.',
    value: server => server.retainedMessages
  },
  restante_store_bytes: {
    help: 'Bytes that the messages take on disk.',
    value: server => server.storedBytes
  },
  restante_store_accepting: {
    help: 'Whether publishes are accepted: 1, or 0 after the store has failed.',
    value: server => Number(server.isAccepting)
  }
}

/** What only rises while the server runs. */
const COUNTERS: Figures = {
  restante_connections_total: { help: 'Clients that were let in.', value: server => server.connections },
  restante_messages_accepted_total: {
    help: 'Messages taken over, from clients and from inside.',
    value: server => server.acceptedMessages
  },
  restante_messages_refused_total: {
    help: 'Messages that the store did not take.',
    value: server => server.refusedMessages
  },
  restante_received_bytes_total: {
    help: 'Bytes read from connections.',
    value: server => server.receivedBytes
  },
  restante_sent_bytes_total: { help: 'Bytes written to connections.', value: server => server.sentBytes }
}

/** Registers the figures of the server; they are read when they are asked for. */
export function addServerMetrics(registry: Registry, directory: Directory, backlog: BacklogTotal): void {
  const server = oncePerTurn(() => directory.server())
  const registers = [registry]
  for (const [name, { help, value }] of Object.entries(GAUGES)) {
    new Gauge({
      ...{ name, help, registers },
      collect() {
        this.set(value(server()))
      }
    })
  }
  for (const [name, { help, value }] of Object.entries(COUNTERS)) {
    new Counter({
      ...{ name, help, registers },
      collect() {
        this.reset()
        this.inc(value(server()))
      }
    })
  }
  addSessions(registry, server)
  addByQos(registry, 'restante_messages_received_total', 'PUBLISH packets from clients.', () => {
    return server().receivedByQos
  })
  addByQos(
    registry,
    'restante_messages_sent_total',
    'PUBLISH packets to clients, redeliveries included.',
    () => {
      return server().sentByQos
    }
  )
  addDrops(registry, server)
  addBacklog(registry, backlog)
}

function addSessions(registry: Registry, server: () => ServerView): void {
  new Gauge({
    name: 'restante_sessions',
    help: 'Sessions, by whether their client is connected or away.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const { connectedClients, sessions } = server()
      this.set({ state: 'connected' }, connectedClients)
      this.set({ state: 'away' }, Math.max(0, sessions - connectedClients))
    }
  })
}

function addByQos(registry: Registry, name: string, help: string, counts: () => readonly number[]): void {
  new Counter({
    ...{ name, help, labelNames: ['qos'], registers: [registry] },
    collect() {
      this.reset()
      for (const [qos, count] of counts().entries()) this.inc({ qos: String(qos) }, count)
    }
  })
}

function addDrops(registry: Registry, server: () => ServerView): void {
  new Counter({
    name: 'restante_deliveries_dropped_total',
    help: 'Deliveries that were not made and will not be, by reason.',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      const { drops } = server()
      this.reset()
      for (const reason of DROP_REASONS) this.inc({ reason }, drops[reason])
    }
  })
}

function addBacklog(registry: Registry, backlog: BacklogTotal): void {
  new Gauge({
    name: 'restante_backlog_messages',
    help: 'Messages that all sessions together have still to receive, those inflight not included.',
    registers: [registry],
    async collect() {
      this.set((await backlog.read())?.messages ?? Number.NaN)
    }
  })
  new Gauge({
    name: 'restante_backlog_counted_timestamp_seconds',
    help: 'When restante_backlog_messages was counted, in seconds since 1970.',
    registers: [registry],
    async collect() {
      this.set(((await backlog.read())?.countedAt ?? Number.NaN) / 1_000)
    }
  })
}

/** Reads once for all that ask in the same turn of the event loop. */
function oncePerTurn<Value>(read: () => Value): () => Value {
  let value: Value | undefined
  return () => {
    if (value === undefined) {
      value = read()
      queueMicrotask(() => {
        value = undefined
      })
    }
    return value
  }
}
