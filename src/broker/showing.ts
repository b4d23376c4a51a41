import type { Aedes } from 'aedes'
import type { Message } from '../wire/message.ts'
import type { AedesClient } from './aedes-types.ts'
import type { Hooks } from './hooks.ts'
import { insidePacket, packetOf } from './packets.ts'
import type { Watchers } from './watchers.ts'

/** What is needed to show messages to the process. */
export interface ShowingParts {
  readonly aedes: Aedes
  readonly hooks: Hooks
  readonly watchers: Watchers
}

/** Whether anybody in the process wants to see what clients publish. */
export function isWatched({ aedes, hooks, watchers }: ShowingParts): boolean {
  return !watchers.isEmpty || hooks.isSet('published') || aedes.listenerCount('publish') > 0
}

/**
 * Shows what one client publishes to the process, one message after the other: to subscribers in the process, then to
 * the hook `published`, then to listeners of the event `publish`. The next message waits until all of them are ready.
 */
export class Showing {
  readonly #parts: ShowingParts
  readonly #client: AedesClient
  readonly #idle: (error: Error | null) => void
  readonly #queue: Message[] = []
  #isBusy = false

  /** @param idle called when nothing waits any more, after {@link show} has returned false; with what a hook said. */
  constructor(parts: ShowingParts, client: AedesClient, idle: (error: Error | null) => void) {
    this.#parts = parts
    this.#client = client
    this.#idle = idle
  }

  /** @returns false when the process is not ready for the next message yet. */
  show(message: Message): boolean {
    this.#queue.push(message)
    if (!this.#isBusy) this.#run(false)
    return !this.#isBusy
  }

  #run(isLate: boolean): void {
    this.#isBusy = true
    for (let message = this.#queue.shift(); message; message = this.#queue.shift()) {
      let isSync = true
      let isDone = false
      this.#showOne(message, error => {
        isDone = true
        if (error) this.#stop(error)
        else if (!isSync) this.#run(true)
      })
      isSync = false
      if (!isDone) return
    }
    this.#isBusy = false
    if (isLate) this.#idle(null)
  }

  /** A hook has refused what was published already: Aedes ends the connection then. */
  #stop(error: Error): void {
    this.#queue.length = 0
    this.#isBusy = false
    this.#idle(error)
  }

  #showOne(message: Message, done: (error: Error | null) => void): void {
    show(this.#parts, message, this.#client, done)
  }
}

/**
 * Shows one message to the process.
 * @param client null when it is gone. @param done called when the process is ready for the next one.
 */
export function show(
  { aedes, hooks, watchers }: ShowingParts,
  message: Message,
  client: AedesClient | null,
  done: (error: Error | null) => void
): void {
  const packet = packetOf(message)
  packet.payload = Buffer.from(packet.payload) // whoever keeps it must not keep the journal's memory
  const published = () => {
    if (hooks.isSet('published')) {
      aedes.published(packet as never, client as AedesClient, error => done(error ?? null))
    } else done(null)
    aedes.emit('publish', packet, client)
  }
  if (watchers.isEmpty) published()
  else watchers.deliver(insidePacket(aedes, packet, client?.id ?? message.publisher), published)
}
