import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { AedesClient } from '../broker/broker.ts'
import type { Timer } from '../clock.ts'
import type { Flushable } from '../delivery/scheduler.ts'
import { Connection } from './connection.ts'
import type { FrontContext } from './context.ts'
import { Pacing } from './pacing.ts'

const SWEEP_MS = 1_000

/** The parts that a front is built on. */
export type FrontParts = Omit<FrontContext, 'tick' | 'pacing' | 'holdForJournal' | 'holdForNote' | 'forget'>

/** All connections. */
export class Front {
  readonly #context: FrontContext
  readonly #connections = new Set<Connection>()
  #heldForJournal: Connection[] = []
  #heldForNote = new Set<Flushable>()
  #tick = 0
  #isStopping = false
  readonly #sweep: Timer

  constructor(parts: FrontParts) {
    const front = this
    this.#context = {
      ...parts,
      pacing: new Pacing(parts.clock),
      get tick() {
        return front.#tick
      },
      holdForJournal: connection => {
        connection.hold('journal')
        this.#heldForJournal.push(connection)
      },
      holdForNote: connection => this.#heldForNote.add(connection),
      forget: connection => this.#connections.delete(connection)
    }
    this.#sweep = parts.clock.every(SWEEP_MS, () => this.#everySecond())
  }

  /** Connections in the order in which they came, those not let in yet included. */
  get connections(): Iterable<Connection> {
    return this.#connections
  }

  /** Those whose session is open. */
  get connectedClients(): number {
    let clients = 0
    for (const { session } of this.#connections) if (session) clients++
    return clients
  }

  /**
   * Takes a connection, as `aedes.handle` does.
   * @param socket any byte stream. @param request the upgrade request of a WebSocket.
   */
  handle(socket: Duplex, request?: IncomingMessage): AedesClient {
    const connection = new Connection(socket, request, this.#context)
    this.#connections.add(connection)
    if (this.#isStopping) connection.shutDown()
    return connection.client
  }

  /** The journal has room again. */
  hasRoom(): void {
    for (const connection of this.#heldForJournal.splice(0)) connection.release('journal')
  }

  /** A note is written: what waited for it goes out. */
  noteWritten(): void {
    const held = this.#heldForNote
    this.#heldForNote = new Set()
    for (const connection of held) connection.flush()
  }

  /** Reads nothing more from anybody; what was read is still answered. */
  stopReading(): void {
    this.#sweep.cancel()
    this.#isStopping = true
    for (const connection of this.#connections) connection.hold('stop')
  }

  /** Closes all connections and resolves when Aedes knows. */
  async close(): Promise<void> {
    for (const connection of [...this.#connections]) connection.shutDown()
    // Aedes hears of it in a later turn, and must not take it for a lost connection with a will to send
    await new Promise(resolve => setImmediate(resolve))
  }

  #everySecond(): void {
    this.#tick++
    for (const connection of this.#connections) connection.sweep(this.#tick)
  }
}
