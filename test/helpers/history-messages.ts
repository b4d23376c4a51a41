import type { ReceiveEvent } from './history.ts'
import type { Violation } from './history-check.ts'

/** A message, as its publishers saw it. */
export interface Sent {
  readonly message: string
  readonly topic: string
  readonly qos: number
  /** Place in the history at which it went out first. */
  readonly sentAt: number
  /** Place at which it was acked first. */
  acceptedAt: number | null
  /** Connections on which it went out. */
  readonly connections: Set<string>
}

/** A first delivery and its place in the history. */
export interface FirstDelivery extends ReceiveEvent {
  readonly at: number
}

/** What came to one session. */
export class Deliveries {
  readonly session: string
  /** The first delivery of each message, in order. */
  readonly first: FirstDelivery[] = []
  readonly #again: ReceiveEvent[] = []
  readonly #known = new Set<string>()
  /** Of the present session; a new one of the same name owes nothing of the old one, and may repeat what it had. */
  #isIn = new Set<string>()

  constructor(session: string) {
    this.session = session
  }

  take(event: ReceiveEvent, at: number): void {
    if (!this.#known.has(event.message)) this.first.push({ ...event, at })
    else if (this.#isIn.has(event.message)) this.#again.push(event)
    this.#known.add(event.message)
    this.#isIn.add(event.message)
  }

  has(message: string): boolean {
    return this.#known.has(message)
  }

  /** A new session of the same name begins. */
  forget(): void {
    this.#isIn = new Set()
  }

  /** What these deliveries say by themselves. */
  broken(sent: ReadonlyMap<string, Sent>): Violation[] {
    return [...this.#invented(sent), ...this.#disordered(sent), ...this.#repeated(sent)]
  }

  #invented(sent: ReadonlyMap<string, Sent>): Violation[] {
    return this.first.flatMap(({ message, topic }) => {
      const known = sent.get(message)
      if (known?.topic === topic) return []
      const why = known ? `it was sent on ${known.topic}` : 'it was never sent'
      return [this.#violation('invented', message, `got ${message} on ${topic}, and ${why}`)]
    })
  }

  /** First deliveries of each connection, against the order in which it sent them. */
  #disordered(sent: ReadonlyMap<string, Sent>): Violation[] {
    const last = new Map<string, Sent>()
    return this.first.flatMap(event => {
      const message = sent.get(event.message)
      if (message?.connections.size !== 1 || message.qos === 0) return []
      const [connection] = message.connections
      const before = last.get(connection!)
      if (!before || before.sentAt < message.sentAt) {
        last.set(connection!, message)
        return []
      }
      const text = `got ${message.message} after ${before.message}, which ${connection} had sent later`
      return [this.#violation('order', message.message, text)]
    })
  }

  #repeated(sent: ReadonlyMap<string, Sent>): Violation[] {
    return this.#again.flatMap(({ message, qos, isNew, isDup }) => {
      const known = sent.get(message)
      if (!known) return []
      if (qos === 2 && isNew) return [this.#violation('twice', message, `got ${message} of QoS 2 twice`)]
      // of what was sent twice itself, two copies are two messages
      if (isDup || qos === 0 || known.connections.size !== 1) return []
      return [this.#violation('no-dup', message, `got ${message} again without DUP`)]
    })
  }

  #violation(rule: Violation['rule'], message: string, text: string): Violation {
    return { rule, session: this.session, message, text: `${this.session} ${text}` }
  }
}
