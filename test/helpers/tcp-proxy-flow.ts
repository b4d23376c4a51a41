import type { Socket } from 'node:net'

/** Bytes on their way, or the end of the stream, or its reset. */
interface Piece {
  readonly dueAt: number
  readonly pass: () => void
}

/** What a flow does with bytes. */
export interface FlowSettings {
  readonly mode: 'open' | 'hold' | 'swallow'
  readonly delayMs: number
}

/**
 * One direction of a proxied connection. What has arrived stands in a queue in this process, so that it is passed on
 * later even when its sender has closed the connection in the meantime.
 */
export class TcpFlow {
  /** Bytes were swallowed. */
  hasHole = false
  #settings: FlowSettings = { mode: 'open', delayMs: 0 }
  #pieces: Piece[] = []
  #timer: NodeJS.Timeout | undefined
  readonly #from: Socket
  readonly #to: Socket

  constructor(from: Socket, to: Socket) {
    this.#from = from
    this.#to = to
    from.on('data', (bytes: Buffer) => this.#take(() => this.#write(bytes)))
    from.on('end', () => this.#take(() => to.end()))
    from.on('error', () => this.#take(() => (to.writableEnded ? to.destroy() : to.resetAndDestroy())))
    to.on('drain', () => from.resume())
    to.on('close', () => this.stop())
  }

  /** Takes effect for bytes that come from now on and, where nothing is held any more, for those that were held. */
  set(settings: FlowSettings): void {
    this.#settings = { ...settings }
    this.#pump()
  }

  /** Forgets all that is on its way. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#pieces = []
  }

  #take(pass: () => void): void {
    if (this.#settings.mode === 'swallow') {
      this.hasHole = true
      return
    }
    this.#pieces.push({ dueAt: performance.now() + this.#settings.delayMs, pass })
    this.#pump()
  }

  #pump(): void {
    clearTimeout(this.#timer)
    if (this.#settings.mode === 'hold') return
    while (this.#pieces.length > 0 && (this.#pieces[0]!.dueAt <= performance.now() || this.#isHurrying)) {
      this.#pieces.shift()!.pass()
    }
    const [next] = this.#pieces
    if (next) this.#timer = setTimeout(() => this.#pump(), Math.ceil(next.dueAt - performance.now()))
  }

  /** Without a delay, what was delayed before goes at once. */
  get #isHurrying(): boolean {
    return this.#settings.delayMs === 0
  }

  #write(bytes: Buffer): void {
    if (this.#to.writable && !this.#to.write(bytes) && this.#settings.mode === 'open') this.#from.pause()
  }
}
