import type { Duplex } from 'node:stream'
import { SocketView } from '../broker/broker.ts'

/** What a connection hears from Aedes. */
export interface InnerListener {
  /** Bytes that Aedes wrote: whole packets or pieces of them. */
  fromAedes(bytes: Buffer): void
  /** Aedes has ended or destroyed its side. */
  aedesClosed(): void
}

/**
 * The connection as Aedes sees it. It takes everything at once: a client that does not read must never hold up Aedes,
 * which would hold up all others.
 */
export class Inner extends SocketView {
  readonly #listener: InnerListener

  /** @param socket the client's own connection, which answers for addresses and certificates. */
  constructor(listener: InnerListener, socket: Duplex) {
    super(socket, { writableHighWaterMark: 16 * 1024 * 1024 })
    this.#listener = listener
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#listener.fromAedes(bytes)
    done()
  }

  override _final(done: () => void): void {
    this.#listener.aedesClosed()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#listener.aedesClosed()
    done(error)
  }
}
