import type { Message } from '../wire/message.ts'

/**
 * The newest committed messages, by sequence, up to a number of bytes. Most deliveries are served from here.
 *
 * ```
 *  messages  [ gone | kept ... kept ]
 *              ^base  ^start
 * ```
 */
export class Tail {
  readonly #maxBytes: number
  #messages: (Message | undefined)[] = []
  /** Sequence of #messages[0]. */
  #base = 1
  /** Index of the oldest message still kept. */
  #start = 0
  #bytes = 0

  /** @param maxBytes what the messages may take together; at least one is always kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  get(sequence: number): Message | undefined {
    return this.#messages[sequence - this.#base]
  }

  /** Adds the next message; a gap in the sequence starts the tail anew. */
  push(message: Message): void {
    if (message.sequence !== this.#base + this.#messages.length) {
      this.#messages = []
      this.#base = message.sequence
      this.#start = 0
      this.#bytes = 0
    }
    this.#messages.push(message)
    this.#bytes += message.length
    if (this.#bytes > this.#maxBytes) this.#trim()
  }

  #trim(): void {
    while (this.#bytes > this.#maxBytes && this.#start < this.#messages.length - 1) {
      this.#bytes -= this.#messages[this.#start]!.length
      this.#messages[this.#start++] = undefined
    }
    if (this.#start > 4096 && this.#start * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#start)
      this.#base += this.#start
      this.#start = 0
    }
  }
}
