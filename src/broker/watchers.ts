import { FilterTree } from '../routing/filter-tree.ts'
import type { Emitter, InsideListener, InsidePacket } from './aedes-types.ts'
import { callSafely, once, type Report } from './guard.ts'

/**
 * Who subscribes in the process: `aedes.subscribe`, or the emitter itself. What is published in the process reaches
 * them through the emitter as before; what clients publish is brought to them directly, so that it costs nothing
 * where nobody listens, and a listener that never answers holds up nobody but the client whose message it got.
 * Only those are known that subscribe from now on.
 */
export class Watchers {
  readonly #byFilter = new FilterTree<InsideListener[]>()
  readonly #listeners = new Map<string, InsideListener[]>()
  /** What stands in for a listener in the emitter. */
  readonly #guarded = new WeakMap<InsideListener, InsideListener>()
  readonly #report: Report
  readonly #emitterOn: Emitter['on']

  constructor(emitter: Emitter, report: Report) {
    this.#report = report
    const on = emitter.on.bind(emitter)
    const removeListener = emitter.removeListener.bind(emitter)
    this.#emitterOn = on
    emitter.on = (topic, listener, done) => {
      this.#add(topic, listener)
      on(topic, this.#guard(listener), done)
      return emitter
    }
    emitter.removeListener = (topic, listener, done) => {
      this.#remove(topic, listener)
      removeListener(topic, this.#guard(listener), done)
      return emitter
    }
  }

  get isEmpty(): boolean {
    return this.#listeners.size === 0
  }

  /** Subscribes on behalf of the server: such a listener gets what the process publishes, and nothing of clients. */
  onInside(topic: string, listener: InsideListener): Promise<void> {
    return new Promise(resolve => this.#emitterOn(topic, listener, resolve))
  }

  /** Gives a message to all whose filter matches it; `done` is called when all of them are ready for the next. */
  deliver(packet: InsidePacket, done: () => void): void {
    const listeners = this.#byFilter.match(packet.topic).flat()
    let waiting = listeners.length + 1
    const ready = () => {
      if (--waiting === 0) done()
    }
    for (const listener of listeners) this.#guard(listener)(packet, ready)
    ready()
  }

  #add(topic: string, listener: InsideListener): void {
    const listeners = this.#listeners.get(topic)
    if (listeners) listeners.push(listener)
    else {
      const first = [listener]
      this.#listeners.set(topic, first)
      this.#byFilter.set(topic, first)
    }
  }

  #remove(topic: string, listener: InsideListener): void {
    const listeners = this.#listeners.get(topic)
    const at = listeners?.indexOf(listener) ?? -1
    if (!listeners || at < 0) return
    listeners.splice(at, 1)
    if (listeners.length > 0) return
    this.#listeners.delete(topic)
    this.#byFilter.delete(topic)
  }

  #guard(listener: InsideListener): InsideListener {
    const known = this.#guarded.get(listener)
    if (known) return known
    const guarded: InsideListener = (packet, done) => {
      const ready = once(done)
      const failed = (error: unknown) => {
        this.#report(`a subscriber of ${packet.topic} in the process`, error)
        ready()
      }
      callSafely(() => listener(packet, ready), failed)
    }
    this.#guarded.set(listener, guarded)
    return guarded
  }
}
