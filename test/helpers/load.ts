import { Signal } from './signal.ts'

/**
 * What publishers sent and were told, and what broke a guarantee. Messages are known by their payload
 * `<publisher>:<number>`; one that was sent again after a lost connection may rightly be accepted twice.
 */
export class Ledger {
  /** How often each message was sent. */
  readonly sends = new Map<string, number>()
  /** Messages whose ack has arrived. */
  readonly ackedMessages = new Set<string>()
  /** Messages that were refused, with the MQTT 5 reason code. */
  readonly refusedMessages = new Map<string, number>()
  /** Every broken promise, in words; empty when all is well. */
  readonly violations: string[] = []
  /** Notified at every ack. */
  readonly signal = new Signal()

  sent(message: string): void {
    this.sends.set(message, (this.sends.get(message) ?? 0) + 1)
  }

  acked(message: string): void {
    this.ackedMessages.add(message)
    this.signal.notify()
  }

  /** Waits until so many messages were acked since the start. */
  async untilAcked(count: number): Promise<void> {
    const describe = () => `${count} acks, has ${this.ackedMessages.size}`
    await this.signal.until(() => this.ackedMessages.size >= count, { describe, deadlineMs: 120_000 })
  }

  refused(message: string, reasonCode: number): void {
    this.refusedMessages.set(message, reasonCode)
  }

  violation(text: string): void {
    if (this.violations.length < 20) this.violations.push(text)
  }
}

/** One message as a subscriber got it. */
export interface Delivery {
  readonly message: string
  readonly packetId: number
  readonly isDup: boolean
  /** Which connection of the session, from 1. */
  readonly connection: number
}

/** What {@link checkDeliveries} looks at. */
export interface SessionHistory {
  readonly name: string
  readonly deliveries: readonly Delivery[]
}

/**
 * The promises that show when a session has got all it will get. Returns broken ones in words.
 * @param mayLose whether acked messages may be missing (weaker fsync settings after a power cut).
 */
export function checkDeliveries(ledger: Ledger, session: SessionHistory, mayLose = false): string[] {
  const problems = [...orderProblems(ledger, session, mayLose), ...copyProblems(ledger, session)]
  if (!mayLose) {
    const seen = new Set(session.deliveries.map(delivery => delivery.message))
    const missing = [...ledger.ackedMessages].filter(message => !seen.has(message))
    if (missing.length > 0)
      problems.push(`${session.name}: ${missing.length} acked missing (${missing.slice(0, 8)})`)
  }
  return problems
}

/**
 * First deliveries of each publisher come in ascending order. Where records may be lost, those sent again are left
 * out: one whose first copy was lost rightly comes behind what the publisher had sent after it.
 */
function orderProblems(ledger: Ledger, { name, deliveries }: SessionHistory, mayLose: boolean): string[] {
  const problems: string[] = []
  const seen = new Set<string>()
  const highest = new Map<string, number>()
  for (const { message } of deliveries) {
    if (seen.has(message) || (mayLose && (ledger.sends.get(message) ?? 0) > 1)) continue
    seen.add(message)
    const [publisher = '', number = ''] = message.split(':')
    const before = highest.get(publisher) ?? 0
    if (Number(number) < before) problems.push(`${name}: ${message} came first after ${publisher}:${before}`)
    highest.set(publisher, Math.max(before, Number(number)))
  }
  return problems.slice(0, 5)
}

/** A message comes without DUP at most as often as it was sent, and only what was sent comes. */
function copyProblems(ledger: Ledger, { name, deliveries }: SessionHistory): string[] {
  const fresh = new Map<string, number>()
  for (const { message, isDup } of deliveries) if (!isDup) fresh.set(message, (fresh.get(message) ?? 0) + 1)
  const wrong = [...fresh].filter(([message, count]) => count > (ledger.sends.get(message) ?? 0))
  return wrong.slice(0, 5).map(([message, count]) => `${name}: ${message} came ${count} times without DUP`)
}

/** The first deliveries of a session in order: equal for all sessions with the same filter. */
export function firstDeliveries({ deliveries }: SessionHistory): string[] {
  return [...new Set(deliveries.map(delivery => delivery.message))]
}
