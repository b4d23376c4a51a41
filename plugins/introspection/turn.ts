import { setImmediate } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import { QueueError } from '../../src/plugin.ts'

/** So many looks at an entry fit into one turn of the event loop without holding up messages. */
const UNITS_PER_TURN = 1_000

/** Units that it takes to count the backlog of a session, or to look for its oldest message. */
export const COUNT_UNITS = 20

/** The share of one turn of the event loop that a long read may take. */
export class Turn {
  readonly #isGone: () => boolean
  #left = UNITS_PER_TURN

  /** @param isGone whether nobody waits any more for what is read. */
  constructor(isGone: () => boolean = () => false) {
    this.#isGone = isGone
  }

  /** The share of a request; once its connection is gone, {@link next} ends the work. */
  static of({ raw }: FastifyRequest): Turn {
    return new Turn(() => raw.socket.destroyed)
  }

  /**
   * Notes work that was done.
   * @param units 1 for looking at one entry of a list.
   * @returns whether the share is used up: then await {@link next}.
   */
  spend(units: number): boolean {
    this.#left -= units
    return this.#left <= 0
  }

  /**
   * Lets everything else that waits run first.
   * @throws QueueError QUEUE_CONNECTION_CLOSED when nobody waits any more.
   */
  async next(): Promise<void> {
    this.#left = UNITS_PER_TURN
    await setImmediate()
    if (this.#isGone()) throw new QueueError('QUEUE_CONNECTION_CLOSED')
  }
}
