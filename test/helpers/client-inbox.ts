import type { IPublishPacket } from 'mqtt'
import { Inbox, type InboxOptions } from '../../src/client/inbox.ts'
import type { ClientError } from '../../src/client/index.ts'
import { Lane } from '../../src/client/lane.ts'
import { Signal } from './signal.ts'

/** An inbox with one lane and without a connection: what a server that keeps to the rules does not show. */
export class InboxScene {
  /** Of the present connection. */
  number = 1
  readonly acks: string[] = []
  readonly errors: ClientError[] = []
  readonly runs: string[] = []
  cycles = 0
  /** Payloads that the handler rejects. */
  readonly rejects = new Set<string>()
  /** The handler waits for it. */
  hold: Promise<void> = Promise.resolve()
  readonly inbox: Inbox
  readonly lane: Lane
  readonly #signal = new Signal()

  constructor(options: Partial<InboxOptions> = {}) {
    const scene = this
    const wire = {
      get number() {
        return scene.number
      },
      ack: (number: number, id: number) => number === this.number && this.acks.push(`${number}:${id}`) > 0,
      cycle: () => void this.cycles++,
      report: (error: ClientError) => void this.errors.push(error)
    }
    this.inbox = new Inbox(wire, { isDurable: true, prefetch: 10, retry: { minMs: 1, maxMs: 1 }, ...options })
    this.lane = new Lane({
      filter: 'DB/#',
      order: 'all',
      concurrency: 1,
      run: async ({ packet }) => {
        const text = packet.payload.toString()
        this.runs.push(text)
        await this.hold
        if (this.rejects.has(text)) throw new Error('not yet')
      },
      finished: (lane, delivery, error) => {
        this.inbox.finished(lane, delivery, error)
        this.#signal.notify()
      }
    })
    this.inbox.addLane(this.lane)
  }

  /** A message comes. @returns a function that tells whether the connection reads on. */
  receive(messageId: number, payload: string, more: Partial<IPublishPacket> = {}): () => boolean {
    let isReadOn = false
    const packet = {
      cmd: 'publish',
      topic: 'DB/CREATE',
      payload: Buffer.from(payload),
      dup: false,
      retain: false,
      qos: 1
    }
    this.inbox.receive({ ...packet, messageId, ...more } as IPublishPacket, () => {
      isReadOn = true
    })
    return () => isReadOn
  }

  /** A new connection is there. */
  connect(isSessionResumed: boolean): void {
    this.number += 1
    this.inbox.accepted(isSessionResumed)
    this.inbox.ready()
  }

  /** Resolves when the condition holds; it is asked again at the end of each run. */
  async until(condition: () => boolean): Promise<void> {
    await this.#signal.until(condition, { describe: () => JSON.stringify([this.runs, this.acks]) })
  }
}
