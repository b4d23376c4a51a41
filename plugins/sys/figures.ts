import type { Clock, Directory, ServerView } from '../../src/plugin.ts'
import { LOAD_MINUTES, Load } from './load.ts'

/** What is counted by listening, because nobody else does. */
export interface ClientCounts {
  /** Most clients that were connected at one time. */
  maximum: number
  /** Sessions that ended because their time was over. */
  expired: number
}

/** What the figures are made from. */
export interface FigureSources {
  readonly directory: Directory
  readonly clock: Clock
  readonly counts: ClientCounts
  readonly version: string
}

/** Counts of which there is a load, by the name of the load. */
const LOADS: Readonly<Record<string, (server: ServerView) => number>> = {
  connections: server => server.connections,
  'messages/received': server => sum(server.receivedByQos),
  'messages/sent': server => sum(server.sentByQos),
  'publish/received': server => sum(server.receivedByQos),
  'publish/sent': server => sum(server.sentByQos),
  'publish/dropped': server => server.droppedMessages,
  'bytes/received': server => server.receivedBytes,
  'bytes/sent': server => server.sentBytes
}

/** The figures under `$SYS/broker/`, by the rest of the topic. */
export class Figures {
  readonly #sources: FigureSources
  readonly #loads = new Map(Object.keys(LOADS).map(name => [name, new Load()]))
  #readAt: number

  constructor(sources: FigureSources) {
    this.#sources = sources
    this.#readAt = sources.clock.now()
  }

  /** Reads all of them. Loads are those since the last call. */
  read(): ReadonlyMap<string, string> {
    const { directory, clock, counts, version } = this.#sources
    const server = directory.server()
    const now = clock.now()
    const figures = new Map<string, string>([
      ['version', `restante version ${version}`],
      ['uptime', `${Math.max(0, Math.floor((now - server.startedAt) / 1_000))} seconds`]
    ])
    for (const [name, figure] of Object.entries(serverFigures(server, counts)))
      figures.set(name, String(figure))
    const elapsedMs = now - this.#readAt
    this.#readAt = now
    for (const [name, load] of this.#loads) {
      const averages = load.update(LOADS[name]!(server), elapsedMs)
      for (const [index, minutes] of LOAD_MINUTES.entries()) {
        figures.set(`load/${name}/${minutes}min`, averages[index]!.toFixed(2))
      }
    }
    return figures
  }
}

/** @see mosquitto(8), "Broker status" */
function serverFigures(server: ServerView, counts: ClientCounts): Readonly<Record<string, number>> {
  const disconnected = Math.max(0, server.sessions - server.connectedClients)
  const received = sum(server.receivedByQos)
  const sent = sum(server.sentByQos)
  return {
    'bytes/received': server.receivedBytes,
    'bytes/sent': server.sentBytes,
    'clients/connected': server.connectedClients,
    'clients/active': server.connectedClients,
    'clients/disconnected': disconnected,
    'clients/inactive': disconnected,
    'clients/expired': counts.expired,
    'clients/maximum': counts.maximum,
    'clients/total': server.connectedClients + disconnected,
    'messages/inflight': server.inflightMessages,
    'messages/received': received,
    'messages/sent': sent,
    'publish/messages/dropped': server.droppedMessages,
    'publish/messages/received': received,
    'publish/messages/sent': sent,
    'retained messages/count': server.retainedMessages,
    'store/messages/bytes': server.storedBytes,
    'subscriptions/count': server.subscriptions
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
