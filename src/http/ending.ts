import type { FastifyInstance } from 'fastify'
import type { Clock } from '../clock.ts'
import type { MqttWebSockets } from './websocket.ts'

/** How long running requests may go on after `close`. */
const CLOSE_GRACE_MS = 3_000

/** The end of the HTTP side, in two steps: nothing new, then nothing at all. Each may be called twice. */
export class Ending {
  readonly #app: FastifyInstance
  readonly #webSockets: MqttWebSockets
  readonly #clock: Clock
  #lastConnection: Promise<void> | undefined
  #closed: Promise<void> | undefined
  #hasBegun = false

  constructor(app: FastifyInstance, webSockets: MqttWebSockets, clock: Clock) {
    this.#app = app
    this.#webSockets = webSockets
    this.#clock = clock
  }

  /** Whether the end has begun. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Takes no more connections and WebSockets; those that there are go on. */
  stopAccepting(): void {
    this.#hasBegun = true
    this.#webSockets.stopAccepting()
    const { server } = this.#app
    if (!server.listening) return
    this.#lastConnection = new Promise(resolve => {
      server.close(() => resolve())
    })
  }

  /** Closes WebSockets, lets running requests end for a while, and resolves when no connection is left. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.stopAccepting()
    this.#webSockets.close()
    const timer = this.#clock.after(CLOSE_GRACE_MS, () => this.#app.server.closeAllConnections())
    try {
      await this.#app.close()
      await this.#lastConnection
    } finally {
      timer.cancel()
    }
  }
}
