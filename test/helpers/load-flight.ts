import type { Ledger } from './load.ts'

/**
 * How the server stopped before a connection: `running` not at all; `process` it was killed; `machine` the power was
 * cut; `machine-losing` the same with a setting that may lose acked messages. After a power cut the server may have
 * forgotten what it sent: DUP is then set where it is in doubt, and packet ids need not be the same.
 */
export type Before = 'running' | 'process' | 'machine' | 'machine-losing'

/**
 * After a power cut ids go round before one comes again: 65,535 less what a reservation may leave out. A message that
 * is lost, or came again under another id, holds its old id for so long.
 */
const LEAST_ROUND = 40_000

/** The last message that came under a packet id. */
interface Sent {
  readonly message: string
  /** Place in the order of first deliveries; a redelivery keeps it. */
  readonly position: number
  /** Acked by this side; whether the server knows is open. */
  isAcked: boolean
  /** Came on the present connection. */
  isHere: boolean
}

/**
 * What one session has in flight, as its subscriber sees it, and the promises about it that can be checked as
 * messages come: the window, no reuse of a packet id in flight, and after a reconnect DUP, order and packet ids.
 */
export class Flight {
  /** Sent by the server and not acked by this side, on this connection: packet id to message. */
  readonly unacked = new Map<number, string>()
  readonly #ledger: Ledger
  readonly #name: string
  readonly #window: number
  readonly #seen: ReadonlySet<string>
  #sent = new Map<number, Sent>()
  /** What may come again, in order; only ids of the connections before. */
  #owed = new Map<number, Sent>()
  /** After a power cut: what came on this connection, under whatever id. The ids in `#owed` stay reserved. */
  readonly #cameAgain = new Set<string>()
  /** Messages since the reconnect after a power cut. */
  #sinceCut = 0
  #before: Before = 'running'
  #connection = 0
  #position = 0
  #resent = 0
  #hasNew = false

  /** @param seen all messages of the session so far; kept up to date by the subscriber. */
  constructor(ledger: Ledger, name: string, window: number, seen: ReadonlySet<string>) {
    this.#ledger = ledger
    this.#name = name
    this.#window = window
    this.#seen = seen
  }

  /** A new connection begins. */
  reconnect(before: Before): void {
    this.#connection++
    const isAfterCut = this.#before.startsWith('machine')
    const left = [...this.#sent].filter(([, sent]) => !isAfterCut || sent.isHere)
    this.#sent = new Map(left)
    this.#owed = new Map(left.sort(([, a], [, b]) => a.position - b.position))
    for (const [, sent] of left) sent.isHere = false
    this.unacked.clear()
    this.#cameAgain.clear()
    this.#sinceCut = 0
    this.#before = before
    this.#resent = 0
    this.#hasNew = this.#connection === 1
  }

  /** A message has come. */
  take(message: string, packetId: number, isDup: boolean): void {
    const other = this.unacked.get(packetId)
    if (other !== undefined) this.#broken(`packet id ${packetId} of ${other}, in flight, used for ${message}`)
    if (this.unacked.size >= this.#window) this.#broken(`${message} over the window`)
    if (this.#before.startsWith('machine')) this.#checkAfterCut(message, packetId, isDup)
    else if (isDup) this.#checkResent(message, packetId)
    else this.#checkNew(message)
    const last = this.#sent.get(packetId)
    const position = last?.message === message ? last.position : this.#position++
    this.#sent.set(packetId, { message, position, isAcked: false, isHere: true })
    this.unacked.set(packetId, message)
  }

  /** This side acks. */
  ack(packetId: number): void {
    const sent = this.#sent.get(packetId)
    if (sent) sent.isAcked = true
    this.unacked.delete(packetId)
  }

  /** All has come that will come: what was in flight must have been among it. */
  finish(): void {
    if (this.#before !== 'machine-losing') this.#expectNothingOwed('at the end')
  }

  #checkNew(message: string): void {
    if (!this.#hasNew) this.#expectNothingOwed(`before ${message}`)
    this.#hasNew = true
    if (this.#seen.has(message) && !this.#hasCopies(message))
      this.#broken(`${message} came again without DUP`)
  }

  #checkResent(message: string, packetId: number): void {
    if (this.#hasNew) this.#broken(`${message} with DUP after new messages`)
    if (this.#before === 'running' && ++this.#resent > this.#window)
      this.#broken(`${message}: more DUP than window`)
    const owed = this.#owed.get(packetId)
    if (owed?.message !== message) {
      // sent by the server before it stopped, but never seen here: then the id must have been free
      if (owed && !owed.isAcked) this.#broken(`packet id ${packetId} of ${owed.message} came with ${message}`)
      else if (this.#seen.has(message) && !this.#hasCopies(message)) {
        this.#broken(`${message} came again with another packet id (${packetId})`)
      }
      return
    }
    for (const [id, earlier] of this.#owed) {
      if (id === packetId) break
      if (!earlier.isAcked) this.#broken(`${message} came again before ${earlier.message}`)
      this.#owed.delete(id)
    }
    this.#owed.delete(packetId)
  }

  #checkAfterCut(message: string, packetId: number, isDup: boolean): void {
    if (this.#seen.has(message) && !isDup && !this.#hasCopies(message)) {
      this.#broken(`${message} came again without DUP`)
    }
    const owed = this.#owed.get(packetId)
    // it came again under its own id: from now on the id is free when it is acked, like any other
    if (owed?.message === message) this.#owed.delete(packetId)
    else if (owed && !owed.isAcked && this.#sinceCut < LEAST_ROUND) {
      this.#broken(
        `packet id ${packetId} of ${owed.message}, in flight at the power cut, used for ${message}`
      )
    }
    this.#sinceCut++
    this.#cameAgain.add(message)
  }

  #hasCopies(message: string): boolean {
    return (this.#ledger.sends.get(message) ?? 0) > 1
  }

  #expectNothingOwed(when: string): void {
    const isMissing = (sent: Sent) => !sent.isAcked && !this.#cameAgain.has(sent.message)
    const missing = [...this.#owed].filter(([, sent]) => isMissing(sent))
    for (const [id, { message }] of missing.slice(0, 3)) {
      this.#broken(`${message} (packet id ${id}), in flight at the reconnect, did not come again ${when}`)
    }
    this.#owed.clear()
  }

  #broken(text: string): void {
    this.#ledger.violation(`${this.#name}, connection ${this.#connection} (${this.#before}): ${text}`)
  }
}
